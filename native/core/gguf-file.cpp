#include "gguf-file.h"

#include "error.h"
#include "file.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "llama.h"
#include "log.h"

#include <algorithm>
#include <cstring>

gguf_file::~gguf_file() {
    gguf_free(ctx);
    ggml_free(meta);
}

static sd_error invalid_file(const gguf_file & f, const std::string & why) {
    return sd_error(f.invalid, sd_format("%s file %s %s", f.what.c_str(), f.path.c_str(), why.c_str()));
}

void gguf_file_open(gguf_file & f, const std::string & path, const char * what, const char * code) {
    f.path = path;
    f.what = what;
    f.invalid = code;

    sd_file in;
    switch (sd_file_open(in, path)) {
        case SD_FILE_OPEN:        break;
        case SD_FILE_MISSING:     throw sd_error("MODEL_NOT_FOUND", sd_format("The %s file %s does not exist: check the path", what, path.c_str()));
        case SD_FILE_NOT_REGULAR: throw invalid_file(f, in.why + ": give the path of a .gguf file");
        case SD_FILE_UNREADABLE:  throw sd_error("IO_ERROR", sd_format("The %s file %s %s; check its permissions", what, path.c_str(), in.why.c_str()));
    }
    const uint64_t size = in.size;
    if (size == 0) {
        throw invalid_file(f, "is empty: download it again");
    }
    char magic[4] = {};
    if (size < 24 || !in.read(magic, 4) || std::string(magic, 4) != "GGUF") {
        throw invalid_file(f, "is not a GGUF file: llama.cpp's converters and `sd-rpn convert` make such files");
    }

    gguf_init_params params = { /*no_alloc*/ true, /*ctx*/ &f.meta };
    std::rewind(in.stream);
    f.ctx = gguf_init_from_file_ptr(in.stream, params);
    if (!f.ctx) {
        const std::string detail = sd_log_take_error();
        throw invalid_file(f, "has a damaged or truncated header" + (detail.empty() ? std::string() : " (" + detail + ")") + ": download it again");
    }
    // ggml asserts on tensors that are aligned less than its buffers are
    if (gguf_get_alignment(f.ctx) % GGUF_DEFAULT_ALIGNMENT != 0) {
        throw invalid_file(f,
            sd_format("has its tensors aligned to %zu bytes instead of a multiple of %d: convert it again", gguf_get_alignment(f.ctx), GGUF_DEFAULT_ALIGNMENT));
    }
    // a damaged header's numbers may not fit together: as many as fit then, which no file has
    const auto add = [](uint64_t a, uint64_t b) { return b > UINT64_MAX - a ? UINT64_MAX : a + b; };
    const uint64_t data = gguf_get_data_offset(f.ctx);
    uint64_t end = data;
    for (int64_t i = 0; i < gguf_get_n_tensors(f.ctx); i++) {
        end = std::max(end, add(add(data, gguf_get_tensor_offset(f.ctx, i)), gguf_get_tensor_size(f.ctx, i)));
    }
    if (size < end) {
        throw invalid_file(
            f, sd_format("is truncated: it has %llu bytes of at least %llu; download it again", (unsigned long long) size, (unsigned long long) end));
    }
}

void gguf_file_check_splits(const gguf_file & first) {
    first.expect("split.count", GGUF_TYPE_UINT16);
    first.expect("split.no", GGUF_TYPE_UINT16);
    const auto u16 = [&](const char * key) { return first.has(key) ? int(gguf_get_val_u16(first.ctx, gguf_find_key(first.ctx, key))) : 0; };
    const int count = u16("split.count");
    if (count <= 1) {
        return;
    }
    std::vector<char> prefix(first.path.size() + 1), path(first.path.size() + 64);
    if (u16("split.no") != 0 || llama_split_prefix(prefix.data(), prefix.size(), first.path.c_str(), 0, count) <= 0) {
        throw invalid_file(
            first, sd_format("is one of %d parts, and not the first by its name: give the one that ends with -00001-of-%05d.gguf", count, count));
    }
    for (int i = 1; i < count; i++) {
        llama_split_path(path.data(), path.size(), prefix.data(), i, count);
        gguf_file part;
        gguf_file_open(part, path.data(), first.what.c_str(), first.invalid);
        part.expect("split.no", GGUF_TYPE_UINT16); // llama.cpp asserts that it is
    }
}

bool gguf_file::has(const std::string & key) const {
    return gguf_find_key(ctx, key.c_str()) >= 0;
}

static int64_t find(const gguf_file & f, const std::string & key, gguf_type type) {
    const int64_t i = gguf_find_key(f.ctx, key.c_str());
    if (i < 0) {
        throw invalid_file(f, "lacks the key " + key);
    }
    if (gguf_get_kv_type(f.ctx, i) != type) {
        throw invalid_file(
            f, sd_format("has the key %s with type %s instead of %s", key.c_str(), gguf_type_name(gguf_get_kv_type(f.ctx, i)), gguf_type_name(type)));
    }
    return i;
}

