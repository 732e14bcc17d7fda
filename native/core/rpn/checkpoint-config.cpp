#include "checkpoint-config.h"

#include "file.h"

#include "ggml.h"

#include <cmath>

namespace fs = std::filesystem;
using json = nlohmann::json;

sd_error rpn_checkpoint_invalid(const std::string & path, const std::string & why) {
    return sd_error("CHECKPOINT_INVALID", "Checkpoint " + path + " " + why);
}

json rpn_checkpoint_json(const fs::path & path) {
    sd_file in;
    if (sd_file_open(in, path.u8string()) != SD_FILE_OPEN) {
        throw rpn_checkpoint_invalid(path.u8string(), in.why + ": a checkpoint is a directory with config.json and .safetensors files");
    }
    json j = json::parse(in.stream, nullptr, false);
    if (!j.is_object()) {
        throw rpn_checkpoint_invalid(path.u8string(), "is not a JSON object: download it again");
    }
    return j;
}

// what a value is, for messages
static std::string shown(const json & v) {
    return v.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60);
}

static int config_int(const std::string & path, const json & j, const char * key, int max) {
    if (!j.contains(key)) {
        throw rpn_checkpoint_invalid(path, sd_format("lacks the key %s", key));
    }
    const json & v = j[key];
    // a double holds every int64 in the range of interest
    if (!v.is_number_integer() || v.get<double>() < 1 || v.get<double>() > max) {
        throw rpn_checkpoint_invalid(path, sd_format("has %s for %s: expected an integer between 1 and %d", shown(v).c_str(), key, max));
    }
    return v.get<int>();
}

static float config_float(const std::string & path, const json & j, const char * key) {
    if (!j.contains(key)) {
        throw rpn_checkpoint_invalid(path, sd_format("lacks the key %s", key));
    }
    const json & v = j[key];
    if (!v.is_number() || !(v.get<float>() > 0) || !std::isfinite(v.get<float>())) {
        throw rpn_checkpoint_invalid(path, sd_format("has %s for %s: expected a positive number", shown(v).c_str(), key));
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
        throw rpn_checkpoint_invalid(path,
            "belongs to a model of type " + (type.empty() ? "(none given)" : type)
                + ": expected llava_llama, llava or llama, only LLaVA-1.5 checkpoints can be converted");
    }
    const struct {
        const char * key;
        json expected;
    } fixed[] = {
        { "hidden_act", "silu" },
        { "attention_bias", false },
        { "mlp_bias", false },
        { "roi_source", "qk" },
        { "roi_loss", "bce" },
        { "roi_super_type", "v1" },
        { "roi_multi_head", true },
    };
    for (const auto & f : fixed) {
        if (given(j, f.key) && j[f.key] != f.expected) {
            throw rpn_checkpoint_invalid(path, sd_format("has %s for %s: only %s is supported", shown(j[f.key]).c_str(), f.key, shown(f.expected).c_str()));
        }
    }
    if (given(j, "rope_scaling")) {
        throw rpn_checkpoint_invalid(path, "has " + shown(j["rope_scaling"]) + " for rope_scaling: only unscaled rope (null) is supported");
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

void rpn_checkpoint_config(rpn_checkpoint & c, const fs::path & file) {
    const json j = rpn_checkpoint_json(file);
    const std::string path = file.u8string();
    check_variant(path, j);

    rpn_hparams & hp = c.hp;
    hp.base_architecture = "llama";
    hp.n_embd = config_int(path, j, "hidden_size", 1 << 17);
    hp.n_ff = config_int(path, j, "intermediate_size", 1 << 20);
    hp.n_head = config_int(path, j, "num_attention_heads", 1 << 12);
    hp.n_head_kv = given(j, "num_key_value_heads") ? config_int(path, j, "num_key_value_heads", hp.n_head) : hp.n_head;
    hp.base_n_layer = config_int(path, j, "num_hidden_layers", 1 << 12);
    hp.base_n_vocab = given(j, "vocab_size") ? config_int(path, j, "vocab_size", 1 << 30) : 0;
    hp.branch = config_int(path, j, "twig_K", hp.base_n_layer - 1);
    hp.n_block = config_int(path, j, "twig_T", 64);
    hp.eps = config_float(path, j, "rms_norm_eps");
    hp.rope_base = given(j, "rope_theta") ? config_float(path, j, "rope_theta") : 10000.0f;
    hp.rope_type = GGML_ROPE_TYPE_NORMAL;
    if (hp.n_embd % hp.n_head != 0 || (hp.n_embd / hp.n_head) % 2 != 0 || hp.n_head % hp.n_head_kv != 0) {
        throw rpn_checkpoint_invalid(path,
            sd_format("has %d attention heads, %d of them for keys, at width %d: expected heads of one even width, in whole groups", hp.n_head, hp.n_head_kv,
                hp.n_embd));
    }
    hp.d_head = hp.n_embd / hp.n_head;
    hp.rope_dim = hp.d_head;
    if (given(j, "head_dim") && j["head_dim"] != hp.d_head) {
        throw rpn_checkpoint_invalid(
            path, sd_format("has %s for head_dim: expected %d (hidden_size / num_attention_heads)", shown(j["head_dim"]).c_str(), hp.d_head));
    }
    // a path of the machine that trained it tells nobody anything, its last part does
    c.name = j.value("_name_or_path", json()).is_string() ? last_part(j["_name_or_path"].get<std::string>()) : "";
    hp.base_name = c.name;
    if (c.name.empty()) {
        std::error_code ec;
        c.name = last_part(fs::absolute(file.parent_path(), ec).lexically_normal().u8string());
    }
}
