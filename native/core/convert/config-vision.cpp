// The vision tower of a checkpoint.

#include "config-reader.h"
#include "config.h"

#include <algorithm>

namespace fs = std::filesystem;
using json = nlohmann::json;

static const int MAX_LAYERS = 128; // of a tower

// mean and deviation of the colours, from the first preprocessor_config.json of these folders
static void read_colours(const std::vector<fs::path> & dirs, convert_family family, convert_vision & v) {
    v.mean = { 0.48145466f, 0.4578275f, 0.40821073f };
    v.dev = { 0.26862954f, 0.26130258f, 0.27577711f };
    if (family == CONVERT_QWEN3) {
        v.mean = v.dev = { 0.5f, 0.5f, 0.5f };
    }
    for (const fs::path & dir : dirs) {
        const fs::path file = dir / "preprocessor_config.json";
        std::error_code ec;
        if (!fs::exists(file, ec)) {
            continue;
        }
        const json j = checkpoint_json(file);
        const config_reader r{ file.u8string(), { &j } };
        if (r.has("image_mean")) {
            v.mean = r.numbers("image_mean", 3);
        }
        if (r.has("image_std")) {
            v.dev = r.numbers("image_std", 3);
        }
        if (*std::min_element(v.dev.begin(), v.dev.end()) <= 0) {
            throw r.invalid("image_std", "three positive numbers");
        }
        return;
    }
}

static void read_qwen(const config_reader & r, const convert_config & c, convert_vision & v) {
    v.n_layer = r.integer("depth", MAX_LAYERS);
    v.n_embd = r.integer("hidden_size", 1 << 16);
    v.n_ff = r.integer("intermediate_size", 1 << 18);
    v.n_head = r.integer("num_heads", 1 << 10);
    v.patch = r.integer(r.has("patch_size") ? "patch_size" : "spatial_patch_size", 64);
    v.merge = r.integer("spatial_merge_size", 8);
    v.n_out = r.integer("out_hidden_size", 1 << 17);
    v.eps = 1e-6f;
    r.expect("temporal_patch_size", 2);
    r.expect("in_channels", 3);
    r.expect("in_chans", 3);
    r.expect("spatial_merge_size", 2);
    if (v.n_embd % v.n_head != 0 || v.n_embd / v.n_head % 4 != 0) { // two axes of positions, in pairs
        throw r.invalid("num_heads", sd_format("heads that divide a width of %d into multiples of 4", v.n_embd));
    }
    if (v.n_out != c.net.n_embd) {
        throw r.invalid("out_hidden_size", sd_format("%d, as hidden_size of the language model", c.net.n_embd));
    }
}

// Qwen2.5-VL: most layers look at windows, and every so many at the whole picture
static void read_qwen25(const config_reader & r, convert_vision & v) {
    r.expect("hidden_act", "silu");
    r.expect("window_size", 112); // built into llama.cpp
    v.image_size = v.patch * 40;  // for information: the tower takes any size
    const std::vector<int> full = r.integers("fullatt_block_indexes", MAX_LAYERS, MAX_LAYERS);
    v.full_attention = full.empty() ? 0 : full[0] + 1;
    std::vector<int> regular;
    for (int i = v.full_attention - 1; v.full_attention > 0 && i < v.n_layer; i += v.full_attention) {
        regular.push_back(i);
    }
    if (full.empty() || full != regular) {
        throw r.invalid("fullatt_block_indexes", "layers at equal distances, the first one distance from the start");
    }
}

static void read_qwen3(const config_reader & r, convert_vision & v) {
    r.expect("hidden_act", "gelu_pytorch_tanh");
    const int n = r.integer("num_position_embeddings", 1 << 20);
    int side = 1;
    while (side * side < n) {
        side++;
    }
    if (side * side != n) {
        throw r.invalid("num_position_embeddings", "a square number");
    }
    v.image_size = side * v.patch;
    v.deepstack = r.integers("deepstack_visual_indexes", 16, v.n_layer - 1);
    if (!std::is_sorted(v.deepstack.begin(), v.deepstack.end()) || std::adjacent_find(v.deepstack.begin(), v.deepstack.end()) != v.deepstack.end()) {
        throw r.invalid("deepstack_visual_indexes", "ascending layers");
    }
}