uint32_t gguf_file::u32(const std::string & key) const {
    // some converters write a per-layer array where every layer has the same value
    const int64_t i = gguf_find_key(ctx, key.c_str());
    if (i >= 0 && gguf_get_kv_type(ctx, i) == GGUF_TYPE_ARRAY && gguf_get_arr_n(ctx, i) > 0
        && (gguf_get_arr_type(ctx, i) == GGUF_TYPE_UINT32 || gguf_get_arr_type(ctx, i) == GGUF_TYPE_INT32)) {
        return static_cast<const uint32_t *>(gguf_get_arr_data(ctx, i))[0];
    }
    return gguf_get_val_u32(ctx, find(*this, key, GGUF_TYPE_UINT32));
}

float gguf_file::f32(const std::string & key) const {
    return gguf_get_val_f32(ctx, find(*this, key, GGUF_TYPE_FLOAT32));
}

std::string gguf_file::str(const std::string & key) const {
    return gguf_get_val_str(ctx, find(*this, key, GGUF_TYPE_STRING));
}

uint32_t gguf_file::u32_or(const std::string & key, uint32_t fallback) const {
    return has(key) ? u32(key) : fallback;
}

float gguf_file::f32_or(const std::string & key, float fallback) const {
    return has(key) ? f32(key) : fallback;
}

std::string gguf_file::str_or(const std::string & key, const std::string & fallback) const {
    return has(key) ? str(key) : fallback;
}

std::vector<float> gguf_file::f32_array(const std::string & key) const {
    const int64_t i = find(*this, key, GGUF_TYPE_ARRAY);
    if (gguf_get_arr_type(ctx, i) != GGUF_TYPE_FLOAT32) {
        throw invalid_file(*this, "has the key " + key + " with an element type other than f32");
    }
    const float * data = static_cast<const float *>(gguf_get_arr_data(ctx, i));
    return std::vector<float>(data, data + gguf_get_arr_n(ctx, i));
}

void gguf_file::expect(const std::string & key, gguf_type type) const {
    if (has(key)) {
        find(*this, key, type);
    }
}

void gguf_file::expect_array(const std::string & key, gguf_type of) const {
    if (has(key)) {
        const int64_t i = find(*this, key, GGUF_TYPE_ARRAY);
        if (gguf_get_arr_type(ctx, i) != of) {
            throw invalid_file(*this,
                sd_format("has the key %s with elements of type %s instead of %s", key.c_str(), gguf_type_name(gguf_get_arr_type(ctx, i)), gguf_type_name(of)));
        }
    }
}

ggml_tensor * gguf_file::tensor(const std::string & name) const {
    return ggml_get_tensor(meta, name.c_str());
}

ggml_tensor * gguf_file::require(const std::string & name, int64_t ne0, int64_t ne1) const {
    ggml_tensor * t = tensor(name);
    if (!t) {
        throw invalid_file(*this, "lacks the tensor " + name);
    }
    if (t->ne[0] != ne0 || t->ne[1] != (ne1 ? ne1 : 1) || t->ne[2] != 1 || t->ne[3] != 1) {
        throw invalid_file(*this,
            sd_format("has the tensor %s with shape [%lld, %lld] instead of [%lld, %lld]", name.c_str(), (long long) t->ne[0], (long long) t->ne[1],
                (long long) ne0, (long long) (ne1 ? ne1 : 1)));
    }
    return t;
}

static sd_error invalid_type(const gguf_file & f, const ggml_tensor * t) {
    return invalid_file(f, sd_format("has the tensor %s in a type that cannot be used: %s", t->name, ggml_type_name(t->type)));
}

ggml_tensor * gguf_file::matrix(const std::string & name, int64_t ne0, int64_t ne1) const {
    ggml_tensor * t = require(name, ne0, ne1);
    // integers and the types of intermediate results have one or neither of the two
    const bool usable = t->type == GGML_TYPE_F32 || (ggml_get_type_traits(t->type)->to_float && ggml_get_type_traits_cpu(t->type)->vec_dot);
    if (!usable) {
        throw invalid_type(*this, t);
    }
    return t;
}

ggml_tensor * gguf_file::vector(const std::string & name, int64_t ne0) const {
    ggml_tensor * t = require(name, ne0, 0);
    if (t->type != GGML_TYPE_F32) {
        throw invalid_type(*this, t);
    }
    return t;
}

std::vector<float> gguf_file::read_f32(const ggml_tensor * t) const {
    const int64_t id = gguf_find_tensor(ctx, t->name);
    std::vector<char> raw(ggml_nbytes(t));
    sd_file in;
    if (sd_file_open(in, path) != SD_FILE_OPEN || !in.read_at(gguf_get_data_offset(ctx) + gguf_get_tensor_offset(ctx, id), raw.data(), raw.size())) {
        throw sd_error("IO_ERROR", what + " file " + path + " could not be read");
    }
    std::vector<float> out(ggml_nelements(t));
    if (t->type == GGML_TYPE_F32) {
        memcpy(out.data(), raw.data(), raw.size());
    } else {
        ggml_get_type_traits(t->type)->to_float(raw.data(), out.data(), int64_t(out.size()));
    }
    return out;
}
