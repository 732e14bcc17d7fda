// The network of other families: biases, norms of heads, rope by sections, a head with rope and without a norm before it. Losses,
// gradients, weights and maps are those of the references' own training (golden/train: Qwen2.5-VL and Qwen3-VL, small, random
// weights), through an RPN file of the test's own.

#include "convert/safetensors.h"
#include "rpn/rpn-file.h"
#include "test.h"
#include "train-data.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>

using json = nlohmann::json;

static rpn_hparams base_hparams() {
    rpn_hparams hp;
    hp.n_embd = 64;
    hp.n_ff = 128;
    hp.n_head = 4;
    hp.n_head_kv = 2;
    hp.n_block = 3;
    hp.branch = 3;
    hp.base_n_layer = 6;
    hp.eps = 1e-6f;
    hp.rope_type = GGML_ROPE_TYPE_NEOX;
    hp.head_rope = true;
    hp.head_norm = false;
    return hp;
}

static void set_sections(rpn_hparams & hp, int time, int height, int width) {
    hp.rope_sections[0] = time;
    hp.rope_sections[1] = height;
    hp.rope_sections[2] = width;
}

static rpn_hparams qwen25() {
    rpn_hparams hp = base_hparams();
    hp.base_architecture = "qwen2vl";
    hp.kind = "sdrpn-qwen";
    hp.d_head = hp.rope_dim = 16;
    hp.rope_base = 1e6f;
    hp.bias = true;
    set_sections(hp, 2, 3, 3);
    return hp;
}

static rpn_hparams qwen3() {
    rpn_hparams hp = base_hparams();
    hp.base_architecture = "qwen3vl";
    hp.kind = "qzoom";
    hp.d_head = hp.rope_dim = 32; // wider than 64 / 4
    hp.rope_base = 5e6f;
    hp.qk_norm = true;
    hp.rope_interleaved = true;
    set_sections(hp, 6, 5, 5);
    return hp;
}

// a published tensor's name in an RPN file; empty where the network has no use for it
static std::string file_name(const std::string & published) {
    static const std::map<std::string, std::string> parts = {
        { "input_layernorm", "attn_norm" },
        { "post_attention_layernorm", "ffn_norm" },
        { "self_attn.q_proj", "attn_q" },
        { "self_attn.k_proj", "attn_k" },
        { "self_attn.v_proj", "attn_v" },
        { "self_attn.o_proj", "attn_output" },
        { "self_attn.q_norm", "attn_q_norm" },
        { "self_attn.k_norm", "attn_k_norm" },
        { "mlp.gate_proj", "ffn_gate" },
        { "mlp.up_proj", "ffn_up" },
        { "mlp.down_proj", "ffn_down" },
    };
    const std::string mark = "twig_layers.";
    const size_t layer = published.find(mark) + mark.size(), part = published.find('.', layer) + 1, end = published.rfind('.');
    return "blk." + published.substr(layer, part - layer) + parts.at(published.substr(part, end - part)) + published.substr(end);
}

struct golden {
    std::string dir;
    rpn_hparams hp;
    json c;
    train_batch batch;
    std::vector<std::vector<int32_t>> positions;
    std::vector<std::vector<float>> maps; // before training

    golden(const std::string & name, const rpn_hparams & hp)
        : dir(test_fixture("golden/train/" + name)), hp(hp), c(json::parse(test_read(dir + "/case.json"))) {
        const auto tensors = safetensors_open(dir + "/batch.safetensors");
        const std::vector<float> logits = safetensor_read_f32(tensors.at("first_logits"));
        size_t at = 0;
        for (size_t i = 0; i < c["samples"].size(); i++) {
            const json & s = c["samples"][i];
            const std::string n = std::to_string(i);
            const std::vector<float> l = safetensor_read_f32(tensors.at("labels." + n)), p = safetensor_read_f32(tensors.at("positions." + n));
            positions.emplace_back(p.begin(), p.end());
            batch.add(safetensor_read_f32(tensors.at("hidden." + n)), hp.n_embd, s["imageStart"], s["tokens"].get<int>() - 1,
                std::vector<int8_t>(l.begin(), l.end()));
            const size_t n_img = s["imageTokens"];
            maps.emplace_back(logits.begin() + at, logits.begin() + at + n_img);
            at += n_img;
        }
        for (size_t i = 0; i < positions.size(); i++) {
            batch.samples[i].positions = positions[i].data();
        }
    }

    std::map<std::string, std::vector<float>> weights(const std::string & file) const {
        std::map<std::string, std::vector<float>> out;
        for (const auto & [name, t] : safetensors_open(dir + "/" + file)) {
            if (name.find("twig_layers.") != std::string::npos) {
                out[file_name(name)] = safetensor_read_f32(t);
            }
        }
        return out;
    }

    // an RPN file of the network before training
    std::string file(const std::string & type) const {
        const auto values = weights("model.safetensors");
        const std::string path = test_temp("traits-" + hp.base_architecture + "-" + type + ".gguf");
        rpn_writer w;
        rpn_writer_open(w, path, hp, "traits", rpn_file_type(type));
        for (const rpn_file_tensor & t : w.tensors) {
            gguf_writer_add(w, values.at(t.name));
        }
        gguf_writer_close(w);
        return path;
    }
};

