#include "rpn-file.h"

#include "error.h"
#include "file.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

namespace fs = std::filesystem;

// values that are quantised between two looks at the cancel flag
static const int64_t CHUNK = 1 << 20;

static const struct {
    const char * name;
    ggml_type type;
    uint32_t file_type; // llama.cpp's number for general.file_type
} TYPES[] = {
    { "f32", GGML_TYPE_F32, 0 },
    { "f16", GGML_TYPE_F16, 1 },
    { "q8_0", GGML_TYPE_Q8_0, 7 },
    { "q4_k", GGML_TYPE_Q4_K, 14 },
};

ggml_type rpn_file_type(const std::string & name) {
    for (const auto & t : TYPES) {
        if (name == t.name) {
            return t.type;
        }
    }
    throw sd_error("INVALID_ARGUMENT", "Expected one of f32, f16, q8_0, q4_k for type but received " + name);
}

static const char * type_name(ggml_type type) {
    for (const auto & t : TYPES) {
        if (type == t.type) {
            return t.name;
        }
    }
    return ggml_type_name(type);
}

static ggml_type type_for_rows(ggml_type type, int64_t ne0) {
    if (type == GGML_TYPE_Q4_K && ne0 % ggml_blck_size(type) != 0) {
        type = GGML_TYPE_Q8_0;
    }
    if (type == GGML_TYPE_Q8_0 && ne0 % ggml_blck_size(type) != 0) {
        type = GGML_TYPE_F16;
    }
    return type;
}

std::vector<rpn_file_tensor> rpn_file_tensors(const rpn_hparams & hp, ggml_type type) {
    std::vector<rpn_file_tensor> out;
    auto vector = [&](const std::string & name, int64_t n) { out.push_back({ name, n, 0, GGML_TYPE_F32 }); };
    auto matrix = [&](const std::string & name, int64_t ne0, int64_t ne1) { out.push_back({ name, ne0, ne1, type_for_rows(type, ne0) }); };

    const int64_t n = hp.n_embd, n_q = int64_t(hp.n_head) * hp.d_head, n_kv = hp.n_kv();
    // a projection of the attention, with what the traits put to it
    auto projection = [&](const std::string & name, int64_t n_out, bool normed) {
        matrix(name + ".weight", n, n_out);
        if (hp.bias) {
            vector(name + ".bias", n_out);
        }
        if (normed && hp.qk_norm) {
            vector(name + "_norm.weight", hp.d_head);
        }
    };
    for (int il = 0; il < hp.n_block; il++) {
        const std::string b = "blk." + std::to_string(il) + ".";
        vector(b + "attn_norm.weight", n);
        projection(b + "attn_q", n_q, true);
        projection(b + "attn_k", n_kv, true);
        if (il == hp.n_block - 1) {
            break; // the last block ends at its query and key
        }
        projection(b + "attn_v", n_kv, false);
        matrix(b + "attn_output.weight", n_q, n);
        vector(b + "ffn_norm.weight", n);
        matrix(b + "ffn_gate.weight", n, hp.n_ff);
        matrix(b + "ffn_up.weight", n, hp.n_ff);
        matrix(b + "ffn_down.weight", hp.n_ff, n);
    }
    if (hp.head_norm) {
        vector("output_norm.weight", n);
    }
    return out;
}

static sd_error io_error(const rpn_writer & w, const std::string & what) {
    const std::string reason = errno ? std::string(": ") + strerror(errno) : "";
    return sd_error("IO_ERROR", "The " + w.what + " " + w.path + " could not be " + what + reason);
}

static void put(rpn_writer & w, const void * data, size_t n) {
    errno = 0;
    if (!w.out.write(static_cast<const char *>(data), std::streamsize(n))) {
        throw io_error(w, "written (is the disk full?)");
    }
    w.n_bytes += n;
}

