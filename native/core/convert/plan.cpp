#include "plan.h"

#include "rpn/rpn-file.h"

#include <algorithm>

namespace {

std::string shape_text(const std::vector<int64_t> & shape) {
    std::string s = "[";
    for (size_t i = 0; i < shape.size(); i++) {
        s += (i ? ", " : "") + std::to_string(shape[i]);
    }
    return s + "]";
}

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

// a plain name as most checkpoints have it
std::string published(const std::string & name) {
    for (const char * part : { "layers.", "twig_layers.", "twig_norm.", "high_res_", "embed_tokens.", "norm.", "mm_projector." }) {
        if (name.rfind(part, 0) == 0) {
            return "model." + name;
        }
    }
    return name;
}

struct planner {
    std::string path;
    const safetensor_map & tensors;
    std::string hint; // what to do where tensors are missing
    convert_file out;
    std::string missing;
    int n_missing = 0;

    // null where it is missing, which end() tells
    const safetensor * find(const std::string & name, const std::vector<int64_t> & shape) {
        const auto it = tensors.find(name);
        if (it == tensors.end()) {
            if (++n_missing <= 4) {
                missing += (missing.empty() ? "" : ", ") + published(name);
            }
            return nullptr;
        }
        const safetensor & t = it->second;
        if (t.shape != shape) {
            throw checkpoint_invalid(path, "has " + t.name + " with shape " + shape_text(t.shape) + ": expected " + shape_text(shape) + " after config.json");
        }
        if (t.dtype != "F32" && t.dtype != "F16" && t.dtype != "BF16") {
            throw checkpoint_invalid(path, "has " + t.name + " in type " + t.dtype + ": expected F32, F16 or BF16");
        }
        return &t;
    }

    void push(gguf_out_tensor to, convert_source source) {
        out.tensors.push_back(std::move(to));
        out.sources.push_back(source);
    }

    // n_head: of queries and keys whose rows are paired
    void matrix(const std::string & to, const std::string & from, int64_t rows, int64_t cols, int n_head = 0) {
        push({ to, cols, rows, GGML_TYPE_F32 }, { find(from, { rows, cols }), 0, n_head, -1 });
    }

    void vector(const std::string & to, const std::string & from, int64_t n) { push({ to, n, 0, GGML_TYPE_F32 }, { find(from, { n }), 0, 0, -1 }); }

    // weight and bias
    void linear(const std::string & to, const std::string & from, int64_t rows, int64_t cols) {
        matrix(to + ".weight", from + ".weight", rows, cols);
        vector(to + ".bias", from + ".bias", rows);
    }

    void norm(const std::string & to, const std::string & from, int64_t n, bool bias) {
        vector(to + ".weight", from + ".weight", n);
        if (bias) {
            vector(to + ".bias", from + ".bias", n);
        }
    }

