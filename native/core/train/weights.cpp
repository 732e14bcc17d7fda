#include "weights.h"

#include "backend.h"
#include "error.h"
#include "gguf-file.h"
#include "rpn/rpn-file.h"
#include "rpn/rpn-impl.h"

#include <cmath>

rpn_weights rpn_weights_load(const std::string & path) {
    sd_backend_init();
    gguf_file f;
    gguf_file_open(f, path, "RPN", "RPN_INVALID");
    rpn_weights w;
    rpn_read_hparams(f, w.hp);
    w.name = f.str_or("general.name", "");
    for (const rpn_file_tensor & t : rpn_file_tensors(w.hp, GGML_TYPE_F32)) {
        w.tensors[t.name] = f.read_f32(t.ne1 ? f.matrix(t.name, t.ne0, t.ne1) : f.vector(t.name, t.ne0));
    }
    for (const rpn_file_tensor & t : rpn_gate_tensors(w.hp, GGML_TYPE_F32)) {
        w.tensors[t.name] = f.read_f32(t.ne1 ? f.matrix(t.name, t.ne0, t.ne1) : f.vector(t.name, t.ne0));
    }
    return w;
}

static void read_base_hparams(const gguf_file & f, rpn_hparams & hp) {
    auto bad = [&](const std::string & why) { return sd_error("MODEL_INVALID", "The model file " + f.path + " " + why); };

    hp.base_architecture = f.str("general.architecture");
    if (hp.base_architecture != "llama") {
        throw bad("has the architecture " + hp.base_architecture + ": a region proposal network can only be trained for llama");
    }
    hp.n_embd = int(f.u32("llama.embedding_length"));
    hp.n_ff = int(f.u32("llama.feed_forward_length"));
    hp.n_head = int(f.u32("llama.attention.head_count"));
    hp.n_head_kv = int(f.u32_or("llama.attention.head_count_kv", uint32_t(hp.n_head)));
    hp.eps = f.f32("llama.attention.layer_norm_rms_epsilon");
    hp.rope_base = f.f32_or("llama.rope.freq_base", 10000.0f);
    hp.rope_type = GGML_ROPE_TYPE_NORMAL;
    hp.base_n_layer = int(f.u32("llama.block_count"));
    hp.base_n_vocab = int(f.u32_or("llama.vocab_size", 0));
    hp.base_name = f.str_or("general.name", "");
    const bool sane = hp.n_embd > 0 && hp.n_embd <= 1 << 17 && hp.n_ff > 0 && hp.n_ff <= 1 << 20 && hp.n_head > 0 && hp.n_head_kv > 0
        && hp.n_head % hp.n_head_kv == 0 && hp.n_embd % hp.n_head == 0 && hp.base_n_layer > 0 && hp.base_n_layer <= 1 << 12 && std::isfinite(hp.eps)
        && hp.eps > 0 && std::isfinite(hp.rope_base) && hp.rope_base > 0;
    if (!sane) {
        throw bad("has impossible sizes in its header: download it again");
    }
    hp.d_head = hp.n_embd / hp.n_head;
    hp.rope_dim = int(f.u32_or("llama.rope.dimension_count", uint32_t(hp.d_head)));
    if (hp.rope_dim <= 0 || hp.rope_dim > hp.d_head || hp.rope_dim % 2 != 0) {
        throw bad(sd_format("has rope dimension %d for heads of width %d", hp.rope_dim, hp.d_head));
    }
    // what the network's own layers do not have
    if (int(f.u32_or("llama.attention.key_length", uint32_t(hp.d_head))) != hp.d_head) {
        throw bad("has heads whose width is not the model's divided by their number: such models are not supported");
    }
    if (f.str_or("llama.rope.scaling.type", "none") != "none" || f.tensor("rope_freqs.weight")) {
        throw bad("scales its rope: only models without rope scaling are supported");
    }
}

rpn_weights rpn_weights_from_base(const std::string & path, int branch, int n_block) {
    sd_backend_init();
    gguf_file f;
    gguf_file_open(f, path, "model", "MODEL_INVALID");
    rpn_weights w;
    rpn_hparams & hp = w.hp;
    read_base_hparams(f, hp);
    if (branch < 1 || n_block < 1 || n_block > 64 || branch + n_block > hp.base_n_layer) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Expected layers within the %d of %s for branch %d and block count %d: "
                      "the network starts from layers %d to %d",
                hp.base_n_layer, path.c_str(), branch, n_block, branch, branch + n_block - 1));
    }
    hp.branch = branch;
    hp.n_block = n_block;
    w.name = hp.base_name;
    for (const rpn_file_tensor & t : rpn_file_tensors(hp, GGML_TYPE_F32)) {
        std::string from = t.name;
        if (from.rfind("blk.", 0) == 0) {
            const size_t dot = from.find('.', 4);
            const std::string layer = "blk." + std::to_string(branch + std::stoi(from.substr(4, dot - 4)));
            const std::string part = from.substr(dot, from.rfind('.') - dot);
            if (f.tensor(layer + part + ".bias")) {
                throw sd_error("MODEL_INVALID", "The model file " + path + " has the tensor " + layer + part + ".bias: models with biases are not supported");
            }
            from = layer + part + ".weight";
        }
        w.tensors[t.name] = f.read_f32(t.ne1 ? f.matrix(from, t.ne0, t.ne1) : f.vector(from, t.ne0));
    }
    return w;
}