static void set(rpn_net * net, rpn_hidden & h, const rpn_train_sample & s, int first, int n) {
    rpn_hidden_reset(net, h, n);
    rpn_hidden_set(h, s.hidden + size_t(first) * rpn_get_hparams(net).n_embd, n);
}

static rpn_positions columns(const rpn_train_sample & s, int first, int n) {
    rpn_positions out;
    for (int row = 0; row < 3; row++) {
        out.insert(out.end(), s.positions + size_t(row) * s.n_tokens + first, s.positions + size_t(row) * s.n_tokens + first + n);
    }
    return out;
}

// maps of the whole prompt, and of a question after its prefix
static void check_maps(const golden & g) {
    for (const char * type : { "f32", "f16" }) {
        const double limit = std::string(type) == "f32" ? 1e-5 : 5e-3;
        rpn_ptr net = rpn_load(g.file(type), nullptr, 2);
        rpn_hidden h;
        for (size_t i = 0; i < g.maps.size(); i++) {
            const rpn_train_sample & s = g.batch.samples[i];
            set(net.get(), h, s, 0, s.n_tokens);
            CHECK_LE(rel_l2(rpn_score(net.get(), h, s.img_start, s.n_img, s.i_query, columns(s, 0, s.n_tokens)), g.maps[i]), limit);

            const int n_prefix = s.img_start + s.n_img;
            rpn_state state;
            set(net.get(), h, s, 0, n_prefix);
            rpn_prefix(net.get(), h, s.img_start, s.n_img, state, columns(s, 0, n_prefix));
            CHECK(state.image.kind == RPN_HEAD_KEYS && state.image.rows->ne[0] == g.hp.n_kv());
            set(net.get(), h, s, n_prefix, s.n_tokens - n_prefix);
            CHECK_LE(rel_l2(rpn_query(net.get(), state, h, columns(s, n_prefix, s.n_tokens - n_prefix)), g.maps[i]), limit);
        }
        // nothing else than what the file says
        const rpn_train_sample & s = g.batch.samples[0];
        set(net.get(), h, s, 0, s.n_tokens);
        CHECK_CODE(rpn_score(net.get(), h, s.img_start, s.n_img, s.i_query), "INVALID_ARGUMENT"); // three rows, and none given
        CHECK_CODE(rpn_score(net.get(), h, s.img_start, s.n_img, s.i_query, columns(s, 0, s.n_tokens - 1)), "INVALID_ARGUMENT");
        CHECK_CODE(rpn_score(net.get(), h, s.img_start, s.n_img, s.i_query, columns(s, 0, s.n_tokens), RPN_HEAD_FOLD), "INVALID_ARGUMENT");
    }
}

static void check_training(const golden & g) {
    rpn_train_params p;
    p.beta1 = g.c["optimizer"]["beta1"];
    p.beta2 = g.c["optimizer"]["beta2"];
    p.eps = g.c["optimizer"]["eps"];
    p.max_grad_norm = 0;
    rpn_trainer_ptr t = rpn_train_init(rpn_weights_load(g.file("f32")), p, nullptr);
    const double lr = g.c["optimizer"]["lr"];

    for (const rpn_train_sample & s : g.batch.samples) {
        rpn_train_accumulate(t.get(), s);
    }
    double worst = 0;
    size_t n = 0;
    for (const auto & [name, expected] : g.c["firstStepGradientNorms"].items()) {
        worst = std::max(worst, std::fabs(train_norm(rpn_train_tensor(t.get(), file_name(name), 'g')) / expected.get<double>() - 1));
        n++;
    }
    CHECK(n == rpn_file_tensors(g.hp, GGML_TYPE_F32).size());
    CHECK_LE(worst, 1e-3);

    worst = 0;
    for (size_t i = 0; i < g.c["losses"].size(); i++) {
        const rpn_train_result r = i == 0 ? rpn_train_step(t.get(), lr) : train_step(t.get(), g.batch, lr);
        worst = std::max(worst, std::fabs(r.loss - g.c["losses"][i].get<double>()));
    }
    CHECK_LE(worst, 1e-4);

    worst = 0;
    double moved = 0;
    const auto before = g.weights("model.safetensors"), after = g.weights("after.safetensors");
    for (const rpn_file_tensor & f : rpn_file_tensors(g.hp, GGML_TYPE_F32)) {
        const double off = rel_l2(rpn_train_tensor(t.get(), f.name, 'w'), after.at(f.name));
        if (off > 1e-3) {
            printf("  %s: %g\n", f.name.c_str(), off);
        }
        worst = std::max(worst, off);
        moved = std::max(moved, rel_l2(before.at(f.name), after.at(f.name)));
    }
    CHECK_LE(worst, 1e-3);
    CHECK(moved > 1e-2); // training is more than the tolerance

    rpn_train_sample blind = g.batch.samples[0];
    blind.positions = nullptr;
    CHECK_CODE(rpn_train_accumulate(t.get(), blind), "INVALID_ARGUMENT");
}

int main() {
    return test_main("rpn-traits", [] {
        for (const golden & g : { golden("qwen25-f32", qwen25()), golden("qwen3-f32", qwen3()) }) {
            check_maps(g);
            check_training(g);
        }
    });
}
