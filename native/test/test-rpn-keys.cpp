// Kind, gate and defaults of an RPN file: what is written is what is read, and what cannot be is refused.

#include "rpn/rpn-file.h"
#include "rpn/rpn-impl.h"
#include "test.h"
#include "train-data.h"
#include "train/weights.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <functional>
#include <random>

// a Q-Zoom network for Qwen3-VL, small
static rpn_hparams qzoom() {
    rpn_hparams hp;
    hp.base_architecture = "qwen3vl";
    hp.kind = "qzoom";
    hp.n_embd = 32;
    hp.n_ff = 48;
    hp.n_head = 4;
    hp.n_head_kv = 2;
    hp.d_head = hp.rope_dim = 16; // wider than 32 / 4
    hp.n_block = 3;
    hp.branch = 2;
    hp.base_n_layer = 6;
    hp.eps = 1e-6f;
    hp.rope_type = GGML_ROPE_TYPE_NEOX;
    hp.rope_base = 5e6f;
    hp.rope_sections[0] = 4;
    hp.rope_sections[1] = hp.rope_sections[2] = 2;
    hp.rope_interleaved = hp.head_rope = hp.qk_norm = true;
    hp.head_norm = false;
    hp.threshold = 0.1f;
    hp.n_gate_block = 2;
    hp.gate_threshold = 0.05f;
    hp.roi_positions_aligned = true;
    hp.image_tokens_min = 256;
    hp.image_tokens_max = 576;
    return hp;
}

using change = std::function<void(gguf_context *)>;

// every value of tensor i is about i
static std::string write(const rpn_hparams & hp, const change & keys = nullptr) {
    const std::string path = test_temp("rpn-keys.gguf");
    gguf_context_ptr header(gguf_init_empty());
    rpn_file_keys(header.get(), hp, "keys", GGML_TYPE_F32);
    if (keys) {
        keys(header.get());
    }
    rpn_writer w;
    w.tensors = rpn_file_tensors(hp, GGML_TYPE_F32);
    const auto gate = rpn_gate_tensors(hp, GGML_TYPE_F32);
    w.tensors.insert(w.tensors.end(), gate.begin(), gate.end());
    gguf_writer_begin(w, path, header.get());
    std::mt19937 rng(1);
    for (size_t i = 0; i < w.tensors.size(); i++) {
        std::vector<float> v(size_t(w.tensors[i].ne0 * w.tensors[i].n_rows()));
        for (float & x : v) {
            x = float(i) + float(rng() / 4294967296.0);
        }
        gguf_writer_add(w, v);
    }
    gguf_writer_close(w);
    return path;
}

static void check_round_trip() {
    const rpn_hparams hp = qzoom();
    const std::string path = write(hp);
    const rpn_ptr net = rpn_load(path, nullptr, 1);
    const rpn_hparams & got = rpn_get_hparams(net.get());
    CHECK(got.kind == "qzoom" && got.roi_positions_aligned && got.image_tokens_min == 256 && got.image_tokens_max == 576);
    CHECK(got.n_gate_block == 2 && got.gate_threshold == 0.05f && got.threshold == 0.1f);

    // the gate's blocks are whole, its output is one row and one number
    CHECK(net->gate_blocks.size() == 2);
    for (const rpn_block_weights & b : net->gate_blocks) {
        for (const ggml_tensor * t : { b.attn_norm, b.wq, b.wk, b.wv, b.wo, b.q_norm, b.k_norm, b.ffn_norm, b.ffn_gate, b.ffn_up, b.ffn_down }) {
            CHECK(t != nullptr);
        }
        CHECK(b.bq == nullptr);
    }
    CHECK(net->gate_weight->ne[0] == 32 && ggml_nelements(net->gate_weight) == 32 && ggml_nelements(net->gate_bias) == 1);
    const size_t n_net = rpn_file_tensors(hp, GGML_TYPE_F32).size(), n_gate = rpn_gate_tensors(hp, GGML_TYPE_F32).size();
    CHECK(n_gate == 2 * 11 + 2);
    float first = 0, bias = 0;
    ggml_backend_tensor_get(net->gate_blocks[1].attn_norm, &first, 0, sizeof(float));
    ggml_backend_tensor_get(net->gate_bias, &bias, 0, sizeof(float));
    CHECK(int(first) == int(n_net) + 11 && int(bias) == int(n_net + n_gate) - 1);

    // defaults: no gate, no budget, fresh positions, and a file like LLaVA's has none of the keys
    rpn_hparams plain = qzoom();
    plain.kind = "sdrpn-qwen";
    plain.base_architecture = "qwen2vl";
    plain.n_gate_block = plain.image_tokens_min = plain.image_tokens_max = 0;
    plain.gate_threshold = 0;
    plain.roi_positions_aligned = false;
    const rpn_ptr other = rpn_load(write(plain), nullptr, 1);
    CHECK(other->hp.kind == "sdrpn-qwen" && other->hp.n_gate_block == 0 && other->hp.image_tokens_max == 0 && !other->hp.roi_positions_aligned);
    CHECK(other->gate_blocks.empty() && other->gate_weight == nullptr && other->gate_bias == nullptr);
    plain.kind = "llava";
    plain.base_architecture = "llama";
    gguf_file f;
    gguf_file_open(f, write(plain), "RPN", "RPN_INVALID");
    for (const char * key : { "kind", "roi_positions", "image_tokens_min", "gate_block_count", "gate_threshold" }) {
        CHECK(!f.has(std::string("sdrpn.") + key));
    }
}

