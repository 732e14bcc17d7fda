// What mtmd takes for granted of the files of LLaVA-1.5's tower, a CLIP ViT with a multilayer perceptron behind it.

#include "error.h"
#include "vision-header.h"

#include "ggml.h"

#include <set>
#include <utility>

// how many hidden states the projector reads side by side
static int count_features(const gguf_file & f, int n_layer) {
    const int64_t key = gguf_find_key(f.ctx, "clip.vision.feature_layer");
    std::set<int32_t> layers;
    for (size_t i = 0; key >= 0 && i < gguf_get_arr_n(f.ctx, key); i++) {
        const int32_t layer = static_cast<const int32_t *>(gguf_get_arr_data(f.ctx, key))[i];
        if (layer > n_layer) {
            throw sd_error("MMPROJ_INVALID", sd_format("mmproj file %s reads the state after block %d, but it has %d blocks", f.path.c_str(), layer, n_layer));
        }
        if (layer >= 0) {
            layers.insert(layer);
        }
    }
    return layers.empty() ? 1 : int(layers.size());
}

// the shapes that the graph takes for granted
static void check_tensors(const gguf_file & f, int width, int n_layer, int patch_size, int n_tokens) {
    auto optional = [&](const std::string & name, int64_t n) {
        if (f.tensor(name)) {
            f.vector(name, n);
        }
    };
    auto norm = [&](const std::string & name, int64_t n) {
        f.vector(name + ".weight", n);
        f.vector(name + ".bias", n);
    };
    const ggml_tensor * patch = f.tensor("v.patch_embd.weight");
    if (!patch || patch->ne[0] != patch_size || patch->ne[1] != patch_size || patch->ne[2] != 3 || patch->ne[3] != width
        || (patch->type != GGML_TYPE_F32 && patch->type != GGML_TYPE_F16)) {
        throw sd_error("MMPROJ_INVALID",
            sd_format("mmproj file %s has no f16 or f32 tensor v.patch_embd.weight of shape [%d, %d, 3, %d]", f.path.c_str(), patch_size, patch_size, width));
    }
    optional("v.patch_embd.bias", width);
    optional("v.class_embd", width);
    f.matrix("v.position_embd.weight", width, n_tokens + (f.tensor("v.class_embd") ? 1 : 0));
    for (const char * name : { "v.pre_ln", "v.post_ln" }) {
        if (f.tensor(std::string(name) + ".weight") || f.tensor(std::string(name) + ".bias")) {
            norm(name, width);
        }
    }
    for (int il = 0; il < n_layer; il++) {
        const std::string b = "v.blk." + std::to_string(il) + ".";
        norm(b + "ln1", width);
        norm(b + "ln2", width);
        for (const char * name : { "attn_q", "attn_k", "attn_v", "attn_out" }) {
            f.matrix(b + name + ".weight", width, width);
            optional(b + name + ".bias", width);
        }
        // files of old converters have the two names swapped, and mtmd swaps them back
        std::string up = b + "ffn_up", down = b + "ffn_down";
        const ggml_tensor * t = f.tensor(down + ".weight");
        if (t && t->ne[0] == width) {
            std::swap(up, down);
        }
        t = f.tensor(up + ".weight");
        const int64_t n_ff = t ? t->ne[1] : 0;
        f.matrix(up + ".weight", width, n_ff);
        f.matrix(down + ".weight", n_ff, width);
        optional(up + ".bias", n_ff);
        optional(down + ".bias", width);
        if (f.tensor(b + "ffn_gate.weight") || f.tensor(b + "ffn_gate_exps.weight")) {
            throw sd_error("MMPROJ_INVALID", "mmproj file " + f.path + " has gated blocks, which CLIP has not");
        }
    }
}

// the projector's layers; returns the width of its output
static int64_t check_projector(const gguf_file & f, int64_t n_in) {
    auto linear = [&](const std::string & name, int64_t n) {
        const ggml_tensor * t = f.tensor(name + ".weight");
        const int64_t n_out = t ? t->ne[1] : 0;
        f.matrix(name + ".weight", n, n_out);
        f.vector(name + ".bias", n_out);
        return n_out;
    };
    const int64_t n_hidden = linear("mm.0", n_in);
    if (!f.tensor("mm.3.weight")) {
        return linear("mm.2", n_hidden);
    }
    // with layer norms, as Yi-VL has it
    f.vector("mm.1.weight", n_hidden);
    f.vector("mm.1.bias", n_hidden);
    const int64_t n_out = linear("mm.3", n_hidden);
    f.vector("mm.4.weight", n_out);
    f.vector("mm.4.bias", n_out);
    return n_out;
}

int64_t sd_vision_check_llava(const gguf_file & f, const sd_tower_shape & shape, sd_vision_info & info) {
    const int side = shape.image_size / shape.patch_size;
    info.pixels = { shape.image_size, shape.image_size };
    info.grid = { side, side };
    info.cell = shape.patch_size;
    check_tensors(f, shape.width, shape.n_layer, shape.patch_size, info.grid.area());
    return check_projector(f, int64_t(shape.width) * count_features(f, shape.n_layer));
}
