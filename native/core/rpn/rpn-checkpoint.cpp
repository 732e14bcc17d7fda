#include "rpn-checkpoint.h"

#include "checkpoint-config.h"
#include "file.h"
#include "rpn-file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fs = std::filesystem;
using json = nlohmann::json;

// RPN file name to checkpoint name, without the leading "model."
static std::string source_name(const std::string & name) {
    static const std::map<std::string, std::string> parts = {
        { "attn_norm", "input_layernorm" },
        { "ffn_norm", "post_attention_layernorm" },
        { "attn_q", "self_attn.q_proj" },
        { "attn_k", "self_attn.k_proj" },
        { "attn_v", "self_attn.v_proj" },
        { "attn_output", "self_attn.o_proj" },
        { "ffn_gate", "mlp.gate_proj" },
        { "ffn_up", "mlp.up_proj" },
        { "ffn_down", "mlp.down_proj" },
    };
    if (name == "output_norm.weight") {
        return "twig_norm.weight";
    }
    // blk.<N>.<part>.weight
    const size_t dot = name.find('.', 4), end = name.rfind('.');
    return "twig_layers." + name.substr(4, dot - 4) + "." + parts.at(name.substr(dot + 1, end - dot - 1)) + ".weight";
}

// all tensors of the RPN that the checkpoint's files hold, by name without the leading "model."
static std::map<std::string, safetensor> find_tensors(rpn_checkpoint & c, const fs::path & dir, const fs::path & single) {
    std::map<std::string, safetensor> found;
    auto bare = [](const std::string & name) { return name.rfind("model.", 0) == 0 ? name.substr(6) : name; };
    auto wanted = [](const std::string & name) { return name.rfind("twig_layers.", 0) == 0 || name == "twig_norm.weight"; };
    auto collect = [&](const fs::path & file) {
        for (auto & [name, t] : safetensors_open(file.u8string())) {
            if (wanted(bare(name))) {
                const auto [at, fresh] = found.emplace(bare(name), t);
                if (!fresh) { // two checkpoints in one directory: taking either would be a guess
                    throw rpn_checkpoint_invalid(
                        c.path, "holds " + name + " twice, in " + at->second.path + " and in " + t.path + ": give the one file instead of the directory");
                }
            }
        }
    };

    const fs::path index = dir / "model.safetensors.index.json";
    std::error_code ec;
    if (!single.empty()) {
        c.files.push_back(single.u8string());
        collect(single);
    } else if (fs::exists(index, ec)) {
        c.files.push_back(index.u8string());
        const json map = rpn_checkpoint_json(index).value("weight_map", json());
        if (!map.is_object()) {
            throw rpn_checkpoint_invalid(index.u8string(), "lacks the object weight_map: download it again");
        }
        std::map<std::string, bool> shards; // and whether they are read
        for (const auto & [name, shard] : map.items()) {
            if (!shard.is_string()) {
                throw rpn_checkpoint_invalid(index.u8string(), "names no file for the tensor " + name);
            }
            shards[shard.get<std::string>()] |= wanted(bare(name));
        }
        for (const auto & [shard, read] : shards) {
            const fs::path file = dir / fs::u8path(shard);
            c.files.push_back(file.u8string());
            if (read && !fs::exists(file, ec)) {
                throw rpn_checkpoint_invalid(c.path, "lacks the file " + shard + " that model.safetensors.index.json names: download it");
            }
            if (read) {
                collect(file);
            }
        }
    } else {
        std::vector<fs::path> files;
        for (const auto & entry : fs::directory_iterator(dir, ec)) {
            if (entry.path().extension() == ".safetensors") {
                files.push_back(entry.path());
            }
        }
        std::sort(files.begin(), files.end());
        if (files.empty()) {
            throw rpn_checkpoint_invalid(c.path, "holds no .safetensors files: checkpoints in other formats have to be saved as safetensors first");
        }
        for (const fs::path & file : files) {
            c.files.push_back(file.u8string());
            collect(file);
        }
    }
    return found;
}

static std::string shape_text(const std::vector<int64_t> & shape) {
    std::string s = "[";
    for (size_t i = 0; i < shape.size(); i++) {
        s += (i ? ", " : "") + std::to_string(shape[i]);
    }
    return s + "]";
}

