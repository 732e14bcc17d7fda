// The tensors of vision towers.

#include "planner.h"

namespace {

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

} // namespace

convert_file convert_plan_mmproj(const std::string & path, const convert_config & c, const convert_vision & v, const safetensor_map & tensors) {
    planner p{ path, tensors, CONVERT_PRUNED, {}, "", 0 };
    switch (c.family) {
        case CONVERT_LLAVA:  plan_llava(p, v, c.net.n_embd); break;
        case CONVERT_QWEN25: plan_qwen25(p, v); break;
        case CONVERT_QWEN3:  plan_qwen3(p, v); break;
    }
    return p.end("mmproj");
}
