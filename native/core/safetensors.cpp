#include "safetensors.h"

#include "error.h"
#include "file.h"

#include "ggml.h"
#include "nlohmann/json.hpp"

#include <cstring>

using json = nlohmann::json;

// larger headers than any published checkpoint's; keeps a damaged length from asking for the memory
static const uint64_t MAX_HEADER = 100u << 20;

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
            t.dtype = value.at("dtype").get<std::string>();
            t.shape = value.at("shape").get<std::vector<int64_t>>();
            t.begin = value.at("data_offsets").at(0).get<uint64_t>() + 8 + n;
            t.end = value.at("data_offsets").at(1).get<uint64_t>() + 8 + n;
            uint64_t bytes = dtype_size(t.dtype);
            for (int64_t s : t.shape) {
                if (s < 0 || s > (int64_t(1) << 40)) {
                    throw bad("has an impossible shape for " + name);
                }
                bytes *= uint64_t(s);
            }
            if (t.begin > t.end || t.end > size || (dtype_size(t.dtype) && bytes != t.end - t.begin)) {
                throw bad("is truncated or damaged at " + name);
            }
            out[name] = std::move(t);
        } catch (const json::exception &) {
            throw bad("has a damaged entry for " + name);
        }
    }
    return out;
}

std::vector<float> safetensor_read_f32(const safetensor & t) {
    if (dtype_size(t.dtype) == 0) {
        throw sd_error("CHECKPOINT_INVALID", "Checkpoint file " + t.path + " holds a tensor of type " + t.dtype + "; F32, F16 and BF16 can be read");
    }
    std::vector<char> raw(t.end - t.begin);
    sd_file in;
    if (sd_file_open(in, t.path) != SD_FILE_OPEN || !in.read_at(t.begin, raw.data(), raw.size())) {
        throw sd_error("IO_ERROR", "Checkpoint file " + t.path + " could not be read");
    }
    std::vector<float> out(t.n_elements());
    if (t.dtype == "F32") {
        memcpy(out.data(), raw.data(), raw.size());
    } else if (t.dtype == "F16") {
        ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t *>(raw.data()), out.data(), int64_t(out.size()));
    } else {
        ggml_bf16_to_fp32_row(reinterpret_cast<const ggml_bf16_t *>(raw.data()), out.data(), int64_t(out.size()));
    }
    return out;
}
