// The keys of an RPN file, written and read. docs/rpn-file.md lists them for other programs.

#include "rpn-file.h"
#include "rpn-impl.h"

#include "error.h"

#include "gguf.h"

#include <cmath>
#include <map>
#include <set>

namespace {

const char * const KEY_HEAD_WIDTH = "sdrpn.attention.key_length";
const char * const KEY_SECTIONS = "sdrpn.rope.dimension_sections";
const char * const KEY_INTERLEAVED = "sdrpn.rope_interleaved";
const char * const KEY_HEAD_ROPE = "sdrpn.head_rope";
const char * const KEY_HEAD_NORM = "sdrpn.head_norm";
const char * const KEY_KIND = "sdrpn.kind";
const char * const KEY_POSITIONS = "sdrpn.roi_positions"; // "fresh" or "aligned"
const char * const KEY_TOKENS_MIN = "sdrpn.image_tokens_min";
const char * const KEY_TOKENS_MAX = "sdrpn.image_tokens_max";
const char * const KEY_GATE_BLOCKS = "sdrpn.gate_block_count";
const char * const KEY_GATE_THRESHOLD = "sdrpn.gate_threshold";
const char * const KEY_THRESHOLD = "sdrpn.threshold";

// cells of a view at most: more than any published budget, and few enough for the arithmetic on them
const int MAX_IMAGE_TOKENS = 1 << 16;

// the base architectures that a kind of network exists for
const std::map<std::string, std::set<std::string>> KINDS = {
    { "llava", { "llama" } },
    { "sdrpn-qwen", { "qwen2vl" } },
    { "qzoom", { "qwen2vl", "qwen3vl" } },
};

sd_error invalid(const gguf_file & f, const std::string & why) {
    return sd_error("RPN_INVALID", "RPN file " + f.path + " " + why);
}

bool flag_or(const gguf_file & f, const std::string & key, bool fallback) {
    f.expect(key, GGUF_TYPE_BOOL);
    return f.has(key) ? gguf_get_val_bool(f.ctx, gguf_find_key(f.ctx, key.c_str())) : fallback;
}

// what a block is made of; what a file does not say is as in LLaVA-1.5
void read_traits(const gguf_file & f, rpn_hparams & hp) {
    hp.bias = f.tensor("blk.0.attn_q.bias") != nullptr;
    hp.qk_norm = f.tensor("blk.0.attn_q_norm.weight") != nullptr;
    hp.head_rope = flag_or(f, KEY_HEAD_ROPE, false);
    hp.head_norm = flag_or(f, KEY_HEAD_NORM, true);
    hp.rope_interleaved = flag_or(f, KEY_INTERLEAVED, false);
    f.expect_array(KEY_SECTIONS, GGUF_TYPE_INT32);
    if (!f.has(KEY_SECTIONS)) {
        return;
    }
    const int64_t i = gguf_find_key(f.ctx, KEY_SECTIONS);
    const int32_t * v = static_cast<const int32_t *>(gguf_get_arr_data(f.ctx, i));
    const size_t n = gguf_get_arr_n(f.ctx, i);
    // llama.cpp's files have a fourth section, of no pairs in these models
    bool ok = n == 3 || (n == 4 && v[3] == 0);
    for (size_t s = 0; ok && s < 3; s++) {
        ok = v[s] > 0 && v[s] <= 1 << 12;
        hp.rope_sections[s] = v[s];
    }
    if (!ok) {
        throw invalid(f, "has other rope sections than one for each of time, height and width");
    }
}

// kind, gate, and the defaults of the second look
void read_method(const gguf_file & f, rpn_hparams & hp) {
    if (!f.has(KEY_KIND) && hp.base_architecture != "llama") {
        throw invalid(f, std::string("lacks the key ") + KEY_KIND + ": convert the checkpoint again");
    }
    hp.kind = f.str_or(KEY_KIND, "llava");
    const auto kind = KINDS.find(hp.kind);
    if (kind == KINDS.end()) {
        throw invalid(
            f, "has a network of the kind " + hp.kind + ", but only llava, sdrpn-qwen and qzoom are supported: a newer version of sd-rpn may know it");
    }
    if (!kind->second.count(hp.base_architecture)) {
        throw invalid(f, "has a network of the kind " + hp.kind + ", which the base architecture " + hp.base_architecture + " does not go with");
    }

    const std::string positions = f.str_or(KEY_POSITIONS, "fresh");
    hp.roi_positions_aligned = positions == "aligned";
    if ((positions != "fresh" && positions != "aligned") || (hp.roi_positions_aligned && hp.kind != "qzoom")) {
        throw invalid(f, "has " + positions + " for " + KEY_POSITIONS + ": expected fresh, or aligned for a network of the kind qzoom");
    }

    const uint32_t min = f.u32_or(KEY_TOKENS_MIN, 0), max = f.u32_or(KEY_TOKENS_MAX, 0);
    if (f.has(KEY_TOKENS_MIN) != f.has(KEY_TOKENS_MAX) || min > max || max > MAX_IMAGE_TOKENS || (f.has(KEY_TOKENS_MIN) && min == 0)) {
        throw invalid(f,
            sd_format(
                "has a budget of %u to %u image tokens: expected 1 <= %s <= %s <= %d, or neither", min, max, KEY_TOKENS_MIN, KEY_TOKENS_MAX, MAX_IMAGE_TOKENS));
    }
    hp.image_tokens_min = int(min);
    hp.image_tokens_max = int(max);

    const uint32_t n_gate = f.u32_or(KEY_GATE_BLOCKS, 0);
    hp.gate_threshold = f.f32_or(KEY_GATE_THRESHOLD, 0.0f);
    if (n_gate > 64 || !(hp.gate_threshold >= 0 && hp.gate_threshold <= 1) || (n_gate > 0 && hp.kind != "qzoom")) {
        throw invalid(f,
            sd_format("has %u gate blocks and the gate threshold %g: expected at most 64, of a network of the kind qzoom, and a threshold from 0 to 1", n_gate,
                double(hp.gate_threshold)));
    }
    hp.n_gate_block = int(n_gate);
}

} // namespace

