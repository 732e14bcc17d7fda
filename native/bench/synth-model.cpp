// Writes the files of a synthetic model: a language model, its vision tower and its region proposal network, with random
// weights and the sizes of a real one, so that speed can be measured without a download.
//
//   synth-model --shape llava-1.5-7b --scale 8 --type q8_0 --out bench/out/models
//
// The weights are scaled so that states stay near 1 through all layers. The output matrix names one token as the likely
// follower of each, by a wide margin: greedy texts are the same however sums are rounded, and never end by themselves.
// They therefore tell nothing about whether a picture was seen; that is what the tests with the demo model are for.

#include "synth-shape.h"
#include "synth-vocab.h"
#include "synth-write.h"

#include "error.h"
#include "rpn/rpn-file.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

namespace fs = std::filesystem;

struct synth_params {
    synth_shape shape;
    std::string shape_name = "llava-1.5-7b";
    int scale = 1;
    uint64_t seed = 1;
    ggml_type type = GGML_TYPE_F16, mmproj_type = GGML_TYPE_F16, rpn_type = GGML_TYPE_F16;
    std::string out = ".";
    std::string rpn_type_name = "f16";
};

// collects the tensors of one file
struct tensor_list {
    uint64_t seed;
    std::vector<synth_tensor> tensors;

    // matrix [in, out] that keeps the size of its input, times gain
    void matrix(const std::string & name, int64_t in, int64_t out, ggml_type type, float gain = 1) {
        const float deviation = gain / std::sqrt(float(in));
        tensors.push_back({ name, { in, out }, synth_type_for(type, in), random(name, in, deviation) });
    }
    void vector(const std::string & name, int64_t n, float value) {
        tensors.push_back({ name, { n }, GGML_TYPE_F32, [=](int64_t, float * x) { std::fill(x, x + n, value); } });
    }
    void add(const std::string & name, std::vector<int64_t> ne, ggml_type type, float deviation) {
        const int64_t n = ne[0];
        tensors.push_back({ name, std::move(ne), type, random(name, n, deviation) });
    }
    synth_row random(const std::string & name, int64_t n, float deviation) const {
        return [=, seed = seed](int64_t row, float * x) { synth_random(x, n, seed, name, row, deviation); };
    }
};

static void set_common(gguf_context * g, const char * arch, const std::string & name, ggml_type type) {
    gguf_set_val_str(g, "general.architecture", arch);
    gguf_set_val_str(g, "general.name", name.c_str());
    if (ggml_is_quantized(type)) {
        gguf_set_val_u32(g, "general.quantization_version", GGML_QNT_VERSION);
    }
}

