#include "rpn-checkpoint.h"

#include "error.h"
#include "file.h"
#include "rpn-file.h"

#include "nlohmann/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

namespace fs = std::filesystem;
using json = nlohmann::json;

static sd_error invalid(const std::string & path, const std::string & why) {
    return sd_error("CHECKPOINT_INVALID", "Checkpoint " + path + " " + why);
}

static json read_json(const fs::path & path) {
    sd_file in;
    if (sd_file_open(in, path.u8string()) != SD_FILE_OPEN) {
        throw invalid(path.u8string(), in.why + ": a checkpoint is a directory with config.json and .safetensors files");
    }
    json j = json::parse(in.stream, nullptr, false);
    if (!j.is_object()) {
        throw invalid(path.u8string(), "is not a JSON object: download it again");
    }
    return j;
}

// --- config.json

// what a value is, for messages
static std::string shown(const json & v) {
    return v.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60);
}

static int config_int(const std::string & path, const json & j, const char * key, int max) {
    if (!j.contains(key)) {
        throw invalid(path, sd_format("lacks the key %s", key));
    }
    const json & v = j[key];
    // a double holds every int64 in the range of interest
    if (!v.is_number_integer() || v.get<double>() < 1 || v.get<double>() > max) {
        throw invalid(path, sd_format("has %s for %s: expected an integer between 1 and %d", shown(v).c_str(), key, max));
    }
    return v.get<int>();
}

static float config_float(const std::string & path, const json & j, const char * key) {
    if (!j.contains(key)) {
        throw invalid(path, sd_format("lacks the key %s", key));
    }
    const json & v = j[key];
    if (!v.is_number() || !(v.get<float>() > 0) || !std::isfinite(v.get<float>())) {
        throw invalid(path, sd_format("has %s for %s: expected a positive number", shown(v).c_str(), key));
    }
    return v.get<float>();
}

static bool given(const json & j, const char * key) {
    return j.contains(key) && !j[key].is_null();
}

// Only the LLaVA variant of the network is built; a checkpoint of another one would load and give wrong maps.
static void check_variant(const std::string & path, const json & j) {
    std::string type = j.value("model_type", json()).is_string() ? j["model_type"].get<std::string>() : "";
    if (type.empty() && j.contains("architectures") && j["architectures"].is_array() && !j["architectures"].empty()) {
        type = shown(j["architectures"][0]);
        if (type.find("Llama") != std::string::npos) {
            type = "llama";
        }
    }
    if (type != "llama" && type != "llava" && type != "llava_llama") {
        throw invalid(path, "belongs to a model of type " + (type.empty() ? "(none given)" : type) + ": expected llava_llama, llava or llama, only LLaVA-1.5 checkpoints can be converted");
    }
    const struct { const char * key; json expected; } fixed[] = {
        { "hidden_act", "silu" }, { "attention_bias", false }, { "mlp_bias", false },
        { "roi_source", "qk" }, { "roi_loss", "bce" }, { "roi_super_type", "v1" }, { "roi_multi_head", true },
    };
    for (const auto & f : fixed) {
        if (given(j, f.key) && j[f.key] != f.expected) {
            throw invalid(path, sd_format("has %s for %s: only %s is supported", shown(j[f.key]).c_str(), f.key, shown(f.expected).c_str()));
        }
    }
    if (given(j, "rope_scaling")) {
        throw invalid(path, "has " + shown(j["rope_scaling"]) + " for rope_scaling: only unscaled rope (null) is supported");
    }
}