static void read_llava(const config_reader & r, const config_reader & own, const std::map<std::string, safetensor> & tensors, convert_vision & v) {
    r.expect("mm_projector_type", "mlp2x_gelu");
    r.expect("projector_hidden_act", "gelu");
    r.expect("mm_vision_select_feature", "patch");
    r.expect("vision_feature_select_strategy", "default");
    const auto sides = [&](const char * name, size_t n) {
        const auto it = tensors.find(std::string("vision_model.") + name);
        if (it == tensors.end()) {
            throw checkpoint_invalid(r.path,
                std::string("comes without a vision tower (vision_model.") + name
                    + "): LLaVA-1.5 checkpoints often leave out CLIP, give the folder of clip-vit-large-patch14-336 as --base too");
        }
        const std::vector<int64_t> & s = it->second.shape;
        if (s.size() != n || *std::min_element(s.begin(), s.end()) < 1 || *std::max_element(s.begin(), s.end()) > 1 << 18) {
            throw checkpoint_invalid(it->second.path, "has no vision tower's shape for " + it->second.name);
        }
        return s;
    };
    const std::vector<int64_t> patch = sides("embeddings.patch_embedding.weight", 4), position = sides("embeddings.position_embedding.weight", 2);
    v.n_embd = int(patch[0]);
    v.patch = int(patch[2]);
    v.n_ff = int(sides("encoder.layers.0.mlp.fc1.weight", 2)[0]);
    int n_layer = 0;
    while (n_layer < MAX_LAYERS && tensors.count("vision_model.encoder.layers." + std::to_string(n_layer) + ".mlp.fc1.weight")) {
        n_layer++;
    }
    // CLIP's heads are 64 wide
    v.n_head = own.has("num_attention_heads") ? own.integer("num_attention_heads", 1 << 10) : std::max(1, v.n_embd / 64);
    if (v.n_embd % v.n_head != 0) {
        throw own.invalid("num_attention_heads", sd_format("heads that divide a width of %d", v.n_embd));
    }
    int side = 1;
    while (side * side < position[0] - 1) {
        side++;
    }
    if (side * side != position[0] - 1 || patch[2] != patch[3] || patch[1] != 3 || side * v.patch > 4096) {
        throw checkpoint_invalid(r.path, "goes with a vision tower of no square grid");
    }
    v.image_size = side * v.patch;
    // -1: after the last layer, -2: after the one before
    const char * key = r.has("vision_feature_layer") ? "vision_feature_layer" : "mm_vision_select_layer";
    v.feature_layer = n_layer + 1 + r.integer_or(key, -2, -1, -n_layer);
    v.n_layer = v.feature_layer;
    v.eps = 1e-5f;
    const auto mm = tensors.find("mm_projector.2.weight");
    v.n_out = mm != tensors.end() && mm->second.shape.size() == 2 ? int(mm->second.shape[0]) : 0;
}

convert_vision convert_vision_read(const convert_config & c, const std::vector<fs::path> & dirs, const std::map<std::string, safetensor> & tensors) {
    convert_vision v;
    const auto it = c.root.find("vision_config");
    static const json none = json::object();
    const json & own = it != c.root.end() && it->is_object() ? *it : none;
    const config_reader r{ c.path, { &own } };
    if (c.family == CONVERT_LLAVA) {
        read_llava({ c.path, { &c.root } }, r, tensors, v);
    } else {
        if (&own == &none) {
            throw checkpoint_invalid(c.path, "lacks the object vision_config");
        }
        read_qwen(r, c, v);
        if (c.family == CONVERT_QWEN25) {
            read_qwen25(r, v);
        } else {
            read_qwen3(r, v);
        }
    }
    read_colours(dirs, c.family, v);
    return v;
}