static void write_language_model(const synth_params & p, const std::string & path) {
    const synth_shape & s = p.shape;
    const synth_vocab v = synth_vocab_make(s.n_vocab);
    gguf_context_ptr g(gguf_init_empty());
    set_common(g.get(), "llama", s.name, p.type);
    gguf_set_val_u32(g.get(), "llama.context_length", uint32_t(s.n_ctx));
    gguf_set_val_u32(g.get(), "llama.embedding_length", uint32_t(s.n_embd));
    gguf_set_val_u32(g.get(), "llama.block_count", uint32_t(s.n_layer));
    gguf_set_val_u32(g.get(), "llama.feed_forward_length", uint32_t(s.n_ff));
    gguf_set_val_u32(g.get(), "llama.attention.head_count", uint32_t(s.n_head));
    gguf_set_val_u32(g.get(), "llama.attention.head_count_kv", uint32_t(s.n_head_kv));
    gguf_set_val_f32(g.get(), "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_set_val_u32(g.get(), "llama.rope.dimension_count", uint32_t(s.n_embd / s.n_head));
    gguf_set_val_f32(g.get(), "llama.rope.freq_base", 10000.0f);
    gguf_set_val_u32(g.get(), "llama.vocab_size", uint32_t(s.n_vocab));
    gguf_set_val_str(g.get(), "tokenizer.ggml.model", "llama");
    std::vector<const char *> pieces;
    for (const std::string & piece : v.pieces) {
        pieces.push_back(piece.c_str());
    }
    gguf_set_arr_str(g.get(), "tokenizer.ggml.tokens", pieces.data(), pieces.size());
    gguf_set_arr_data(g.get(), "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, v.scores.data(), v.scores.size());
    gguf_set_arr_data(g.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32, v.types.data(), v.types.size());
    gguf_set_val_u32(g.get(), "tokenizer.ggml.unknown_token_id", 0);
    gguf_set_val_u32(g.get(), "tokenizer.ggml.bos_token_id", 1);
    gguf_set_val_u32(g.get(), "tokenizer.ggml.eos_token_id", 2);
    gguf_set_val_bool(g.get(), "tokenizer.ggml.add_bos_token", true);
    gguf_set_val_bool(g.get(), "tokenizer.ggml.add_space_prefix", true);

    tensor_list t{ p.seed, {} };
    const int64_t n = s.n_embd, n_kv = n / s.n_head * s.n_head_kv;
    const float branch = 1 / std::sqrt(2.0f * float(s.n_layer)); // what a layer adds: all of them together add about 1
    t.add("token_embd.weight", { n, s.n_vocab }, synth_type_for(p.type, n), 1);
    for (int il = 0; il < s.n_layer; il++) {
        const std::string b = "blk." + std::to_string(il) + ".";
        t.vector(b + "attn_norm.weight", n, 1);
        t.matrix(b + "attn_q.weight", n, n, p.type);
        t.matrix(b + "attn_k.weight", n, n_kv, p.type);
        t.matrix(b + "attn_v.weight", n, n_kv, p.type);
        t.matrix(b + "attn_output.weight", n, n, p.type, branch);
        t.vector(b + "ffn_norm.weight", n, 1);
        t.matrix(b + "ffn_gate.weight", n, s.n_ff, p.type);
        t.matrix(b + "ffn_up.weight", n, s.n_ff, p.type);
        t.matrix(b + "ffn_down.weight", s.n_ff, n, p.type, branch);
    }
    t.vector("output_norm.weight", n, 1);
    // the row of a token is the embedding of the one before it: that is the one it follows
    const int first = v.n_special, n_vocab = s.n_vocab;
    const float size = 1 / std::sqrt(float(n));
    const uint64_t seed = p.seed;
    t.tensors.push_back({ "output.weight", { n, s.n_vocab }, synth_type_for(p.type, n), [=](int64_t row, float * x) {
        if (row < first) {
            std::fill(x, x + n, 0.0f);
        } else {
            synth_random(x, n, seed, "token_embd.weight", row == first ? n_vocab - 1 : row - 1, size);
        }
    } });
    synth_write(path, g.get(), t.tensors);
}

static void write_vision(const synth_params & p, const std::string & path) {
    const synth_shape & s = p.shape;
    gguf_context_ptr g(gguf_init_empty());
    set_common(g.get(), "clip", s.name + "-mmproj", p.mmproj_type);
    gguf_set_val_bool(g.get(), "clip.has_vision_encoder", true);
    gguf_set_val_str(g.get(), "clip.projector_type", "mlp");
    gguf_set_val_bool(g.get(), "clip.use_gelu", false);
    const std::string a = "clip.vision.";
    gguf_set_val_u32(g.get(), (a + "image_size").c_str(), uint32_t(s.v_side));
    gguf_set_val_u32(g.get(), (a + "patch_size").c_str(), uint32_t(s.v_patch));
    gguf_set_val_u32(g.get(), (a + "embedding_length").c_str(), uint32_t(s.v_embd));
    gguf_set_val_u32(g.get(), (a + "feed_forward_length").c_str(), uint32_t(s.v_ff));
    gguf_set_val_u32(g.get(), (a + "block_count").c_str(), uint32_t(s.v_layer));
    gguf_set_val_u32(g.get(), (a + "projection_dim").c_str(), uint32_t(s.n_embd));
    gguf_set_val_u32(g.get(), (a + "attention.head_count").c_str(), uint32_t(s.v_head));
    gguf_set_val_f32(g.get(), (a + "attention.layer_norm_epsilon").c_str(), 1e-5f);
    const float mean[] = { 0.48145466f, 0.4578275f, 0.40821073f }, deviation[] = { 0.26862954f, 0.26130258f, 0.27577711f }; // CLIP's
    gguf_set_arr_data(g.get(), (a + "image_mean").c_str(), GGUF_TYPE_FLOAT32, mean, 3);
    gguf_set_arr_data(g.get(), (a + "image_std").c_str(), GGUF_TYPE_FLOAT32, deviation, 3);

    tensor_list t{ p.seed, {} };
    const int64_t n = s.v_embd, patch = s.v_patch;
    const float branch = 1 / std::sqrt(2.0f * float(s.v_layer));
    t.vector("v.class_embd", n, 0.1f);
    t.add("v.patch_embd.weight", { patch, patch, 3, n }, GGML_TYPE_F16, 1 / std::sqrt(float(3 * patch * patch)));
    t.add("v.position_embd.weight", { n, s.v_tokens() + 1 }, GGML_TYPE_F32, 0.5f);
    auto norm = [&](const std::string & name) {
        t.vector(name + ".weight", n, 1);
        t.vector(name + ".bias", n, 0);
    };
    auto linear = [&](const std::string & name, int64_t in, int64_t out, float gain) {
        t.matrix(name + ".weight", in, out, p.mmproj_type, gain);
        t.vector(name + ".bias", out, 0);
    };
    norm("v.pre_ln");
    for (int il = 0; il < s.v_layer; il++) {
        const std::string b = "v.blk." + std::to_string(il) + ".";
        norm(b + "ln1");
        for (const char * name : { "attn_q", "attn_k", "attn_v" }) {
            linear(b + name, n, n, 1);
        }
        linear(b + "attn_out", n, n, branch);
        norm(b + "ln2");
        linear(b + "ffn_up", n, s.v_ff, 1);
        linear(b + "ffn_down", s.v_ff, n, branch);
    }
    linear("mm.0", n, s.n_embd, 1);
    linear("mm.2", s.n_embd, s.n_embd, 1);
    synth_write(path, g.get(), t.tensors);
}

static void write_rpn(const synth_params & p, const std::string & path) {
    const synth_shape & s = p.shape;
    rpn_hparams hp;
    hp.n_embd = s.n_embd;
    hp.n_ff = s.n_ff;
    hp.n_head = s.n_head;
    hp.n_head_kv = s.n_head_kv;
    hp.d_head = s.n_embd / s.n_head;
    hp.n_block = s.block;
    hp.branch = s.branch;
    hp.rope_dim = hp.d_head;
    hp.rope_base = 10000.0f;
    hp.eps = 1e-5f;
    hp.base_architecture = "llama";
    hp.base_name = s.name;
    hp.base_n_layer = s.n_layer;
    hp.base_n_vocab = s.n_vocab;

    rpn_writer w;
    rpn_writer_open(w, path, hp, s.name + "-rpn", p.rpn_type);
    std::vector<float> values;
    for (const rpn_file_tensor & t : w.tensors) {
        values.resize(size_t(t.ne0 * t.n_rows()));
        if (t.ne1 == 0) {
            std::fill(values.begin(), values.end(), 1.0f);
        } else {
            for (int64_t row = 0; row < t.ne1; row++) {
                synth_random(values.data() + row * t.ne0, t.ne0, p.seed, "rpn." + t.name, row, 1 / std::sqrt(float(t.ne0)));
            }
        }
        gguf_writer_add(w, values);
    }
    gguf_writer_close(w);
}

static int to_int(const std::string & option, const std::string & text) {
    char * end = nullptr;
    const long value = strtol(text.c_str(), &end, 10);
    if (text.empty() || *end || value < 0 || value > 1 << 24) {
        throw sd_error("INVALID_ARGUMENT", "Expected a whole number for " + option + " but received " + text);
    }
    return int(value);
}

static synth_params parse(int argc, char ** argv) {
    std::map<std::string, std::string> options;
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) {
            throw sd_error("INVALID_ARGUMENT", std::string("Expected --option value but received ") + argv[i]);
        }
        options[argv[i] + 2] = argv[i + 1];
    }
    auto take = [&](const std::string & name, const std::string & otherwise) {
        const auto it = options.find(name);
        const std::string value = it == options.end() ? otherwise : it->second;
        if (it != options.end()) {
            options.erase(it);
        }
        return value;
    };
    synth_params p;
    p.shape_name = take("shape", p.shape_name);
    p.shape = synth_shape_named(p.shape_name);
    p.scale = to_int("--scale", take("scale", "1"));
    synth_shape_scale(p.shape, p.scale);
    p.seed = uint64_t(to_int("--seed", take("seed", "1")));
    const std::string type = take("type", "f16");
    p.type = synth_type(type);
    p.mmproj_type = synth_type(take("mmproj-type", "f16")); // as published files have it
    const bool known = type == "f32" || type == "f16" || type == "q8_0" || type == "q4_k";
    p.rpn_type_name = take("rpn-type", known ? type : type == "bf16" ? "f16" : "q8_0");
    p.rpn_type = rpn_file_type(p.rpn_type_name);
    p.out = take("out", p.out);
    p.shape.name = sd_format("synthetic-%s-%d-%s", p.shape_name.c_str(), p.scale, type.c_str());
    for (const auto & o : options) { // sizes given one by one come last
        int * size = synth_shape_size(p.shape, o.first);
        if (!size) {
            throw sd_error("INVALID_ARGUMENT", "There is no option --" + o.first);
        }
        *size = to_int("--" + o.first, o.second);
        p.shape.name += "-" + o.first + o.second;
    }
    if (p.seed != 1) {
        p.shape.name += "-seed" + std::to_string(p.seed);
    }
    synth_shape_check(p.shape);
    return p;
}

