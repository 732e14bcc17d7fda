#include "write.h"

#include "file.h"

#include <algorithm>
#include <cmath>

// values that are held at a time
static const int64_t CHUNK = 4 << 20;

// rows of each head from [first halves][second halves] (rotate-half) to pairs
static void halves_to_pairs(const float * in, float * out, int64_t n_head, int64_t d_head, int64_t n_cols) {
    for (int64_t h = 0; h < n_head; h++) {
        for (int64_t i = 0; i < d_head; i++) {
            const int64_t from = h * d_head + i;
            const int64_t to = h * d_head + i % (d_head / 2) * 2 + i / (d_head / 2);
            std::copy_n(in + from * n_cols, n_cols, out + to * n_cols);
        }
    }
}

// values beyond its range would become infinite
static void check_f16(const float * values, int64_t n, const safetensor & t) {
    for (int64_t i = 0; i < n; i++) {
        if (std::fabs(values[i]) > 65504.0f) {
            throw sd_error(
                "CHECKPOINT_INVALID", sd_format("The value %g in %s does not fit into f16: convert with type f32", double(values[i]), t.name.c_str()));
        }
    }
}

namespace {

struct copier {
    gguf_writer & w;
    const gguf_out_tensor & to;
    const convert_source & source;
    const std::function<void(uint64_t)> & read;
    sd_file in;
    std::vector<float> values, turned;

    void load(int64_t first, int64_t n) {
        const safetensor & t = *source.from;
        values.resize(size_t(n));
        safetensor_read(t, in, first, n, values.data());
        if (to.type == GGML_TYPE_F16) {
            check_f16(values.data(), n, t);
        }
    }

    void add(const std::vector<float> & v, int64_t n_rows, int64_t n_read) {
        gguf_writer_add_rows(w, v.data(), n_rows);
        const safetensor & t = *source.from;
        read(uint64_t(n_read) * ((t.end - t.begin) / uint64_t(t.n_elements())));
    }

    // rows as they are, or whole heads
    void rows() {
        const int64_t n = to.n_rows(), d_head = source.n_head ? n / source.n_head : 1;
        const int64_t n_chunk = std::max<int64_t>(1, CHUNK / to.ne0 / d_head) * d_head;
        for (int64_t row = 0; row < n; row += n_chunk) {
            const int64_t m = std::min(n_chunk, n - row);
            load((source.first_row + row) * to.ne0, m * to.ne0);
            if (source.n_head) {
                turned.resize(values.size());
                halves_to_pairs(values.data(), turned.data(), m / d_head, d_head, to.ne0);
            }
            add(source.n_head ? turned : values, m, m * to.ne0);
        }
    }

    // one frame of [outputs, colours, 2 frames, height, width]
    void frame() {
        const int64_t area = to.ne0 * to.ne1, n_out = to.ne3, n_chunk = std::max<int64_t>(1, CHUNK / (area * to.ne2 * 2));
        for (int64_t o = 0; o < n_out; o += n_chunk) {
            const int64_t m = std::min(n_chunk, n_out - o) * to.ne2; // planes of one frame
            load(o * to.ne2 * 2 * area, m * 2 * area);
            turned.resize(size_t(m * area));
            for (int64_t i = 0; i < m; i++) {
                std::copy_n(values.begin() + (i * 2 + source.time) * area, area, turned.begin() + i * area);
            }
            add(turned, m * to.ne1, m * 2 * area);
        }
    }
};

} // namespace

void convert_write(gguf_writer & w, const convert_file & file, const std::function<void(uint64_t)> & read) {
    for (size_t i = 0; i < file.tensors.size(); i++) {
        copier c{ w, file.tensors[i], file.sources[i], read, {}, {}, {} };
        safetensor_open(*c.source.from, c.in);
        if (c.source.time >= 0) {
            c.frame();
        } else {
            c.rows();
        }
    }
}