void rpn_file_keys(gguf_context * g, const rpn_hparams & hp, const std::string & name, ggml_type type) {
    gguf_set_val_str(g, "general.architecture", "sdrpn");
    gguf_set_val_str(g, "general.name", name.c_str());
    gguf_set_val_u32(g, "general.file_type", rpn_file_type_number(type));
    if (ggml_is_quantized(type)) {
        gguf_set_val_u32(g, "general.quantization_version", GGML_QNT_VERSION);
    }
    gguf_set_val_str(g, "sdrpn.base_architecture", hp.base_architecture.c_str());
    gguf_set_val_u32(g, "sdrpn.branch_layer", uint32_t(hp.branch));
    gguf_set_val_u32(g, "sdrpn.block_count", uint32_t(hp.n_block));
    gguf_set_val_u32(g, "sdrpn.embedding_length", uint32_t(hp.n_embd));
    gguf_set_val_u32(g, "sdrpn.feed_forward_length", uint32_t(hp.n_ff));
    gguf_set_val_u32(g, "sdrpn.attention.head_count", uint32_t(hp.n_head));
    gguf_set_val_u32(g, "sdrpn.attention.head_count_kv", uint32_t(hp.n_head_kv));
    gguf_set_val_f32(g, "sdrpn.attention.layer_norm_rms_epsilon", hp.eps);
    gguf_set_val_u32(g, "sdrpn.rope.dimension_count", uint32_t(hp.rope_dim));
    gguf_set_val_f32(g, "sdrpn.rope.freq_base", hp.rope_base);
    gguf_set_val_u32(g, "sdrpn.rope_type", uint32_t(hp.rope_type));
    // the keys that follow stand only where a network is not as LLaVA-1.5's
    if (hp.d_head * hp.n_head != hp.n_embd) {
        gguf_set_val_u32(g, KEY_HEAD_WIDTH, uint32_t(hp.d_head));
    }
    if (hp.rope_by_sections()) {
        gguf_set_arr_data(g, KEY_SECTIONS, GGUF_TYPE_INT32, hp.rope_sections, 3);
        gguf_set_val_bool(g, KEY_INTERLEAVED, hp.rope_interleaved);
    }
    if (hp.head_rope) {
        gguf_set_val_bool(g, KEY_HEAD_ROPE, true);
    }
    if (!hp.head_norm) {
        gguf_set_val_bool(g, KEY_HEAD_NORM, false);
    }
    if (hp.kind != "llava") {
        gguf_set_val_str(g, KEY_KIND, hp.kind.c_str());
        gguf_set_val_str(g, KEY_POSITIONS, hp.roi_positions_aligned ? "aligned" : "fresh");
    }
    if (hp.image_tokens_max) {
        gguf_set_val_u32(g, KEY_TOKENS_MIN, uint32_t(hp.image_tokens_min));
        gguf_set_val_u32(g, KEY_TOKENS_MAX, uint32_t(hp.image_tokens_max));
    }
    if (hp.n_gate_block) {
        gguf_set_val_u32(g, KEY_GATE_BLOCKS, uint32_t(hp.n_gate_block));
    }
    if (hp.gate_threshold != 0) {
        gguf_set_val_f32(g, KEY_GATE_THRESHOLD, hp.gate_threshold);
    }
    gguf_set_val_str(g, "sdrpn.base.name", hp.base_name.c_str());
    gguf_set_val_u32(g, "sdrpn.base.block_count", uint32_t(hp.base_n_layer));
    if (hp.base_n_vocab) {
        gguf_set_val_u32(g, "sdrpn.base.vocab_size", uint32_t(hp.base_n_vocab));
    }
    if (hp.threshold != 0) {
        gguf_set_val_f32(g, KEY_THRESHOLD, hp.threshold);
    }
}

