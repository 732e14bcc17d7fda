#include "planner.h"

#include "rpn/rpn-file.h"

#include <algorithm>

namespace {

// names of a decoder block's parts, in a GGUF file and in a checkpoint
const std::vector<std::pair<std::string, std::string>> BLOCK = {
    { "attn_norm", "input_layernorm" },
    { "ffn_norm", "post_attention_layernorm" },
    { "attn_q", "self_attn.q_proj" },
    { "attn_k", "self_attn.k_proj" },
    { "attn_v", "self_attn.v_proj" },
    { "attn_output", "self_attn.o_proj" },
    { "attn_q_norm", "self_attn.q_norm" },
    { "attn_k_norm", "self_attn.k_norm" },
    { "ffn_gate", "mlp.gate_proj" },
    { "ffn_up", "mlp.up_proj" },
    { "ffn_down", "mlp.down_proj" },
};

// "attn_q.weight" -> "self_attn.q_proj.weight"
std::string block_source(const std::string & part) {
    const size_t dot = part.rfind('.');
    for (const auto & [to, from] : BLOCK) {
        if (part.compare(0, dot, to) == 0) {
            return from + part.substr(dot);
        }
    }
    throw sd_error("INTERNAL", "A block has no part " + part);
}

bool starts(const std::string & text, const char * with) {
    return text.rfind(with, 0) == 0;
}

} // namespace

uint64_t convert_file::bytes_read() const {
    uint64_t n = 0;
    for (size_t i = 0; i < tensors.size(); i++) {
        // a patch embedding is read once for each of its halves
        const safetensor & t = *sources[i].from;
        n += sources[i].time >= 0 ? (t.end - t.begin) : (t.end - t.begin) / uint64_t(t.n_elements()) * uint64_t(tensors[i].ne0 * tensors[i].n_rows());
    }
    return n;
}

bool convert_wants_rpn(const std::string & name) {
    return starts(name, "twig_") || starts(name, "high_res_");
}

bool convert_wants(const std::string & name) {
    return convert_wants_rpn(name) || starts(name, "layers.") || starts(name, "visual.") || starts(name, "vision_model.") || starts(name, "mm_projector.")
        || name == "embed_tokens.weight" || name == "norm.weight" || name == "lm_head.weight";
}

convert_file convert_plan_model(const std::string & path, const convert_config & c, const safetensor_map & tensors, bool tied) {
    planner p{ path, tensors, CONVERT_PRUNED, {}, "", 0 };
    const rpn_hparams & hp = c.net;
    const int64_t n = hp.n_embd, n_q = int64_t(hp.n_head) * hp.d_head, n_kv = hp.n_kv();
    p.matrix("token_embd.weight", "embed_tokens.weight", hp.base_n_vocab, n);
    p.vector("output_norm.weight", "norm.weight", n);
    if (!tied) {
        p.matrix("output.weight", "lm_head.weight", hp.base_n_vocab, n);
    }
    const bool pairs = c.family == CONVERT_LLAVA;
    for (int il = 0; il < hp.base_n_layer; il++) {
        const std::string b = sd_format("blk.%d.", il), from = sd_format("layers.%d.", il);
        const auto vector = [&](const std::string & name, int64_t size) { p.vector(b + name, from + block_source(name), size); };
        const auto projection = [&](const std::string & name, int64_t rows, int n_head) {
            p.matrix(b + name + ".weight", from + block_source(name + ".weight"), rows, n, pairs ? n_head : 0);
            if (hp.bias) {
                vector(name + ".bias", rows);
            }
        };
        vector("attn_norm.weight", n);
        vector("ffn_norm.weight", n);
        projection("attn_q", n_q, hp.n_head);
        projection("attn_k", n_kv, hp.n_head_kv);
        projection("attn_v", n_kv, 0);
        p.matrix(b + "attn_output.weight", from + block_source("attn_output.weight"), n, n_q);
        if (hp.qk_norm) {
            vector("attn_q_norm.weight", hp.d_head);
            vector("attn_k_norm.weight", hp.d_head);
        }
        p.matrix(b + "ffn_gate.weight", from + block_source("ffn_gate.weight"), hp.n_ff, n);
        p.matrix(b + "ffn_up.weight", from + block_source("ffn_up.weight"), hp.n_ff, n);
        p.matrix(b + "ffn_down.weight", from + block_source("ffn_down.weight"), n, hp.n_ff);
    }
    return p.end("model");
}

convert_file convert_plan_rpn(const std::string & path, const convert_config & c, const safetensor_map & tensors, ggml_type type) {
    const rpn_hparams & hp = c.net;
    planner p{ path, tensors, "is it complete, and do twig_K and twig_T in config.json belong to it?", {}, "", 0 };
    if (std::none_of(tensors.begin(), tensors.end(), [](const auto & t) { return starts(t.first, "twig_layers."); })) {
        throw checkpoint_invalid(path, "holds no model.twig_layers tensors: expected an SD-RPN or Q-Zoom checkpoint, not its base model");
    }
    // a part that the network's kind does not have would be left out silently
    for (const auto & [name, t] : tensors) {
        const bool bias = name.find("_proj.bias") != std::string::npos,
                   norm = name.find("q_norm.") != std::string::npos || name.find("k_norm.") != std::string::npos;
        if ((starts(name, "twig_layers.") || starts(name, "high_res_layers.")) && ((bias && !hp.bias) || (norm && !hp.qk_norm))) {
            throw checkpoint_invalid(
                path, "holds " + t.name + ", which a network of " + hp.base_architecture + " does not have: does config.json belong to it?");
        }
    }
    const std::string last = sd_format("blk.%d.", hp.n_block - 1);
    for (const auto & list : { rpn_file_tensors(hp, type), rpn_gate_tensors(hp, type) }) {
        for (const rpn_file_tensor & t : list) {
            std::string from;
            const bool gate = starts(t.name, "gate.");
            if (t.name == "output_norm.weight") {
                from = "twig_norm.weight";
            } else if (starts(t.name, "gate.output.")) {
                from = "high_res_head." + t.name.substr(12);
            } else { // [gate.]blk.<N>.<part>
                const size_t layer = gate ? 9 : 4, part = t.name.find('.', layer) + 1;
                from = (gate ? "high_res_layers." : "twig_layers.") + t.name.substr(layer, part - layer) + block_source(t.name.substr(part));
            }
            const bool q = t.name.find(".attn_q.weight") != std::string::npos, k = t.name.find(".attn_k.weight") != std::string::npos;
            // the last block of LLaVA's has no rope, so the order of its rows does not matter
            const bool pairs = c.family == CONVERT_LLAVA && (q || k) && !starts(t.name, last.c_str());
            std::vector<int64_t> shape = t.ne1 ? std::vector<int64_t>{ t.ne1, t.ne0 } : std::vector<int64_t>{ t.ne0 };
            if (from == "high_res_head.weight") {
                shape = { 1, t.ne0 };
            }
            p.push(t, { p.find(from, shape), 0, !pairs ? 0 : q ? hp.n_head : hp.n_head_kv, -1 });
        }
    }
    return p.end("RPN");
}