static void check_refused() {
    auto fails = [](const std::string & says, const change & keys) {
        std::string code, message;
        const std::string path = write(qzoom(), keys);
        try {
            rpn_load(path, nullptr, 1);
        } catch (const sd_error & e) {
            code = e.code;
            message = e.what();
        }
        const bool ok = code == "RPN_INVALID" && message.find(says) != std::string::npos;
        CHECK(ok);
        if (!ok) {
            fprintf(stderr, "  %s: %s (expected %s)\n", code.c_str(), message.c_str(), says.c_str());
        }
    };
    auto text = [](const char * key, const char * value) { return [=](gguf_context * g) { gguf_set_val_str(g, key, value); }; };
    auto number = [](const char * key, uint32_t value) { return [=](gguf_context * g) { gguf_set_val_u32(g, key, value); }; };
    auto real = [](const char * key, float value) { return [=](gguf_context * g) { gguf_set_val_f32(g, key, value); }; };
    auto without = [](const char * key) { return [=](gguf_context * g) { gguf_remove_key(g, key); }; };

    fails("lacks the key sdrpn.kind", without("sdrpn.kind"));
    fails("kind other, but only llava, sdrpn-qwen and qzoom", text("sdrpn.kind", "other"));
    fails("kind llava, which the base architecture qwen3vl does not go with", text("sdrpn.kind", "llava"));
    fails("kind sdrpn-qwen, which the base architecture qwen3vl does not", text("sdrpn.kind", "sdrpn-qwen"));
    fails("kind qzoom, which the base architecture llama does not", text("sdrpn.base_architecture", "llama"));
    fails("other for sdrpn.roi_positions", text("sdrpn.roi_positions", "other"));
    fails("sdrpn.roi_positions", number("sdrpn.roi_positions", 1));
    fails("sdrpn.kind", number("sdrpn.kind", 1));
    fails("budget of 577 to 576", number("sdrpn.image_tokens_min", 577));
    fails("budget of 0 to 576", number("sdrpn.image_tokens_min", 0));
    fails("budget of 0 to 576", without("sdrpn.image_tokens_min"));
    fails("budget of 256 to 0", without("sdrpn.image_tokens_max"));
    fails("budget of 256 to 65537", number("sdrpn.image_tokens_max", 65537));
    fails("65 gate blocks", number("sdrpn.gate_block_count", 65));
    fails("gate threshold 1.5", real("sdrpn.gate_threshold", 1.5f));
    fails("gate threshold -0.1", real("sdrpn.gate_threshold", -0.1f));
    fails("gate threshold nan", real("sdrpn.gate_threshold", std::nanf("")));
    fails("lacks the tensor gate.blk.2.attn_norm.weight", number("sdrpn.gate_block_count", 3));

    rpn_hparams hp = qzoom();
    hp.base_architecture = "qwen2vl";
    hp.kind = "sdrpn-qwen";
    hp.roi_positions_aligned = false;
    CHECK_CODE(rpn_load(write(hp), nullptr, 1), "RPN_INVALID"); // a gate
    hp.n_gate_block = 0;
    hp.roi_positions_aligned = true;
    CHECK_CODE(rpn_load(write(hp), nullptr, 1), "RPN_INVALID"); // aligned
    hp.roi_positions_aligned = false;
    CHECK(rpn_load(write(hp), nullptr, 1));
}

// training moves the network and hands the gate through, into the file, a checkpoint, and on from there
static void check_training() {
    const rpn_hparams hp = qzoom();
    const rpn_weights start = rpn_weights_load(write(hp));
    rpn_trainer_ptr t = rpn_train_init(start, {}, nullptr);
    const std::vector<float> hidden = train_random_values(size_t(6) * hp.n_embd, 2);
    const std::vector<int8_t> labels = { 1, 0, 0 };
    const std::vector<int32_t> positions = { 0, 1, 1, 1, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 1, 1, 4, 5 };
    rpn_train_sample s;
    s.hidden = hidden.data();
    s.n_tokens = 6;
    s.img_start = 1;
    s.n_img = 3;
    s.i_query = 5;
    s.labels = labels.data();
    s.positions = positions.data();
    rpn_train_accumulate(t.get(), s);
    rpn_train_step(t.get(), 1e-3);

    const std::string saved = test_temp("rpn-keys-saved.gguf"), half = test_temp("rpn-keys-half.gguf"), again = test_temp("rpn-keys-again.gguf");
    rpn_train_save(t.get(), saved, "f32", 0.2f);
    rpn_train_checkpoint(t.get(), half, "note");
    std::string note;
    rpn_train_save(rpn_train_resume(half, {}, nullptr, note).get(), again, "f32", 0.2f);
    CHECK(test_read(saved) == test_read(again));

    const rpn_weights after = rpn_weights_load(saved);
    CHECK(after.hp.kind == "qzoom" && after.hp.n_gate_block == 2 && after.hp.gate_threshold == 0.05f && after.hp.image_tokens_max == 576);
    CHECK(after.tensors.at("blk.0.attn_q.weight") != start.tensors.at("blk.0.attn_q.weight"));
    for (const rpn_file_tensor & f : rpn_gate_tensors(hp, GGML_TYPE_F32)) {
        CHECK(after.tensors.at(f.name) == start.tensors.at(f.name));
    }
}

int main() {
    return test_main("rpn-keys", [] {
        check_round_trip();
        check_refused();
        check_training();
    });
}