int main(int argc, char ** argv) {
    try {
        const synth_params p = parse(argc, argv);
        fs::create_directories(fs::u8path(p.out));
        auto path = [&](const std::string & part) { return (fs::u8path(p.out) / (p.shape.name + part + ".gguf")).generic_string(); };
        const std::string model = path(""), mmproj = path(std::string("-mmproj-") + ggml_type_name(p.mmproj_type)), rpn = path("-rpn-" + p.rpn_type_name);
        // names hold all parameters, so what is there already is the same
        if (!fs::exists(fs::u8path(model))) write_language_model(p, model);
        if (!fs::exists(fs::u8path(mmproj))) write_vision(p, mmproj);
        if (!fs::exists(fs::u8path(rpn))) write_rpn(p, rpn);
        const synth_shape & s = p.shape;
        printf("{\"model\": \"%s\", \"mmproj\": \"%s\", \"rpn\": \"%s\",\n", model.c_str(), mmproj.c_str(), rpn.c_str());
        printf(
            " \"sizes\": {\"layers\": %d, \"width\": %d, \"kvWidth\": %d, \"ff\": %d, \"vocab\": %d, \"branch\": %d, \"blocks\": %d, \"imageTokens\": %d}}\n",
            s.n_layer, s.n_embd, s.n_embd / s.n_head * s.n_head_kv, s.n_ff, s.n_vocab, s.branch, s.block, s.v_tokens());
        return 0;
    } catch (const sd_error & e) {
        fprintf(stderr, "synth-model: %s: %s\n", e.code.c_str(), e.what());
    } catch (const std::exception & e) {
        fprintf(stderr, "synth-model: %s\n", e.what());
    }
    return 1;
}