void rpn_file_keys(gguf_context * g, const rpn_hparams & hp, const std::string & name, ggml_type type) {
    gguf_set_val_str(g, "general.architecture", "sdrpn");
    gguf_set_val_str(g, "general.name", name.c_str());
    for (const auto & t : TYPES) {
        if (t.type == type) {
            gguf_set_val_u32(g, "general.file_type", t.file_type);
        }
    }
    if (ggml_is_quantized(type)) {
        gguf_set_val_u32(g, "general.quantization_version", GGML_QNT_VERSION);
    }
    gguf_set_val_str(g, "sdrpn.base_architecture", hp.base_architecture.c_str());
    gguf_set_val_u32(g, "sdrpn.branch_layer", uint32_t(hp.branch));
    gguf_set_val_u32(g, "sdrpn.block_count", uint32_t(hp.n_block));
    gguf_set_val_u32(g, "sdrpn.embedding_length", uint32_t(hp.n_embd));
    gguf_set_val_u32(g, "sdrpn.feed_forward_length", uint32_t(hp.n_ff));
    gguf_set_val_u32(g, "sdrpn.attention.head_count", uint32_t(hp.n_head));
    gguf_set_val_u32(g, "sdrpn.attention.head_count_kv", uint32_t(hp.n_head_kv));
    gguf_set_val_f32(g, "sdrpn.attention.layer_norm_rms_epsilon", hp.eps);
    gguf_set_val_u32(g, "sdrpn.rope.dimension_count", uint32_t(hp.rope_dim));
    gguf_set_val_f32(g, "sdrpn.rope.freq_base", hp.rope_base);
    gguf_set_val_u32(g, "sdrpn.rope_type", uint32_t(hp.rope_type));
    // keys of traits stand only where a network is not as LLaVA-1.5's
    if (hp.d_head * hp.n_head != hp.n_embd) {
        gguf_set_val_u32(g, "sdrpn.attention.key_length", uint32_t(hp.d_head));
    }
    if (hp.rope_by_sections()) {
        gguf_set_arr_data(g, "sdrpn.rope.dimension_sections", GGUF_TYPE_INT32, hp.rope_sections, 3);
        gguf_set_val_bool(g, "sdrpn.rope_interleaved", hp.rope_interleaved);
    }
    if (hp.head_rope) {
        gguf_set_val_bool(g, "sdrpn.head_rope", true);
    }
    if (!hp.head_norm) {
        gguf_set_val_bool(g, "sdrpn.head_norm", false);
    }
    gguf_set_val_str(g, "sdrpn.base.name", hp.base_name.c_str());
    gguf_set_val_u32(g, "sdrpn.base.block_count", uint32_t(hp.base_n_layer));
    if (hp.base_n_vocab) {
        gguf_set_val_u32(g, "sdrpn.base.vocab_size", uint32_t(hp.base_n_vocab));
    }
    if (hp.threshold != 0) {
        gguf_set_val_f32(g, "sdrpn.threshold", hp.threshold);
    }
}

rpn_writer::~rpn_writer() {
    if (!temp.empty()) {
        out.close();
        std::error_code ec;
        fs::remove(fs::u8path(temp), ec);
    }
}

void rpn_writer_open(rpn_writer & w, const std::string & path, const rpn_hparams & hp, const std::string & name, ggml_type type) {
    w.tensors = rpn_file_tensors(hp, type);
    for (const rpn_file_tensor & t : w.tensors) {
        if (t.ne1 && t.type != type) {
            w.fallbacks.push_back(t.name + ": " + type_name(type) + " -> " + type_name(t.type));
        }
    }

    gguf_context_ptr header(gguf_init_empty());
    rpn_file_keys(header.get(), hp, name, type);
    rpn_writer_begin(w, path, header.get());
}

void rpn_writer_begin(rpn_writer & w, const std::string & path, gguf_context * g) {
    w.path = path;
    ggml_context_ptr ctx(ggml_init({ (w.tensors.size() + 1) * ggml_tensor_overhead(), nullptr, true }));
    for (const rpn_file_tensor & t : w.tensors) {
        ggml_tensor * x = t.ne1 ? ggml_new_tensor_2d(ctx.get(), t.type, t.ne0, t.ne1) : ggml_new_tensor_1d(ctx.get(), t.type, t.ne0);
        ggml_set_name(x, t.name.c_str());
        gguf_add_tensor(g, x);
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

void rpn_writer_add(rpn_writer & w, const std::vector<float> & values) {
    if (w.n_done == w.tensors.size() || int64_t(values.size()) != w.tensors[w.n_done].ne0 * w.tensors[w.n_done].n_rows()) {
        throw sd_error("INTERNAL", "An RPN file was given tensors that its header does not announce");
    }
    const rpn_file_tensor & t = w.tensors[w.n_done];
    const int64_t n_chunk = std::max<int64_t>(1, CHUNK / t.ne0);
    std::vector<char> buf;
    for (int64_t row = 0; row < t.n_rows(); row += n_chunk) {
        if (w.cancel && *w.cancel) {
            throw sd_error("ABORTED", "Writing " + w.path + " was aborted");
        }
        const int64_t n = std::min(n_chunk, t.n_rows() - row);
        buf.resize(size_t(n) * ggml_row_size(t.type, t.ne0));
        ggml_quantize_chunk(t.type, values.data() + row * t.ne0, buf.data(), 0, n, t.ne0, nullptr);
        put(w, buf.data(), buf.size());
    }
    const char zeros[GGUF_DEFAULT_ALIGNMENT] = {};
    put(w, zeros, size_t(GGML_PAD(w.n_bytes, GGUF_DEFAULT_ALIGNMENT) - w.n_bytes));
    w.n_done++;
}

void rpn_writer_close(rpn_writer & w) {
    if (w.n_done != w.tensors.size()) {
        throw sd_error("INTERNAL", "An RPN file was closed before all its tensors were there");
    }
    errno = 0;
    w.out.close();
    if (!w.out) {
        throw io_error(w, "written (is the disk full?)");
    }
    std::error_code ec;
    fs::rename(fs::u8path(w.temp), fs::u8path(w.path), ec);
    if (ec) {
        throw sd_error("IO_ERROR", "The " + w.what + " " + w.path + " could not be put in place: " + ec.message());
    }
    w.temp.clear();
}
