// libFuzzer target: the checks of GGUF headers, and the safetensors reader. The first byte picks the reader, the rest is the
// file. Whatever comes, they throw sd_error or return; an abort, a leak or a sanitizer's report is a find.
//
//   with Clang:      libFuzzer drives it, with coverage
//   other compilers: a driver of our own (fuzz-main.cpp) damages the files of a corpus at random

#include "backend.h"
#include "error.h"
#include "gguf-file.h"
#include "rpn/rpn.h"
#include "safetensors.h"

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
    try {
        switch (data[0] % 3) {
            case 0: {
                gguf_file f;
                gguf_file_open(f, path, "model", "MODEL_INVALID");
                f.u32_or("llama.block_count", 0);
                f.str_or("general.architecture", "");
                f.expect_array("tokenizer.ggml.tokens", GGUF_TYPE_STRING);
            } break;
            case 1:
                rpn_load(path, nullptr, 1);
                break;
            default:
                for (const auto & [name, tensor] : safetensors_open(path)) {
                    safetensor_read_f32(tensor);
                }
        }
    } catch (const sd_error &) {
    }
    std::error_code ec;
    std::filesystem::remove(std::filesystem::u8path(path), ec);
    return 0;
}
