#include "config.h"

#include "config-reader.h"

#include "ggml.h"

#include <algorithm>

namespace fs = std::filesystem;
using json = nlohmann::json;

static const int MAX_LAYERS = 512; // llama.cpp's own limit

// an object of its own for the values of one part; the root where there is none
static const json & part(const json & root, const char * key, const std::string & path) {
    const auto it = root.find(key);
    if (it == root.end() || it->is_null()) {
        return root;
    }
    if (!it->is_object()) {
        throw checkpoint_invalid(path, "has " + checkpoint_shown(*it) + " for " + key + ": expected an object");
    }
    return *it;
}

static convert_family family_of(const std::string & path, const json & root) {
    std::string type;
    if (checkpoint_given(root, "model_type") && root["model_type"].is_string()) {
        type = root["model_type"].get<std::string>();
    }
    if (type.empty() && checkpoint_given(root, "architectures") && root["architectures"].is_array() && !root["architectures"].empty()) {
        type = checkpoint_shown(root["architectures"][0]);
        type = type.find("Llama") != std::string::npos     ? "llama"
            : type.find("Qwen2_5_VL") != std::string::npos ? "qwen2_5_vl"
            : type.find("Qwen3VL") != std::string::npos
            ? "qwen3_vl"
            : type;
    }
    if (type == "llama" || type == "llava" || type == "llava_llama") {
        return CONVERT_LLAVA;
    }
    if (type == "qwen2_5_vl" || type == "qwen3_vl") {
        return type == "qwen3_vl" ? CONVERT_QWEN3 : CONVERT_QWEN25;
    }
    throw checkpoint_invalid(path,
        "belongs to a model of type " + (type.empty() ? "(none given)" : type)
            + ": expected llava_llama, llava, llama, qwen2_5_vl or qwen3_vl, only LLaVA-1.5, Qwen2.5-VL and Qwen3-VL checkpoints can be converted");
}

// Another variant of the network would load and give wrong maps.
static void check_variant(const config_reader & r, convert_family family) {
    for (const char * key : { "attention_bias", "mlp_bias", "use_sliding_window" }) {
        r.expect(key, false);
    }
    r.expect("hidden_act", "silu");
    r.expect("roi_source", "qk");
    r.expect("roi_loss", "bce");
    r.expect("roi_super_type", "v1");
    if (family == CONVERT_LLAVA) {
        r.expect("roi_multi_head", true);
        if (r.has("rope_scaling")) {
            throw checkpoint_invalid(r.path, "has " + checkpoint_shown(*r.find("rope_scaling")) + " for rope_scaling: only unscaled rope (null) is supported");
        }
    }
}

// Rope of Qwen-VL: pairs of time, row and column.
static void read_sections(const config_reader & r, rpn_hparams & hp) {
    const char * key = r.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const json * rope = r.find(key);
    if (!rope || !rope->is_object()) {
        throw r.invalid(key, "an object with mrope_section");
    }
    const config_reader in{ r.path, { rope } };
    for (const char * type : { "type", "rope_type" }) {
        const json * v = in.find(type);
        if (v && *v != "default" && *v != "mrope") {
            throw in.invalid(type, "\"default\" or \"mrope\": scaled rope is not supported");
        }
    }
    const std::vector<int> sections = in.integers("mrope_section", 3, 1 << 12);
    if (sections.size() != 3 || std::count(sections.begin(), sections.end(), 0) || (sections[0] + sections[1] + sections[2]) * 2 != hp.d_head) {
        throw in.invalid("mrope_section", sd_format("three positive integers that are %d together, half a head's width", hp.d_head / 2));
    }
    std::copy(sections.begin(), sections.end(), hp.rope_sections);
    if (in.has("rope_theta")) {
        hp.rope_base = in.positive("rope_theta");
    }
}

static void read_sizes(const config_reader & r, convert_family family, rpn_hparams & hp) {
    hp.n_embd = r.integer("hidden_size", 1 << 17);
    hp.n_ff = r.integer("intermediate_size", 1 << 20);
    hp.n_head = r.integer("num_attention_heads", 1 << 12);
    hp.n_head_kv = r.integer_or("num_key_value_heads", hp.n_head, hp.n_head);
    hp.base_n_layer = r.integer("num_hidden_layers", MAX_LAYERS);
    hp.base_n_vocab = r.integer_or("vocab_size", 0, 1 << 22);
    hp.branch = r.integer("twig_K", hp.base_n_layer - 1);
    hp.n_block = r.integer("twig_T", 64);
    hp.eps = r.positive("rms_norm_eps");
    hp.rope_base = r.has("rope_theta") ? r.positive("rope_theta") : 10000.0f;

    // Qwen3's heads may have any width
    const bool own_width = family == CONVERT_QWEN3 && r.has("head_dim");
    hp.d_head = own_width ? r.integer("head_dim", 1 << 12) : hp.n_embd / hp.n_head;
    if ((!own_width && hp.n_embd % hp.n_head != 0) || hp.d_head % 2 != 0 || hp.n_head % hp.n_head_kv != 0) {
        throw checkpoint_invalid(r.path,
            sd_format("has %d attention heads, %d of them for keys, at width %d: expected heads of one even width, in whole groups", hp.n_head, hp.n_head_kv,
                hp.n_embd));
    }
    if (!own_width && r.has("head_dim") && *r.find("head_dim") != hp.d_head) {
        throw r.invalid("head_dim", sd_format("%d (hidden_size / num_attention_heads)", hp.d_head));
    }
    hp.rope_dim = hp.d_head;
}

