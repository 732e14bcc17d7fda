#include "synth-write.h"

#include "error.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

namespace fs = std::filesystem;

static uint64_t mix(uint64_t x) { // splitmix64
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

void synth_random(float * values, int64_t n, uint64_t seed, const std::string & tensor, int64_t row, float deviation) {
    uint64_t state = mix(seed);
    for (char c : tensor) {
        state = mix(state ^ uint8_t(c));
    }
    state = mix(state ^ uint64_t(row)) | 1;
    const float step = 2.0f * std::sqrt(3.0f) * deviation / float(1 << 24);
    for (int64_t i = 0; i < n; i++) {
        state ^= state << 13; // xorshift
        state ^= state >> 7;
        state ^= state << 17;
        values[i] = (float(state >> 40) - float(1 << 23)) * step;
    }
}

ggml_type synth_type(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        const ggml_type type = ggml_type(i);
        std::string known = ggml_type_name(type) ? ggml_type_name(type) : "";
        std::transform(known.begin(), known.end(), known.begin(), [](unsigned char c) { return char(std::tolower(c)); });
        const bool weights =
            type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || (ggml_is_quantized(type) && !ggml_quantize_requires_imatrix(type));
        if (weights && name == known && ggml_get_type_traits(type)->from_float_ref) {
            return type;
        }
    }
    throw sd_error("INVALID_ARGUMENT", "Expected a type such as f16, q8_0, q4_0 or q4_k but received " + name);
}

ggml_type synth_type_for(ggml_type type, int64_t ne0) {
    if (ne0 % ggml_blck_size(type) != 0) {
        type = GGML_TYPE_Q8_0;
    }
    return ne0 % ggml_blck_size(type) != 0 ? GGML_TYPE_F16 : type;
}

void synth_write(const std::string & path, gguf_context * header, const std::vector<synth_tensor> & tensors) {
    ggml_context_ptr ctx(ggml_init({ (tensors.size() + 1) * ggml_tensor_overhead(), nullptr, true }));
    for (const synth_tensor & t : tensors) {
        ggml_tensor * x = ggml_new_tensor(ctx.get(), t.type, int(t.ne.size()), t.ne.data());
        ggml_set_name(x, t.name.c_str());
        gguf_add_tensor(header, x);
    }
    std::vector<char> buf(gguf_get_meta_size(header));
    gguf_get_meta_data(header, buf.data());

    // another run for the same file has another name
    const std::string temp = path + sd_format(".%08x.part", unsigned(std::random_device{}()));
    std::ofstream out(fs::u8path(temp), std::ios::binary | std::ios::trunc);
    out.write(buf.data(), std::streamsize(buf.size()));
    const std::vector<char> zeros(GGUF_DEFAULT_ALIGNMENT);
    for (const synth_tensor & t : tensors) {
        const int64_t n = t.ne[0];
        const int64_t n_row = std::accumulate(t.ne.begin() + 1, t.ne.end(), int64_t(1), std::multiplies<int64_t>());
        const int64_t chunk = std::max<int64_t>(1, (1 << 20) / n);
        std::vector<float> values(size_t(chunk * n));
        size_t written = 0;
        for (int64_t first = 0; first < n_row; first += chunk) {
            const int64_t rows = std::min(chunk, n_row - first);
            for (int64_t r = 0; r < rows; r++) {
                t.row(first + r, values.data() + r * n);
            }
            buf.resize(size_t(rows) * ggml_row_size(t.type, n));
            ggml_quantize_chunk(t.type, values.data(), buf.data(), 0, rows, n, nullptr);
            out.write(buf.data(), std::streamsize(buf.size()));
            written += buf.size();
        }
        out.write(zeros.data(), std::streamsize(GGML_PAD(written, GGUF_DEFAULT_ALIGNMENT) - written));
    }
    out.close();
    std::error_code ec;
    if (out) {
        fs::rename(fs::u8path(temp), fs::u8path(path), ec);
    }
    if (!out || ec) {
        std::error_code ignored;
        fs::remove(fs::u8path(temp), ignored);
        throw sd_error("IO_ERROR", "The file " + path + " could not be written" + (ec ? ": " + ec.message() : " (is the disk full, does its folder exist?)"));
    }
}
