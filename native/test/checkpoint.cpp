#include "checkpoint.h"

#include "test.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

namespace fs = std::filesystem;
using json = nlohmann::json;

void test_write(const std::string & path, const std::string & bytes) {
    std::ofstream out(fs::u8path(path), std::ios::binary);
    out.write(bytes.data(), std::streamsize(bytes.size()));
}

std::string test_read(const std::string & path) {
    std::ifstream in(fs::u8path(path), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string test_empty_dir(const std::string & name) {
    const std::string dir = test_temp(name);
    fs::remove_all(fs::u8path(dir));
    fs::create_directories(fs::u8path(dir));
    return dir;
}

test_tensor test_f32(std::vector<int64_t> shape, const std::vector<float> & values) {
    test_tensor t;
    t.shape = std::move(shape);
    t.data.resize(values.size() * sizeof(float));
    memcpy(t.data.data(), values.data(), t.data.size());
    return t;
}

std::vector<float> test_values(const test_tensor & t) {
    std::vector<float> out(t.data.size() / sizeof(float));
    memcpy(out.data(), t.data.data(), t.data.size());
    return out;
}

void test_write_safetensors(const std::string & path, const test_tensors & tensors, uint64_t padding) {
    json header = { { "__metadata__", { { "format", "pt" } } } };
    uint64_t at = 0;
    auto add = [&](const std::string & name, const std::string & dtype, const std::vector<int64_t> & shape, uint64_t n) {
        header[name] = { { "dtype", dtype }, { "shape", shape }, { "data_offsets", { at, at + n } } };
        at += n;
    };
    for (const auto & [name, t] : tensors) {
        add(name, t.dtype, t.shape, t.data.size());
    }
    if (padding) {
        add("unrelated", "F8_E4M3", { int64_t(padding) }, padding);
    }
    const std::string text = header.dump();
    std::string out;
    for (int i = 0; i < 8; i++) {
        out += char(uint64_t(text.size()) >> (8 * i) & 0xff);
    }
    out += text;
    for (const auto & [name, t] : tensors) {
        out.append(t.data.begin(), t.data.end());
    }
    test_write(path, out);
    fs::resize_file(fs::u8path(path), out.size() + padding);
}

test_tensors test_read_safetensors(const std::string & path) {
    test_tensors out;
    std::ifstream in(fs::u8path(path), std::ios::binary);
    for (const auto & [name, t] : safetensors_open(path)) {
        test_tensor & o = out[name];
        o.dtype = t.dtype;
        o.shape = t.shape;
        o.data.resize(t.end - t.begin);
        in.seekg(std::streamoff(t.begin));
        in.read(o.data.data(), std::streamsize(o.data.size()));
    }
    return out;
}

json test_config(const test_sizes & s) {
    return {
        { "architectures", { "LlavaLlamaForCausalLM" } },
        { "model_type", "llava_llama" },
        { "hidden_size", s.n_embd },
        { "num_attention_heads", s.n_head },
        { "num_key_value_heads", s.n_head_kv },
        { "intermediate_size", s.n_ff },
        { "rms_norm_eps", 1e-5 },
        { "rope_theta", 10000.0 },
        { "num_hidden_layers", 32 },
        { "vocab_size", 32000 },
        { "twig_K", 15 },
        { "twig_T", s.n_block },
    };
}

test_tensors test_network(const test_sizes & s, uint32_t seed) {
    std::mt19937 rng(seed); // its sequence is fixed by the standard, the distributions' are not
    auto uniform = [&] { return float(rng() / 4294967296.0 * 2.0 - 1.0); };
    test_tensors out;
    auto matrix = [&](const std::string & name, int64_t rows, int64_t cols) {
        std::vector<float> v(rows * cols);
        for (float & x : v) {
            x = uniform() * std::sqrt(3.0f / float(cols));
        }
        out[name] = test_f32({ rows, cols }, v);
    };
    auto norm = [&](const std::string & name) {
        std::vector<float> v(s.n_embd);
        for (float & x : v) {
            x = 1.0f + 0.3f * uniform();
        }
        out[name] = test_f32({ s.n_embd }, v);
    };
    const int n_kv = s.n_embd / s.n_head * s.n_head_kv;
    for (int il = 0; il < s.n_block; il++) {
        const std::string b = "model.twig_layers." + std::to_string(il) + ".";
        norm(b + "input_layernorm.weight");
        norm(b + "post_attention_layernorm.weight");
        matrix(b + "self_attn.q_proj.weight", s.n_embd, s.n_embd);
        matrix(b + "self_attn.k_proj.weight", n_kv, s.n_embd);
        matrix(b + "self_attn.v_proj.weight", n_kv, s.n_embd);
        matrix(b + "self_attn.o_proj.weight", s.n_embd, s.n_embd);
        matrix(b + "mlp.gate_proj.weight", s.n_ff, s.n_embd);
        matrix(b + "mlp.up_proj.weight", s.n_ff, s.n_embd);
        matrix(b + "mlp.down_proj.weight", s.n_embd, s.n_ff);
    }
    norm("model.twig_norm.weight");
    return out;
}

std::string test_checkpoint(const std::string & name, const json & config, const test_tensors & tensors) {
    const std::string dir = test_empty_dir(name);
    test_write(dir + "/config.json", config.dump(1));
    test_write_safetensors(dir + "/model.safetensors", tensors);
    return dir;
}