    convert_file end(const char * what) {
        if (n_missing) {
            throw checkpoint_invalid(path, "lacks " + missing + (n_missing > 4 ? sd_format(" and %d more", n_missing - 4) : "") + ": " + hint);
        }
        out.what = what;
        return std::move(out);
    }
};

const char * const PRUNED = "is it complete? A pruned checkpoint takes what it lacks from its base model (--base DIR); --only rpn converts the network alone";

// patch embedding over `frames` frames, one tensor for each
void patches(planner & p, const std::string & from, const convert_vision & v, int frames) {
    std::vector<int64_t> shape = { v.n_embd, 3, v.patch, v.patch };
    if (frames > 1) {
        shape.insert(shape.begin() + 2, frames);
    }
    const safetensor * t = p.find(from, shape);
    for (int i = 0; i < frames; i++) {
        gguf_out_tensor to{ i ? sd_format("v.patch_embd.weight.%d", i) : "v.patch_embd.weight", v.patch, v.patch, GGML_TYPE_F32, 3, v.n_embd };
        p.push(std::move(to), { t, 0, 0, frames > 1 ? i : -1 });
    }
}

void plan_qwen25(planner & p, const convert_vision & v) {
    const int64_t n = v.n_embd, n_mm = n * v.merge * v.merge;
    patches(p, "visual.patch_embed.proj.weight", v, 2);
    for (int il = 0; il < v.n_layer; il++) {
        const std::string b = sd_format("v.blk.%d.", il), from = sd_format("visual.blocks.%d.", il);
        p.norm(b + "ln1", from + "norm1", n, false);
        p.norm(b + "ln2", from + "norm2", n, false);
        const safetensor *w = p.find(from + "attn.qkv.weight", { 3 * n, n }), *bias = p.find(from + "attn.qkv.bias", { 3 * n });
        for (int i = 0; i < 3; i++) {
            const std::string name = b + "attn_" + "qkv"[i];
            p.push({ name + ".weight", n, n, GGML_TYPE_F32 }, { w, i * n, 0, -1 });
            p.push({ name + ".bias", n, 0, GGML_TYPE_F32 }, { bias, i, 0, -1 });
        }
        p.linear(b + "attn_out", from + "attn.proj", n, n);
        p.linear(b + "ffn_gate", from + "mlp.gate_proj", v.n_ff, n);
        p.linear(b + "ffn_up", from + "mlp.up_proj", v.n_ff, n);
        p.linear(b + "ffn_down", from + "mlp.down_proj", n, v.n_ff);
    }
    p.norm("v.post_ln", "visual.merger.ln_q", n, false);
    p.linear("mm.0", "visual.merger.mlp.0", n_mm, n_mm);
    p.linear("mm.2", "visual.merger.mlp.2", v.n_out, n_mm);
}

void plan_qwen3(planner & p, const convert_vision & v) {
    const int64_t n = v.n_embd, n_mm = n * v.merge * v.merge, side = v.image_size / v.patch;
    patches(p, "visual.patch_embed.proj.weight", v, 2);
    p.vector("v.patch_embd.bias", "visual.patch_embed.proj.bias", n);
    p.matrix("v.position_embd.weight", "visual.pos_embed.weight", side * side, n);
    for (int il = 0; il < v.n_layer; il++) {
        const std::string b = sd_format("v.blk.%d.", il), from = sd_format("visual.blocks.%d.", il);
        p.norm(b + "ln1", from + "norm1", n, true);
        p.norm(b + "ln2", from + "norm2", n, true);
        p.linear(b + "attn_qkv", from + "attn.qkv", 3 * n, n);
        p.linear(b + "attn_out", from + "attn.proj", n, n);
        p.linear(b + "ffn_up", from + "mlp.linear_fc1", v.n_ff, n);
        p.linear(b + "ffn_down", from + "mlp.linear_fc2", n, v.n_ff);
    }
    p.norm("v.post_ln", "visual.merger.norm", n, true);
    p.linear("mm.0", "visual.merger.linear_fc1", n_mm, n_mm);
    p.linear("mm.2", "visual.merger.linear_fc2", v.n_out, n_mm);
    for (size_t i = 0; i < v.deepstack.size(); i++) {
        const std::string b = sd_format("v.deepstack.%d.", v.deepstack[i]), from = sd_format("visual.deepstack_merger_list.%zu.", i);
        p.norm(b + "norm", from + "norm", n_mm, true);
        p.linear(b + "fc1", from + "linear_fc1", n_mm, n_mm);
        p.linear(b + "fc2", from + "linear_fc2", v.n_out, n_mm);
    }
}

void plan_llava(planner & p, const convert_vision & v, int n_embd) {
    const int64_t n = v.n_embd, side = v.image_size / v.patch;
    const std::string t = "vision_model.";
    p.vector("v.class_embd", t + "embeddings.class_embedding", n);
    patches(p, t + "embeddings.patch_embedding.weight", v, 1);
    p.matrix("v.position_embd.weight", t + "embeddings.position_embedding.weight", side * side + 1, n);
    p.norm("v.pre_ln", t + "pre_layrnorm", n, true); // the name is spelt so
    for (int il = 0; il < v.n_layer; il++) {
        const std::string b = sd_format("v.blk.%d.", il), from = t + sd_format("encoder.layers.%d.", il);
        p.norm(b + "ln1", from + "layer_norm1", n, true);
        p.norm(b + "ln2", from + "layer_norm2", n, true);
        p.linear(b + "attn_q", from + "self_attn.q_proj", n, n);
        p.linear(b + "attn_k", from + "self_attn.k_proj", n, n);
        p.linear(b + "attn_v", from + "self_attn.v_proj", n, n);
        p.linear(b + "attn_out", from + "self_attn.out_proj", n, n);
        p.linear(b + "ffn_up", from + "mlp.fc1", v.n_ff, n);
        p.linear(b + "ffn_down", from + "mlp.fc2", n, v.n_ff);
    }
    p.linear("mm.0", "mm_projector.0", n_embd, n);
    p.linear("mm.2", "mm_projector.2", n_embd, n_embd);
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
    planner p{ path, tensors, PRUNED, {}, "", 0 };
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

convert_file convert_plan_mmproj(const std::string & path, const convert_config & c, const convert_vision & v, const safetensor_map & tensors) {
    planner p{ path, tensors, PRUNED, {}, "", 0 };
    switch (c.family) {
        case CONVERT_LLAVA:  plan_llava(p, v, c.net.n_embd); break;
        case CONVERT_QWEN25: plan_qwen25(p, v); break;
        case CONVERT_QWEN3:  plan_qwen3(p, v); break;
    }
    return p.end("mmproj");
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
