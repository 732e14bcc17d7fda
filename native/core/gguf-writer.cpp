#include "gguf-writer.h"

#include "error.h"
#include "file.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>
#include <thread>

namespace fs = std::filesystem;

// values that are quantised by one thread between two looks at the cancel flag
static const int64_t CHUNK = 1 << 20;

static sd_error io_error(const gguf_writer & w, const std::string & what) {
    const std::string reason = errno ? std::string(": ") + strerror(errno) : "";
    return sd_error("IO_ERROR", "The " + w.what + " " + w.path + " could not be " + what + reason);
}

static void put(gguf_writer & w, const void * data, size_t n) {
    errno = 0;
    if (!w.out.write(static_cast<const char *>(data), std::streamsize(n))) {
        throw io_error(w, "written (is the disk full?)");
    }
    w.n_bytes += n;
}

gguf_writer::~gguf_writer() {
    if (!temp.empty()) {
        out.close();
        std::error_code ec;
        fs::remove(fs::u8path(temp), ec);
    }
}

uint64_t gguf_writer_size(const gguf_writer & w, gguf_context * g) {
    ggml_context_ptr ctx(ggml_init({ (w.tensors.size() + 1) * ggml_tensor_overhead(), nullptr, true }));
    uint64_t size = 0;
    for (const gguf_out_tensor & t : w.tensors) {
        const int64_t ne[] = { t.ne0, t.ne1 ? t.ne1 : 1, t.ne2, t.ne3 };
        const int n_dims = t.ne3 > 1 ? 4 : t.ne2 > 1 ? 3 : t.ne1 ? 2 : 1;
        ggml_tensor * x = ggml_new_tensor(ctx.get(), t.type, n_dims, ne);
        ggml_set_name(x, t.name.c_str());
        gguf_add_tensor(g, x);
        size += GGML_PAD(t.n_bytes(), GGUF_DEFAULT_ALIGNMENT);
    }
    return size + gguf_get_meta_size(g);
}

void gguf_writer_begin(gguf_writer & w, const std::string & path, gguf_context * g) {
    w.path = path;
    if (gguf_get_n_tensors(g) == 0) {
        gguf_writer_size(w, g);
    }
    std::vector<char> meta(gguf_get_meta_size(g));
    gguf_get_meta_data(g, meta.data());

    const std::string obstacle = sd_file_obstacle(path);
    if (!obstacle.empty()) {
        throw sd_error("IO_ERROR", "The " + w.what + " " + path + " cannot be written: it " + obstacle + "; give the path of a file");
    }
    // another conversion to the same target has another name
    const std::string temp = path + sd_format(".%08x.part", unsigned(std::random_device{}()));
    errno = 0;
    w.out.open(fs::u8path(temp), std::ios::binary | std::ios::trunc);
    if (!w.out) {
        throw io_error(w, "created (does its directory exist, and may it be written to?)");
    }
    w.temp = temp;
    put(w, meta.data(), meta.size());
}

// rows of f32 in the type of the tensor, by several threads where they are many
static void quantize(const gguf_writer & w, const gguf_out_tensor & t, const float * values, int64_t n_rows, char * to) {
    const size_t row_bytes = ggml_row_size(t.type, t.ne0);
    auto part = [&](int64_t first, int64_t n) { ggml_quantize_chunk(t.type, values + first * t.ne0, to + size_t(first) * row_bytes, 0, n, t.ne0, nullptr); };
    const int64_t n_parts = std::min<int64_t>(w.n_threads, n_rows);
    std::vector<std::thread> threads;
    int64_t first = 0;
    for (int64_t i = 1; i < n_parts; i++) {
        const int64_t next = n_rows * i / n_parts;
        try {
            threads.emplace_back(part, first, next - first);
        } catch (const std::system_error &) {
            part(first, next - first); // no more threads to be had
        }
        first = next;
    }
    part(first, n_rows - first);
    for (std::thread & thread : threads) {
        thread.join();
    }
}

void gguf_writer_add_rows(gguf_writer & w, const float * values, int64_t n_rows) {
    if (w.n_done == w.tensors.size() || n_rows > w.tensors[w.n_done].n_rows() - w.n_rows) {
        throw sd_error("INTERNAL", "The " + w.what + " was given tensors that its header does not announce");
    }
    const gguf_out_tensor & t = w.tensors[w.n_done];
    const int64_t n_chunk = std::max<int64_t>(1, CHUNK * w.n_threads / t.ne0);
    std::vector<char> buf;
    for (int64_t row = 0; row < n_rows; row += n_chunk) {
        if (w.cancel && *w.cancel) {
            throw sd_error("ABORTED", "Writing " + w.path + " was aborted");
        }
        const int64_t n = std::min(n_chunk, n_rows - row);
        buf.resize(size_t(n) * ggml_row_size(t.type, t.ne0));
        quantize(w, t, values + row * t.ne0, n, buf.data());
        put(w, buf.data(), buf.size());
    }
    w.n_rows += n_rows;
    if (w.n_rows == t.n_rows()) {
        const char zeros[GGUF_DEFAULT_ALIGNMENT] = {};
        put(w, zeros, size_t(GGML_PAD(w.n_bytes, GGUF_DEFAULT_ALIGNMENT) - w.n_bytes));
        w.n_done++;
        w.n_rows = 0;
    }
}

void gguf_writer_add(gguf_writer & w, const std::vector<float> & values) {
    if (w.n_done == w.tensors.size() || w.n_rows != 0 || int64_t(values.size()) != w.tensors[w.n_done].ne0 * w.tensors[w.n_done].n_rows()) {
        throw sd_error("INTERNAL", "The " + w.what + " was given tensors that its header does not announce");
    }
    gguf_writer_add_rows(w, values.data(), w.tensors[w.n_done].n_rows());
}

void gguf_writer_finish(gguf_writer & w) {
    if (w.n_done != w.tensors.size()) {
        throw sd_error("INTERNAL", "The " + w.what + " was closed before all its tensors were there");
    }
    errno = 0;
    w.out.close();
    if (!w.out) {
        throw io_error(w, "written (is the disk full?)");
    }
}

void gguf_writer_close(gguf_writer & w) {
    if (w.out.is_open()) {
        gguf_writer_finish(w);
    }
    std::error_code ec;
    fs::rename(fs::u8path(w.temp), fs::u8path(w.path), ec);
    if (ec) {
        throw sd_error("IO_ERROR", "The " + w.what + " " + w.path + " could not be put in place: " + ec.message());
    }
    w.temp.clear();
}
