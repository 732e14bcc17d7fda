#include "tiny-model.h"

#include "backend.h"
#include "error.h"
#include "rpn/rpn-file.h"
#include "test.h"

#include "ggml-cpp.h"
#include "ggml.h"
#include "gguf.h"

#include <random>

static const int N_EMBD = 64, N_FF = 128, N_LAYER = 4, N_HEAD = 4, N_HEAD_KV = 2, D_HEAD = 16, N_VOCAB = 320, N_CTX = 1024;

struct writer {
    gguf_context_ptr g;
    ggml_context_ptr ctx;
    std::mt19937 rng{ 7 };

    writer() : g(gguf_init_empty()), ctx(ggml_init({ size_t(4) << 20, nullptr, false })) {}

    void add(const std::string & name, int64_t ne0, int64_t ne1) {
        ggml_tensor * t = ne1 ? ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, ne0, ne1) : ggml_new_tensor_1d(ctx.get(), GGML_TYPE_F32, ne0);
        ggml_set_name(t, name.c_str());
        float * x = static_cast<float *>(t->data);
        const float size = ne1 ? 1.5f / std::sqrt(float(ne0)) : 0; // norms are ones
        for (int64_t i = 0; i < ggml_nelements(t); i++) {
            x[i] = ne1 ? size * float(rng() / 4294967296.0 * 2 - 1) : 1.0f;
        }
        gguf_add_tensor(g.get(), t);
    }
};

static std::string write_language_model(const std::string & arch) {
    writer w;
    gguf_context * g = w.g.get();
    auto key = [&](const char * name) { return arch + "." + name; };
    gguf_set_val_str(g, "general.architecture", arch.c_str());
    gguf_set_val_u32(g, key("context_length").c_str(), N_CTX);
    gguf_set_val_u32(g, key("embedding_length").c_str(), N_EMBD);
    gguf_set_val_u32(g, key("block_count").c_str(), N_LAYER);
    gguf_set_val_u32(g, key("feed_forward_length").c_str(), N_FF);
    gguf_set_val_u32(g, key("attention.head_count").c_str(), N_HEAD);
    gguf_set_val_u32(g, key("attention.head_count_kv").c_str(), N_HEAD_KV);
    gguf_set_val_f32(g, key("attention.layer_norm_rms_epsilon").c_str(), 1e-5f);
    gguf_set_val_f32(g, key("rope.freq_base").c_str(), 10000.0f);
    const int32_t sections[4] = { 2, 3, 3, 0 };
    gguf_set_arr_data(g, key("rope.dimension_sections").c_str(), GGUF_TYPE_INT32, sections, 4);
    if (arch == "qwen3vl") {
        gguf_set_val_u32(g, key("n_deepstack_layers").c_str(), 1);
        gguf_set_val_u32(g, key("attention.key_length").c_str(), D_HEAD);
        gguf_set_val_u32(g, key("attention.value_length").c_str(), D_HEAD);
    }
    std::vector<std::string> pieces = { "<unk>", "<s>", "</s>" };
    std::vector<int32_t> types = { 2, 3, 3 }; // unknown, control, control
    for (int b = 0; b < 256; b++) {
        pieces.push_back(sd_format("<0x%02X>", b));
        types.push_back(6);
    }
    while (int(pieces.size()) < N_VOCAB) {
        pieces.push_back("word" + std::to_string(pieces.size()));
        types.push_back(1);
    }
    std::vector<const char *> texts;
    for (const std::string & p : pieces) {
        texts.push_back(p.c_str());
    }
    const std::vector<float> scores(pieces.size(), 0.0f);
    gguf_set_val_str(g, "tokenizer.ggml.model", "llama");
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", texts.data(), texts.size());
    gguf_set_arr_data(g, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());

    w.add("token_embd.weight", N_EMBD, N_VOCAB);
    for (int il = 0; il < N_LAYER; il++) {
        const std::string b = "blk." + std::to_string(il) + ".";
        w.add(b + "attn_norm.weight", N_EMBD, 0);
        w.add(b + "attn_q.weight", N_EMBD, N_HEAD * D_HEAD);
        w.add(b + "attn_k.weight", N_EMBD, N_HEAD_KV * D_HEAD);
        w.add(b + "attn_v.weight", N_EMBD, N_HEAD_KV * D_HEAD);
        w.add(b + "attn_output.weight", N_HEAD * D_HEAD, N_EMBD);
        if (arch == "qwen3vl") {
            w.add(b + "attn_q_norm.weight", D_HEAD, 0);
            w.add(b + "attn_k_norm.weight", D_HEAD, 0);
        }
        w.add(b + "ffn_norm.weight", N_EMBD, 0);
        w.add(b + "ffn_gate.weight", N_EMBD, N_FF);
        w.add(b + "ffn_up.weight", N_EMBD, N_FF);
        w.add(b + "ffn_down.weight", N_FF, N_EMBD);
    }
    w.add("output_norm.weight", N_EMBD, 0);
    w.add("output.weight", N_EMBD, N_VOCAB);
    const std::string path = test_temp("tiny-" + arch + ".gguf");
    CHECK(gguf_write_to_file(g, path.c_str(), false));
    return path;
}

static std::string write_rpn(const std::string & arch) {
    rpn_hparams hp;
    hp.n_embd = N_EMBD;
    hp.n_ff = N_FF;
    hp.n_head = N_HEAD;
    hp.n_head_kv = N_HEAD_KV;
    hp.d_head = D_HEAD;
    hp.n_block = 2;
    hp.branch = 2;
    hp.rope_dim = D_HEAD;
    hp.rope_type = GGML_ROPE_TYPE_NEOX;
    hp.rope_sections[0] = 2;
    hp.rope_sections[1] = 3;
    hp.rope_sections[2] = 3;
    hp.rope_base = 10000.0f;
    hp.eps = 1e-5f;
    hp.base_architecture = "llama"; // the one that files know today; nothing here compares it
    hp.base_n_layer = N_LAYER;
    hp.base_n_vocab = N_VOCAB;
    const std::string path = test_temp("tiny-" + arch + "-rpn.gguf");
    rpn_writer w;
    rpn_writer_open(w, path, hp, "tiny", GGML_TYPE_F32);
    std::mt19937 rng(8);
    for (const rpn_file_tensor & t : w.tensors) {
        std::vector<float> values(size_t(t.ne0 * t.n_rows()), 1.0f);
        for (float & v : values) {
            v = t.ne1 ? float(rng() / 4294967296.0 * 2 - 1) / std::sqrt(float(t.ne0)) : v;
        }
        gguf_writer_add(w, values);
    }
    gguf_writer_close(w);
    return path;
}

std::unique_ptr<sd_model> tiny_model(const std::string & arch) {
    sd_backend_init();
    auto m = std::make_unique<sd_model>();
    m->params.model = write_language_model(arch);
    m->params.gpu_layers = 0;
    sd_model_check_header(m->params.model, m->info);
    m->info.context_size = N_CTX;
    m->info.n_vocab = N_VOCAB;

    llama_model_params mp = llama_model_default_params();
    ggml_backend_dev_t no_devices[] = { nullptr };
    mp.devices = no_devices;
    m->lm = llama_model_load_from_file(m->params.model.c_str(), mp);
    CHECK(m->lm != nullptr);
    m->vocab = llama_model_get_vocab(m->lm);
    m->rpn = rpn_load(write_rpn(arch), nullptr, 1);
    sd_tap_init(m->tap, "l_out-1", 2);
    return m;
}
