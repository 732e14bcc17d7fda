// libFuzzer target: everything that reads a file's header before llama.cpp, mtmd or ggml's backends do: of language models, vision
// towers, region networks and safetensors checkpoints. The first byte picks the reader, the rest is the file; with 4 added to it,
// zeros stand behind, as much as a whole demo file has, so that the checks behind "is truncated" are reached. Whatever comes, they
// throw sd_error or return; an abort, a leak or a sanitizer's report is a find.
//
//   with Clang:      libFuzzer drives it, with coverage
//   other compilers: a driver of our own (fuzz-main.cpp) damages the files of a corpus at random

#include "backend.h"
#include "convert/safetensors.h"
#include "error.h"
#include "model.h"
#include "rpn/rpn.h"
#include "vision.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif

static const uintmax_t DEMO_SIZE = 8 << 20; // more than any file of the demo model has
static const int DEMO_WIDTH = 192;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    static const std::string path = (std::filesystem::temp_directory_path() / ("sd-rpn-fuzz-" + std::to_string(getpid()))).u8string();
    static const bool ready = (sd_backend_init(), true); // messages of ggml stay silent
    (void) ready;
    if (size == 0) {
        return 0;
    }
    if (FILE * f = fopen(path.c_str(), "wb")) {
        fwrite(data + 1, 1, size - 1, f);
        fclose(f);
    }
    std::error_code ec;
    if (data[0] & 4) {
        std::filesystem::resize_file(std::filesystem::u8path(path), DEMO_SIZE, ec); // a hole: nothing is written
    }
    try {
        switch (data[0] % 4) {
            case 0: {
                sd_model_info info;
                sd_model_check_header(path, info);
            } break;
            case 1: rpn_load(path, nullptr, 1); break;
            case 2: {
                sd_vision_info vision;
                sd_vision_check_header(vision, path, DEMO_WIDTH);
            } break;
            default:
                for (const auto & [name, tensor] : safetensors_open(path)) {
                    safetensor_read_f32(tensor);
                }
        }
    } catch (const sd_error &) {}
    std::filesystem::remove(std::filesystem::u8path(path), ec);
    return 0;
}
