#include "rpn-file.h"

#include "error.h"

#include "ggml-cpp.h"
#include "gguf.h"

static const struct {
    const char * name;
    ggml_type type;
    uint32_t file_type; // llama.cpp's number for general.file_type
} TYPES[] = {
    { "f32", GGML_TYPE_F32, 0 },
    { "f16", GGML_TYPE_F16, 1 },
    { "bf16", GGML_TYPE_BF16, 32 },
    { "q8_0", GGML_TYPE_Q8_0, 7 },
    { "q4_k", GGML_TYPE_Q4_K, 14 },
};

ggml_type rpn_file_type(const std::string & name) {
    for (const auto & t : TYPES) {
        if (name == t.name) {
            return t.type;
        }
    }
    throw sd_error("INVALID_ARGUMENT", "Expected one of f32, f16, bf16, q8_0, q4_k for type but received " + name);
}

uint32_t rpn_file_type_number(ggml_type type) {
    for (const auto & t : TYPES) {
        if (type == t.type) {
            return t.file_type;
        }
    }
    throw sd_error("INTERNAL", "An RPN file was to be written in a type that it cannot have");
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

namespace {

// a list of tensors, part by part
struct tensor_list {
    const rpn_hparams & hp;
    ggml_type type;
    std::vector<rpn_file_tensor> out;

    void vector(const std::string & name, int64_t n) { out.push_back({ name, n, 0, GGML_TYPE_F32 }); }

    void matrix(const std::string & name, int64_t ne0, int64_t ne1) { out.push_back({ name, ne0, ne1, type_for_rows(type, ne0) }); }

    // a projection of the attention, with what the traits put to it
    void projection(const std::string & name, int64_t n_out, bool normed) {
        matrix(name + ".weight", hp.n_embd, n_out);
        if (hp.bias) {
            vector(name + ".bias", n_out);
        }
        if (normed && hp.qk_norm) {
            vector(name + "_norm.weight", hp.d_head);
        }
    }

    void block(const std::string & b, bool whole) {
        const int64_t n = hp.n_embd, n_q = int64_t(hp.n_head) * hp.d_head, n_kv = hp.n_kv();
        vector(b + "attn_norm.weight", n);
        projection(b + "attn_q", n_q, true);
        projection(b + "attn_k", n_kv, true);
        if (!whole) {
            return;
        }
        projection(b + "attn_v", n_kv, false);
        matrix(b + "attn_output.weight", n_q, n);
        vector(b + "ffn_norm.weight", n);
        matrix(b + "ffn_gate.weight", n, hp.n_ff);
        matrix(b + "ffn_up.weight", n, hp.n_ff);
        matrix(b + "ffn_down.weight", hp.n_ff, n);
    }
};

} // namespace

std::vector<rpn_file_tensor> rpn_file_tensors(const rpn_hparams & hp, ggml_type type) {
    tensor_list l{ hp, type, {} };
    for (int il = 0; il < hp.n_block; il++) {
        l.block("blk." + std::to_string(il) + ".", il < hp.n_block - 1); // the last block ends at its query and key
    }
    if (hp.head_norm) {
        l.vector("output_norm.weight", hp.n_embd);
    }
    return l.out;
}

std::vector<rpn_file_tensor> rpn_gate_tensors(const rpn_hparams & hp, ggml_type type) {
    tensor_list l{ hp, type, {} };
    if (hp.n_gate_block == 0) {
        return l.out;
    }
    for (int il = 0; il < hp.n_gate_block; il++) {
        l.block("gate.blk." + std::to_string(il) + ".", true);
    }
    l.vector("gate.output.weight", hp.n_embd);
    l.vector("gate.output.bias", 1);
    return l.out;
}

void rpn_writer_open(rpn_writer & w, const std::string & path, const rpn_hparams & hp, const std::string & name, ggml_type type) {
    w.tensors = rpn_file_tensors(hp, type);
    const std::vector<rpn_file_tensor> gate = rpn_gate_tensors(hp, type);
    w.tensors.insert(w.tensors.end(), gate.begin(), gate.end());
    for (const rpn_file_tensor & t : w.tensors) {
        if (t.ne1 && t.type != type) {
            w.fallbacks.push_back(t.name + ": " + type_name(type) + " -> " + type_name(t.type));
        }
    }

    gguf_context_ptr header(gguf_init_empty());
    rpn_file_keys(header.get(), hp, name, type);
    gguf_writer_begin(w, path, header.get());
}