static std::string last_part(const std::string & path) {
    const size_t end = path.find_last_not_of("/\\");
    if (end == std::string::npos) {
        return "";
    }
    const size_t begin = path.find_last_of("/\\", end);
    return path.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

static void read_config(rpn_checkpoint & c, const fs::path & file) {
    const json j = read_json(file);
    const std::string path = file.u8string();
    check_variant(path, j);

    rpn_hparams & hp = c.hp;
    hp.base_architecture = "llama";
    hp.n_embd       = config_int(path, j, "hidden_size", 1 << 17);
    hp.n_ff         = config_int(path, j, "intermediate_size", 1 << 20);
    hp.n_head       = config_int(path, j, "num_attention_heads", 1 << 12);
    hp.n_head_kv    = given(j, "num_key_value_heads") ? config_int(path, j, "num_key_value_heads", hp.n_head) : hp.n_head;
    hp.base_n_layer = config_int(path, j, "num_hidden_layers", 1 << 12);
    hp.base_n_vocab = given(j, "vocab_size") ? config_int(path, j, "vocab_size", 1 << 30) : 0;
    hp.branch       = config_int(path, j, "twig_K", hp.base_n_layer - 1);
    hp.n_block      = config_int(path, j, "twig_T", 64);
    hp.eps          = config_float(path, j, "rms_norm_eps");
    hp.rope_base    = given(j, "rope_theta") ? config_float(path, j, "rope_theta") : 10000.0f;
    hp.rope_type    = GGML_ROPE_TYPE_NORMAL;
    if (hp.n_embd % hp.n_head != 0 || (hp.n_embd / hp.n_head) % 2 != 0 || hp.n_head % hp.n_head_kv != 0) {
        throw invalid(path, sd_format("has %d attention heads, %d of them for keys, at width %d: expected heads of one even width, in whole groups", hp.n_head, hp.n_head_kv, hp.n_embd));
    }
    hp.d_head   = hp.n_embd / hp.n_head;
    hp.rope_dim = hp.d_head;
    if (given(j, "head_dim") && j["head_dim"] != hp.d_head) {
        throw invalid(path, sd_format("has %s for head_dim: expected %d (hidden_size / num_attention_heads)", shown(j["head_dim"]).c_str(), hp.d_head));
    }
    // a path of the machine that trained it tells nobody anything, its last part does
    c.name = j.value("_name_or_path", json()).is_string() ? last_part(j["_name_or_path"].get<std::string>()) : "";
    hp.base_name = c.name;
}

// --- tensors

// RPN file name to checkpoint name, without the leading "model."
static std::string source_name(const std::string & name) {
    static const std::map<std::string, std::string> parts = {
        { "attn_norm", "input_layernorm" },  { "ffn_norm", "post_attention_layernorm" },
        { "attn_q", "self_attn.q_proj" },    { "attn_k", "self_attn.k_proj" },
        { "attn_v", "self_attn.v_proj" },    { "attn_output", "self_attn.o_proj" },
        { "ffn_gate", "mlp.gate_proj" },     { "ffn_up", "mlp.up_proj" }, { "ffn_down", "mlp.down_proj" },
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
    auto bare    = [](const std::string & name) { return name.rfind("model.", 0) == 0 ? name.substr(6) : name; };
    auto wanted  = [](const std::string & name) { return name.rfind("twig_layers.", 0) == 0 || name == "twig_norm.weight"; };
    auto collect = [&](const fs::path & file) {
        for (auto & [name, t] : safetensors_open(file.u8string())) {
            if (wanted(bare(name))) {
                const auto [at, fresh] = found.emplace(bare(name), t);
                if (!fresh) { // two checkpoints in one directory: taking either would be a guess
                    throw invalid(c.path, "holds " + name + " twice, in " + at->second.path + " and in " + t.path + ": give the one file instead of the directory");
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
        const json map = read_json(index).value("weight_map", json());
        if (!map.is_object()) {
            throw invalid(index.u8string(), "lacks the object weight_map: download it again");
        }
        std::map<std::string, bool> shards; // and whether they are read
        for (const auto & [name, shard] : map.items()) {
            if (!shard.is_string()) {
                throw invalid(index.u8string(), "names no file for the tensor " + name);
            }
            shards[shard.get<std::string>()] |= wanted(bare(name));
        }
        for (const auto & [shard, read] : shards) {
            const fs::path file = dir / fs::u8path(shard);
            c.files.push_back(file.u8string());
            if (read && !fs::exists(file, ec)) {
                throw invalid(c.path, "lacks the file " + shard + " that model.safetensors.index.json names: download it");
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
            throw invalid(c.path, "holds no .safetensors files: checkpoints in other formats have to be saved as safetensors first");
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
        throw invalid(c.path, "holds no model.twig_layers tensors: expected an SD-RPN checkpoint, not its base model");
    }
    for (const char * other : { "bias", "q_norm.weight", "k_norm.weight" }) {
        for (const auto & [name, t] : found) {
            if (name.size() > strlen(other) && name.compare(name.size() - strlen(other), std::string::npos, other) == 0) {
                throw invalid(c.path, "holds " + name + ", which LLaVA-1.5 does not have: only LLaVA-1.5 checkpoints can be converted");
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
            throw invalid(c.path, "has " + name + " with shape " + shape_text(s.shape) + ": expected " + shape_text(shape) + " after config.json");
        }
        if (s.dtype != "F32" && s.dtype != "F16" && s.dtype != "BF16") {
            throw invalid(c.path, "has " + name + " in type " + s.dtype + ": expected F32, F16 or BF16");
        }
        c.tensors[t.name] = s;
    }
    if (n_missing) {
        throw invalid(c.path, "lacks " + missing + (n_missing > 4 ? sd_format(" and %d more", n_missing - 4) : "")
            + ": is it complete, and do twig_K and twig_T in config.json belong to it?");
    }
}

void rpn_checkpoint_open(rpn_checkpoint & c, const std::string & path) {
    c.path = path;
    const fs::path p = fs::u8path(path);
    std::error_code ec;
    if (!fs::exists(p, ec)) {
        throw invalid(path, "does not exist: check the path");
    }
    const bool is_dir = fs::is_directory(p, ec);
    const std::string obstacle = is_dir ? "" : sd_file_obstacle(path);
    if (!obstacle.empty()) {
        throw invalid(path, obstacle + ": give a directory with config.json and .safetensors files, or one such file");
    }
    const fs::path dir = is_dir ? p : p.parent_path();
    read_config(c, dir / "config.json");
    c.files.push_back((dir / "config.json").u8string());
    if (c.name.empty()) {
        c.name = last_part(fs::absolute(dir, ec).lexically_normal().u8string());
    }
    check_tensors(c, find_tensors(c, dir, is_dir ? fs::path() : p));
}

// rows of each head from [first halves][second halves] (rotate-half) to pairs
static std::vector<float> rope_rows_to_pairs(const std::vector<float> & w, int n_head, int64_t d_head, int64_t n_cols) {
    std::vector<float> out(w.size());
    for (int64_t h = 0; h < n_head; h++) {
        for (int64_t i = 0; i < d_head; i++) {
            const int64_t from = h * d_head + i;
            const int64_t to   = h * d_head + i % (d_head / 2) * 2 + i / (d_head / 2);
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
            throw invalid(t.path, "has a value that is not finite in " + source_name(name));
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