static void check_tensors(rpn_checkpoint & c, const std::map<std::string, safetensor> & found) {
    if (found.empty()) {
        throw rpn_checkpoint_invalid(c.path, "holds no model.twig_layers tensors: expected an SD-RPN checkpoint, not its base model");
    }
    for (const char * other : { "bias", "q_norm.weight", "k_norm.weight" }) {
        for (const auto & [name, t] : found) {
            if (name.size() > strlen(other) && name.compare(name.size() - strlen(other), std::string::npos, other) == 0) {
                throw rpn_checkpoint_invalid(c.path, "holds " + name + ", which LLaVA-1.5 does not have: only LLaVA-1.5 checkpoints can be converted");
            }
        }
    }
    std::string missing;
    int n_missing = 0;
    for (const rpn_file_tensor & t : rpn_file_tensors(c.hp, GGML_TYPE_F32)) {
        const std::string name = source_name(t.name);
        const auto it = found.find(name);
        if (it == found.end()) {
            if (++n_missing <= 4) {
                missing += (missing.empty() ? "model." : ", model.") + name;
            }
            continue;
        }
        const safetensor & s = it->second;
        const std::vector<int64_t> shape = t.ne1 ? std::vector<int64_t>{ t.ne1, t.ne0 } : std::vector<int64_t>{ t.ne0 };
        if (s.shape != shape) {
            throw rpn_checkpoint_invalid(
                c.path, "has " + name + " with shape " + shape_text(s.shape) + ": expected " + shape_text(shape) + " after config.json");
        }
        if (s.dtype != "F32" && s.dtype != "F16" && s.dtype != "BF16") {
            throw rpn_checkpoint_invalid(c.path, "has " + name + " in type " + s.dtype + ": expected F32, F16 or BF16");
        }
        c.tensors[t.name] = s;
    }
    if (n_missing) {
        throw rpn_checkpoint_invalid(c.path,
            "lacks " + missing + (n_missing > 4 ? sd_format(" and %d more", n_missing - 4) : "")
                + ": is it complete, and do twig_K and twig_T in config.json belong to it?");
    }
}

void rpn_checkpoint_open(rpn_checkpoint & c, const std::string & path) {
    c.path = path;
    const fs::path p = fs::u8path(path);
    std::error_code ec;
    if (!fs::exists(p, ec)) {
        throw rpn_checkpoint_invalid(path, "does not exist: check the path");
    }
    const bool is_dir = fs::is_directory(p, ec);
    const std::string obstacle = is_dir ? "" : sd_file_obstacle(path);
    if (!obstacle.empty()) {
        throw rpn_checkpoint_invalid(path, obstacle + ": give a directory with config.json and .safetensors files, or one such file");
    }
    const fs::path dir = is_dir ? p : p.parent_path();
    rpn_checkpoint_config(c, dir / "config.json");
    c.files.push_back((dir / "config.json").u8string());
    check_tensors(c, find_tensors(c, dir, is_dir ? fs::path() : p));
}

// rows of each head from [first halves][second halves] (rotate-half) to pairs
static std::vector<float> rope_rows_to_pairs(const std::vector<float> & w, int n_head, int64_t d_head, int64_t n_cols) {
    std::vector<float> out(w.size());
    for (int64_t h = 0; h < n_head; h++) {
        for (int64_t i = 0; i < d_head; i++) {
            const int64_t from = h * d_head + i;
            const int64_t to = h * d_head + i % (d_head / 2) * 2 + i / (d_head / 2);
            std::copy_n(w.begin() + from * n_cols, n_cols, out.begin() + to * n_cols);
        }
    }
    return out;
}

std::vector<float> rpn_checkpoint_read(const rpn_checkpoint & c, const std::string & name) {
    const safetensor & t = c.tensors.at(name);
    std::vector<float> w = safetensor_read_f32(t);
    for (float v : w) {
        if (!std::isfinite(v)) {
            throw rpn_checkpoint_invalid(t.path, "has a value that is not finite in " + source_name(name));
        }
    }
    const rpn_hparams & hp = c.hp;
    // the last block has no rope, the order of its rows does not matter
    const bool last = name.rfind("blk." + std::to_string(hp.n_block - 1) + ".", 0) == 0;
    const bool is_q = name.find(".attn_q.") != std::string::npos, is_k = name.find(".attn_k.") != std::string::npos;
    if (last || !(is_q || is_k)) {
        return w;
    }
    return rope_rows_to_pairs(w, is_q ? hp.n_head : hp.n_head_kv, hp.d_head, hp.n_embd);
}