void convert_config_method(convert_config & c, const std::map<std::string, safetensor> & tensors) {
    const config_reader r{ c.path, { &part(c.root, "text_config", c.path), &c.root } };
    const convert_family family = c.family;
    rpn_hparams & hp = c.net;
    const auto any = [&](const std::string & prefix) {
        const auto it = tensors.lower_bound(prefix);
        return it != tensors.end() && it->first.rfind(prefix, 0) == 0;
    };
    if (family == CONVERT_LLAVA) {
        hp.threshold = 0.15f;
        return;
    }
    const bool gate = any("high_res_layers.") || any("high_res_head.");
    bool qzoom = family == CONVERT_QWEN3 || gate || !(any("twig_norm.") || any("twig_head.")); // which only SD-RPN's have
    for (const char * key : { "enable_high_res", "high_res_thresh", "reuse_src_pos" }) {
        qzoom = qzoom || r.has(key);
    }
    hp.kind = qzoom ? "qzoom" : "sdrpn-qwen";
    hp.image_tokens_min = qzoom ? 256 : 576;
    hp.image_tokens_max = 576;
    hp.threshold = r.number_or("roi_conf_thresh", 0.1f, -1, 1);
    if (!qzoom) {
        r.expect("roi_multi_head", true); // which Q-Zoom does not look at
        return;
    }
    hp.roi_positions_aligned = r.flag_or("reuse_src_pos", false);
    const bool enabled = r.flag_or("enable_high_res", gate);
    if (enabled && !gate) {
        throw checkpoint_invalid(r.path, "has true for enable_high_res, but the checkpoint holds no high_res_layers: is it complete?");
    }
    if (!gate) {
        return;
    }
    if (r.integer_or("high_res_K", hp.branch, MAX_LAYERS) != hp.branch) {
        throw r.invalid("high_res_K", sd_format("%d, as twig_K", hp.branch));
    }
    hp.n_gate_block = r.integer_or("high_res_T", hp.n_block, 64);
    const float threshold = r.number_or(r.has("high_res_thresh") ? "high_res_thresh" : "high_res_threshold", 0.1f, -1, 1);
    hp.gate_threshold = enabled ? std::max(0.0f, threshold) : 0.0f; // every score passes a negative one
}

static int token_id(const config_reader & r, const char * key) {
    const json * v = r.find(key);
    if (v && v->is_array() && !v->empty()) {
        v = &(*v)[0]; // the first of several
    }
    return v && v->is_number_integer() && v->get<double>() >= 0 && v->get<double>() < 1 << 30 ? v->get<int>() : -1;
}

convert_config convert_config_read(const fs::path & dir) {
    convert_config c;
    c.path = (dir / "config.json").u8string();
    c.root = checkpoint_json(dir / "config.json");
    c.family = family_of(c.path, c.root);
    const config_reader r{ c.path, { &part(c.root, "text_config", c.path), &c.root } };
    check_variant(r, c.family);

    rpn_hparams & hp = c.net;
    read_sizes(r, c.family, hp);
    hp.base_architecture = c.family == CONVERT_LLAVA ? "llama" : c.family == CONVERT_QWEN25 ? "qwen2vl" : "qwen3vl";
    hp.rope_type = c.family == CONVERT_LLAVA ? GGML_ROPE_TYPE_NORMAL : GGML_ROPE_TYPE_NEOX;
    if (c.family != CONVERT_LLAVA) {
        read_sections(r, hp);
        hp.rope_interleaved = hp.qk_norm = c.family == CONVERT_QWEN3;
        hp.bias = c.family == CONVERT_QWEN25;
        hp.head_rope = true;
        hp.head_norm = false;
    }

    c.n_ctx_train = r.integer_or("max_position_embeddings", 4096, 1 << 30);
    c.tied_known = r.has("tie_word_embeddings");
    c.tied = r.flag_or("tie_word_embeddings", false);
    c.bos_token = token_id(r, "bos_token_id");
    c.eos_token = token_id(r, "eos_token_id");
    c.pad_token = token_id(r, "pad_token_id");

    // a path of the machine that trained it tells nobody anything, its last part does
    c.name = checkpoint_last_part(r.text_or("_name_or_path", ""));
    hp.base_name = c.name;
    if (c.name.empty()) {
        std::error_code ec;
        c.name = checkpoint_last_part(fs::absolute(dir, ec).lexically_normal().u8string());
    }
    return c;
}

void convert_config_base(convert_config & c, const fs::path & dir) {
    const std::string path = (dir / "config.json").u8string();
    std::error_code ec;
    if (!fs::exists(dir / "config.json", ec)) {
        return; // a vision tower alone
    }
    const json root = checkpoint_json(dir / "config.json");
    const config_reader r{ path, { &part(root, "text_config", path), &root } };
    if (!r.has("num_hidden_layers") || !r.has("rms_norm_eps")) {
        return; // no language model
    }
    if (r.integer("hidden_size", 1 << 17) != c.net.n_embd) {
        throw r.invalid("hidden_size", sd_format("%d, as the pruned checkpoint has", c.net.n_embd));
    }
    c.net.base_n_layer = std::max(c.net.base_n_layer, r.integer("num_hidden_layers", MAX_LAYERS));
    if (c.net.base_n_vocab == 0) {
        c.net.base_n_vocab = r.integer_or("vocab_size", 0, 1 << 22);
    }
}
