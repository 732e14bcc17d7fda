#include "qwen-checkpoint.h"

#include "test.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

namespace fs = std::filesystem;
using json = nlohmann::json;

json test_qwen_config(const test_qwen_sizes & s) {
    const int d = s.n_embd / s.n_head / 2;
    return {
        { "model_type", "qwen2_5_vl" },
        { "hidden_size", s.n_embd },
        { "intermediate_size", s.n_ff },
        { "num_attention_heads", s.n_head },
        { "num_key_value_heads", s.n_head_kv },
        { "num_hidden_layers", s.n_layer },
        { "vocab_size", s.n_vocab },
        { "rms_norm_eps", 1e-6 },
        { "rope_theta", 1e6 },
        { "rope_scaling", { { "type", "mrope" }, { "mrope_section", { d - 2 * (d * 3 / 8), d * 3 / 8, d * 3 / 8 } } } },
        { "max_position_embeddings", 128000 },
        { "tie_word_embeddings", s.tied },
        { "eos_token_id", 322 },
        { "twig_K", s.n_layer - 1 },
        { "twig_T", 3 },
        { "vision_config",
            {
                { "depth", s.v_layer },
                { "hidden_size", s.v_embd },
                { "intermediate_size", s.v_ff },
                { "num_heads", s.v_head },
                { "patch_size", 14 },
                { "spatial_merge_size", 2 },
                { "temporal_patch_size", 2 },
                { "window_size", 112 },
                { "out_hidden_size", s.n_embd },
                { "fullatt_block_indexes", { s.v_layer - 1 } },
                { "hidden_act", "silu" },
            } },
    };
}

std::map<std::string, std::vector<int64_t>> test_qwen_shapes(const test_qwen_sizes & s) {
    std::map<std::string, std::vector<int64_t>> out;
    const int64_t n = s.n_embd, n_kv = n / s.n_head * s.n_head_kv, v = s.v_embd, m = v * 4;
    const auto block = [&](const std::string & b) {
        out[b + "input_layernorm.weight"] = out[b + "post_attention_layernorm.weight"] = { n };
        out[b + "self_attn.q_proj.weight"] = out[b + "self_attn.o_proj.weight"] = { n, n };
        out[b + "self_attn.k_proj.weight"] = out[b + "self_attn.v_proj.weight"] = { n_kv, n };
        out[b + "self_attn.q_proj.bias"] = { n };
        out[b + "self_attn.k_proj.bias"] = out[b + "self_attn.v_proj.bias"] = { n_kv };
        out[b + "mlp.gate_proj.weight"] = out[b + "mlp.up_proj.weight"] = { s.n_ff, n };
        out[b + "mlp.down_proj.weight"] = { n, s.n_ff };
    };
    out["model.embed_tokens.weight"] = { s.n_vocab, n };
    out["model.norm.weight"] = out["model.twig_norm.weight"] = { n };
    if (!s.tied) {
        out["lm_head.weight"] = { s.n_vocab, n };
    }
    for (int il = 0; il < s.n_layer; il++) {
        block("model.layers." + std::to_string(il) + ".");
    }
    for (int il = 0; il < 3; il++) {
        block("model.twig_layers." + std::to_string(il) + ".");
    }
    out["visual.patch_embed.proj.weight"] = { v, 3, 2, 14, 14 };
    for (int il = 0; il < s.v_layer; il++) {
        const std::string b = "visual.blocks." + std::to_string(il) + ".";
        out[b + "norm1.weight"] = out[b + "norm2.weight"] = out[b + "attn.proj.bias"] = out[b + "mlp.down_proj.bias"] = { v };
        out[b + "attn.qkv.weight"] = { 3 * v, v };
        out[b + "attn.qkv.bias"] = { 3 * v };
        out[b + "attn.proj.weight"] = { v, v };
        out[b + "mlp.gate_proj.weight"] = out[b + "mlp.up_proj.weight"] = { s.v_ff, v };
        out[b + "mlp.gate_proj.bias"] = out[b + "mlp.up_proj.bias"] = { s.v_ff };
        out[b + "mlp.down_proj.weight"] = { v, s.v_ff };
    }
    out["visual.merger.ln_q.weight"] = { v };
    out["visual.merger.mlp.0.weight"] = { m, m };
    out["visual.merger.mlp.0.bias"] = { m };
    out["visual.merger.mlp.2.weight"] = { n, m };
    out["visual.merger.mlp.2.bias"] = { n };
    return out;
}

// header of a safetensors file with these tensors, and the size of its data
static std::string header_of(const std::map<std::string, std::vector<int64_t>> & shapes, uint64_t & n_data) {
    json header;
    n_data = 0;
    for (const auto & [name, shape] : shapes) {
        uint64_t bytes = 2;
        for (int64_t side : shape) {
            bytes *= uint64_t(side);
        }
        header[name] = { { "dtype", "BF16" }, { "shape", shape }, { "data_offsets", { n_data, n_data + bytes } } };
        n_data += bytes;
    }
    const std::string text = header.dump();
    std::string out(8, '\0');
    for (int i = 0; i < 8; i++) {
        out[size_t(i)] = char(uint64_t(text.size()) >> (8 * i) & 0xff);
    }
    return out + text;
}

std::string test_qwen_checkpoint(const std::string & name, const test_qwen_sizes & s, bool holes) {
    const std::string dir = test_empty_dir(name), golden = test_fixture("golden/qwen/sdrpn-qwen2.5/");
    test_write(dir + "/config.json", test_qwen_config(s).dump());
    for (const char * file : { "tokenizer.json", "tokenizer_config.json" }) {
        fs::copy_file(fs::u8path(golden + file), fs::u8path(dir + "/" + file));
    }
    const auto shapes = test_qwen_shapes(s);
    uint64_t n_data = 0;
    std::string bytes = header_of(shapes, n_data);
    const std::string path = dir + "/model.safetensors";
    if (holes) {
        test_write(path, bytes);
        fs::resize_file(fs::u8path(path), bytes.size() + n_data);
        return dir;
    }
    std::mt19937 rng(9);
    for (const auto & [_, shape] : shapes) {
        int64_t n = 1;
        for (int64_t side : shape) {
            n *= side;
        }
        const float scale = shape.size() > 1 ? std::sqrt(3.0f / float(shape.back())) : 0.3f;
        for (int64_t i = 0; i < n; i++) {
            const float v = (shape.size() > 1 ? 0.0f : 1.0f) + scale * float(rng() / 4294967296.0 * 2 - 1);
            uint32_t bits;
            memcpy(&bits, &v, sizeof(bits));
            bytes += { char(bits >> 16 & 0xff), char(bits >> 24) }; // the upper half is bf16
        }
    }
    test_write(path, bytes);
    return dir;
}