void rpn_read_hparams(const gguf_file & f, rpn_hparams & hp) {
    const std::string arch = f.str("general.architecture");
    if (arch != "sdrpn") {
        throw invalid(f, "has architecture " + arch + " instead of sdrpn: make it with `sd-rpn convert` or `sd-rpn distill train`");
    }
    hp.base_architecture = f.str("sdrpn.base_architecture");
    static const std::set<std::string> known = { "llama", "qwen2vl", "qwen3vl" };
    if (!known.count(hp.base_architecture)) {
        throw invalid(f, "belongs to the base architecture " + hp.base_architecture + ", but only llama, qwen2vl and qwen3vl are supported");
    }
    hp.branch = f.u32("sdrpn.branch_layer");
    hp.n_block = f.u32("sdrpn.block_count");
    hp.n_embd = f.u32("sdrpn.embedding_length");
    hp.n_ff = f.u32("sdrpn.feed_forward_length");
    hp.n_head = f.u32("sdrpn.attention.head_count");
    hp.n_head_kv = f.u32_or("sdrpn.attention.head_count_kv", hp.n_head);
    hp.eps = f.f32("sdrpn.attention.layer_norm_rms_epsilon");
    hp.rope_base = f.f32("sdrpn.rope.freq_base");
    hp.rope_type = f.u32_or("sdrpn.rope_type", 0);
    hp.threshold = f.f32_or(KEY_THRESHOLD, 0.0f);
    hp.base_name = f.str_or("sdrpn.base.name", "");
    hp.base_n_layer = f.u32("sdrpn.base.block_count");
    hp.base_n_vocab = f.u32_or("sdrpn.base.vocab_size", 0);

    const bool sane = hp.n_embd > 0 && hp.n_embd <= 1 << 17 && hp.n_ff > 0 && hp.n_ff <= 1 << 20 && hp.n_head > 0 && hp.n_head_kv > 0
        && hp.n_head % hp.n_head_kv == 0 && hp.n_head <= 1 << 12 && hp.n_block >= 1 && hp.n_block <= 64 && hp.branch >= 1 && hp.branch < hp.base_n_layer
        && (hp.rope_type == GGML_ROPE_TYPE_NORMAL || hp.rope_type == GGML_ROPE_TYPE_NEOX) && std::isfinite(hp.eps) && hp.eps > 0 && std::isfinite(hp.rope_base)
        && hp.rope_base > 0 && std::isfinite(hp.threshold) && std::fabs(hp.threshold) <= 1;
    const bool even = f.has(KEY_HEAD_WIDTH) || (hp.n_head > 0 && hp.n_embd % hp.n_head == 0);
    if (!sane || !even) {
        throw invalid(f, "has impossible sizes in its header: convert the checkpoint again");
    }
    hp.d_head = f.u32_or(KEY_HEAD_WIDTH, hp.n_embd / hp.n_head);
    if (hp.d_head <= 0 || hp.d_head > 1 << 12) {
        throw invalid(f, sd_format("has heads of width %d", hp.d_head));
    }
    read_traits(f, hp);
    hp.rope_dim = f.u32_or("sdrpn.rope.dimension_count", hp.d_head);
    const int n_pairs = hp.rope_sections[0] + hp.rope_sections[1] + hp.rope_sections[2];
    if (hp.rope_dim < 0 || hp.rope_dim > hp.d_head || hp.rope_dim % 2 != 0 || (hp.rope_by_sections() && n_pairs != hp.rope_dim / 2)) {
        throw invalid(f, sd_format("has rope dimension %d and sections of %d pairs together for heads of width %d", hp.rope_dim, n_pairs, hp.d_head));
    }
    read_method(f, hp);
}
