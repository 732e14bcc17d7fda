#include "safetensors.h"

#include "error.h"
#include "file.h"

#include "ggml.h"
#include "nlohmann/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

using json = nlohmann::json;

// larger headers than any published checkpoint's; keeps a damaged length from asking for the memory
static const uint64_t MAX_HEADER = 100u << 20;

static const uint64_t MAX_ELEMENTS = uint64_t(1) << 48;

int64_t safetensor::n_elements() const {
    int64_t n = 1;
    for (int64_t s : shape) {
        n *= s;
    }
    return n;
}

static uint64_t dtype_size(const std::string & dtype) {
    return dtype == "F32" ? 4 : dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

std::map<std::string, safetensor> safetensors_open(const std::string & path) {
    auto bad = [&](const std::string & why) { return sd_error("CHECKPOINT_INVALID", "Checkpoint file " + path + " " + why); };

    sd_file in;
    if (sd_file_open(in, path) != SD_FILE_OPEN) {
        throw bad(in.why + ": check the path and its permissions");
    }
    const uint64_t size = in.size;
    unsigned char len[8] = {};
    if (!in.read(len, 8)) {
        throw bad("is too short to be a safetensors file");
    }
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) {
        n = n << 8 | len[i];
    }
    if (n > MAX_HEADER || n + 8 > size) {
        throw bad("is not a safetensors file, or is truncated");
    }
    std::string text(n, '\0');
    const bool whole = in.read(&text[0], n);
    const json header = json::parse(text, nullptr, false);
    if (!whole || !header.is_object()) {
        throw bad("has a damaged header");
    }

    std::map<std::string, safetensor> out;
    for (const auto & [name, value] : header.items()) {
        if (name == "__metadata__") {
            continue;
        }
        try {
            safetensor t;
            t.path = path;
            t.name = name;
            t.dtype = value.at("dtype").get<std::string>();
            t.shape = value.at("shape").get<std::vector<int64_t>>();
            const uint64_t begin = value.at("data_offsets").at(0).get<uint64_t>(), end = value.at("data_offsets").at(1).get<uint64_t>();
            // a product that no file has the bytes for is as wrong as one that wraps around
            uint64_t elements = 1;
            for (int64_t side : t.shape) {
                if (side < 0 || (side > 0 && elements > MAX_ELEMENTS / uint64_t(side))) {
                    throw bad("has an impossible shape for " + name);
                }
                elements *= uint64_t(side);
            }
            if (begin > end || end > size - 8 - n || (dtype_size(t.dtype) && elements * dtype_size(t.dtype) != end - begin)) {
                throw bad("is truncated or damaged at " + name);
            }
            t.begin = begin + 8 + n;
            t.end = end + 8 + n;
            out[name] = std::move(t);
        } catch (const json::exception &) {
            throw bad("has a damaged entry for " + name);
        }
    }
    return out;
}

void safetensor_open(const safetensor & t, sd_file & in) {
    if (dtype_size(t.dtype) == 0) {
        throw sd_error("CHECKPOINT_INVALID", "Checkpoint file " + t.path + " holds a tensor of type " + t.dtype + "; F32, F16 and BF16 can be read");
    }
    if (sd_file_open(in, t.path) != SD_FILE_OPEN) {
        throw sd_error("IO_ERROR", "Checkpoint file " + t.path + " could not be read: it " + in.why);
    }
}

static void read(const safetensor & t, sd_file & in, int64_t first, int64_t n, float * out) {
    const size_t width = dtype_size(t.dtype);
    // narrow values are read into the upper half of what they widen to
    char * raw = reinterpret_cast<char *>(out) + (sizeof(float) - width) * size_t(n);
    if (!in.read_at(t.begin + uint64_t(first) * width, raw, size_t(n) * width)) {
        throw sd_error("IO_ERROR", "Checkpoint file " + t.path + " could not be read");
    }
    const int64_t CHUNK = 4096;
    uint16_t narrow[CHUNK];
    for (int64_t i = 0; width == 2 && i < n; i += CHUNK) {
        const int64_t m = std::min(CHUNK, n - i);
        memcpy(narrow, raw + i * 2, size_t(m) * 2);
        if (t.dtype == "F16") {
            ggml_fp16_to_fp32_row(narrow, out + i, m);
        } else {
            ggml_bf16_to_fp32_row(reinterpret_cast<const ggml_bf16_t *>(narrow), out + i, m);
        }
    }
}

void safetensor_read(const safetensor & t, sd_file & in, int64_t first, int64_t n, float * out) {
    read(t, in, first, n, out);
    if (!std::all_of(out, out + n, [](float v) { return std::isfinite(v); })) {
        throw sd_error("CHECKPOINT_INVALID", "Checkpoint file " + t.path + " has a value that is not finite in " + t.name + ": download it again");
    }
}

std::vector<float> safetensor_read_f32(const safetensor & t) {
    sd_file in;
    safetensor_open(t, in);
    std::vector<float> out(t.n_elements());
    read(t, in, 0, int64_t(out.size()), out.data());
    return out;
}
