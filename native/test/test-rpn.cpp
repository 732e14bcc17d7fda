// The region proposal network against the reference's own code (golden/rpn), through the converter: checkpoint -> RPN
// file -> logits. Then what each weight type costs, the split into prefix and question, grouped heads, and loading errors.

#include "backend.h"
#include "checkpoint.h"
#include "convert/convert.h"
#include "plain.h"
#include "rpn/rpn.h"
#include "test.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

// A GPU multiplies f32 matrices with inputs of 11 bits (TF32): measured on an H200, up to 1.2e-3 from exact sums.
static double limit(double on_host) {
    return test_device() ? std::max(on_host, 2e-3) : on_host;
}

using json = nlohmann::json;

static std::string convert(const std::string & checkpoint, const std::string & type) {
    sd_convert_params p;
    p.checkpoint = checkpoint;
    p.type = type;
    p.out = test_temp("rpn-" + type + ".gguf");
    std::atomic<bool> cancel{ false };
    sd_convert(p, cancel);
    return p.out;
}

struct golden {
    std::string checkpoint;
    std::vector<float> hidden, logits;
    int n_tokens, img_start, n_img, i_query;

    explicit golden(const std::string & name) : checkpoint(test_fixture("golden/rpn/" + name)) {
        const auto tensors = safetensors_open(checkpoint + "/expected.safetensors");
        hidden = safetensor_read_f32(tensors.at("hidden"));
        logits = safetensor_read_f32(tensors.at("roi_logits"));
        const json c = json::parse(test_read(checkpoint + "/case.json"));
        n_tokens = c["tokens"];
        img_start = c["imageStart"];
        n_img = c["imageTokens"];
        i_query = c["queryIndex"];
    }
};

static std::vector<float> score(
    rpn_net * net, const std::vector<float> & hidden, int n_tokens, int img_start, int n_img, int i_query, rpn_head_kind head = RPN_HEAD_BEST) {
    rpn_hidden h;
    rpn_hidden_reset(net, h, n_tokens);
    rpn_hidden_set(h, hidden.data(), n_tokens);
    return rpn_score(net, h, img_start, n_img, i_query, {}, head);
}

static std::vector<float> score(const golden & g, const std::string & type, rpn_head_kind head = RPN_HEAD_BEST) {
    rpn_ptr net = rpn_load(convert(g.checkpoint, type), test_device(), 2);
    return score(net.get(), g.hidden, g.n_tokens, g.img_start, g.n_img, g.i_query, head);
}

// the prefix once, then the question: the same numbers as the whole prompt at once
static void check_split(const golden & g) {
    rpn_ptr net = rpn_load(convert(g.checkpoint, "f32"), test_device(), 2);
    const int n_prefix = g.img_start + g.n_img, n_embd = rpn_get_hparams(net.get()).n_embd;
    CHECK(g.i_query == g.n_tokens - 1);

    rpn_hidden h;
    rpn_state state;
    rpn_hidden_reset(net.get(), h, n_prefix);
    rpn_hidden_set(h, g.hidden.data(), n_prefix);
    rpn_prefix(net.get(), h, g.img_start, g.n_img, state);

    const std::vector<float> whole = score(net.get(), g.hidden, g.n_tokens, g.img_start, g.n_img, g.i_query);
    for (int round = 0; round < 2; round++) { // a question leaves the prefix as it was
        rpn_hidden_reset(net.get(), h, g.n_tokens - n_prefix);
        rpn_hidden_set(h, g.hidden.data() + size_t(n_prefix) * n_embd, g.n_tokens - n_prefix);
        CHECK_LE(rel_l2(rpn_query(net.get(), state, h), whole), limit(1e-5));
    }
}

// those that the device allows; where it is the host, all of them
static std::vector<rpn_head_kind> heads() {
    std::vector<rpn_head_kind> out = { RPN_HEAD_FOLD, RPN_HEAD_KEYS };
    if (!test_device() || sd_backend_has_head_kernel(test_device())) {
        out.push_back(RPN_HEAD_KERNEL);
    }
    if (!test_device()) {
        out.push_back(RPN_HEAD_FUSED);
    }
    return out;
}

static void check_golden() {
    const golden f32("llava-f32"), bf16("llava-bf16");
    CHECK_LE(rel_l2(score(f32, "f32"), f32.logits), limit(1e-4));
    CHECK_LE(rel_l2(score(f32, "f16"), f32.logits), 2e-3);
    CHECK_LE(rel_l2(score(bf16, "f32"), bf16.logits), 5e-3);
    CHECK_LE(rel_l2(score(bf16, "f16"), bf16.logits), 5e-3);
    CHECK_LE(rel_l2(score(bf16, "q8_0"), bf16.logits), 3e-2);
    CHECK_LE(rel_l2(score(bf16, "q4_k"), bf16.logits), 3e-2); // rows of 128 and 352: all q8_0
    for (rpn_head_kind head : heads()) {
        CHECK_LE(rel_l2(score(f32, "f32", head), f32.logits), limit(1e-4));
        CHECK_LE(rel_l2(score(bf16, "f32", head), bf16.logits), 5e-3);
    }
    check_split(f32);
    check_split(bf16);
}

// --- against the plain implementation

static std::vector<float> random_hidden(int n) {
    std::mt19937 rng(7);
    std::vector<float> out(n);
    for (float & v : out) {
        v = float(rng() / 4294967296.0 * 4.0 - 2.0);
    }
    return out;
}

static void check_plain() {
    for (const test_sizes & s : { test_sizes{ 48, 6, 2, 80, 3 }, test_sizes{ 48, 6, 6, 80, 4 }, test_sizes{ 32, 4, 1, 48, 1 } }) {
        const test_tensors net = test_network(s, 1);
        const std::vector<float> hidden = random_hidden(40 * s.n_embd);
        rpn_ptr rpn = rpn_load(convert(test_checkpoint("plain", test_config(s), net), "f32"), test_device(), 1);
        // a query in the middle: what follows it must not count
        for (int i_query : { 39, 33 }) {
            CHECK_LE(rel_l2(score(rpn.get(), hidden, 40, 5, 25, i_query), plain_score_f32(net, s, hidden, 40, 5, 25, i_query)), limit(1e-5));
        }
    }
}

// the head alone, each kind against the plain implementation (a single block has no full layers before it), and what it keeps of an
// image serves all its questions
static void check_head() {
    for (const test_sizes & s :
        { test_sizes{ 48, 6, 2, 80, 1 }, test_sizes{ 48, 6, 6, 80, 1 }, test_sizes{ 40, 4, 1, 48, 1 }, test_sizes{ 256, 4, 4, 512, 1 } }) {
        const test_tensors net = test_network(s, 3);
        const std::vector<float> states = random_hidden(40 * s.n_embd);
        for (const char * type : { "f32", "f16" }) {
            rpn_ptr rpn = rpn_load(convert(test_checkpoint("head", test_config(s), net), type), test_device(), 2);
            rpn_hidden h;
            rpn_hidden_reset(rpn.get(), h, 40);
            rpn_hidden_set(h, states.data(), 40);
            for (rpn_head_kind kind : heads()) {
                rpn_state image;
                rpn_head_image(rpn.get(), h, 5, 25, image, {}, kind);
                CHECK(image.image.kind == kind);
                for (int i_query : { 39, 31 }) {
                    const auto map = rpn_head_map(rpn.get(), image, h, i_query);
                    CHECK_LE(rel_l2(map, plain_score_f32(net, s, states, 40, 5, 25, i_query)), std::string(type) == "f32" ? limit(1e-5) : 5e-3);
                }
            }
        }
    }
}

// --- weight types on rows that q4_k divides; weights are random, which is the worst case for quantisation

static void check_types() {
    const test_sizes s{ 256, 4, 4, 512, 3 };
    const std::string dir = test_checkpoint("types", test_config(s), test_network(s, 2));
    const std::vector<float> hidden = random_hidden(120 * s.n_embd);
    auto run = [&](const char * type) {
        rpn_ptr net = rpn_load(convert(dir, type), test_device(), 2);
        return score(net.get(), hidden, 120, 5, 100, 119);
    };
    const std::vector<float> f32 = run("f32"), f16 = run("f16"), q8_0 = run("q8_0"), q4_k = run("q4_k");
    CHECK_LE(rel_l2(f16, f32), 2e-3);
    CHECK_LE(rel_l2(q8_0, f32), 3e-2);
    CHECK_LE(rel_l2(q4_k, f32), 3e-1);
    CHECK(rel_l2(q4_k, f32) > rel_l2(q8_0, f32)); // it is q4_k, not a fallback
}

// --- loading errors

// the file again with one tensor left out and one number changed
static std::string changed(const std::string & path, const std::string & without, const char * key, uint32_t value) {
    ggml_context * data = nullptr;
    gguf_context_ptr in(gguf_init_from_file(path.c_str(), { false, &data }));
    ggml_context_ptr holder(data);
    gguf_context_ptr out(gguf_init_empty());
    gguf_set_kv(out.get(), in.get());
    if (key) {
        gguf_set_val_u32(out.get(), key, value);
    }
    for (ggml_tensor * t = ggml_get_first_tensor(data); t; t = ggml_get_next_tensor(data, t)) {
        if (without != t->name) {
            gguf_add_tensor(out.get(), t);
        }
    }
    const std::string to = test_temp("changed.gguf");
    CHECK(gguf_write_to_file(out.get(), to.c_str(), false));
    return to;
}

// loading fails with this code and says this
static void check_load(const std::string & path, const std::string & code, const std::string & says) {
    try {
        rpn_load(path, test_device(), 1);
        CHECK(!"loaded");
    } catch (const sd_error & e) {
        CHECK(e.code == code);
        const bool said = std::string(e.what()).find(says) != std::string::npos;
        CHECK(said);
        if (!said || e.code != code) {
            fprintf(stderr, "  %s: %s (expected %s: %s)\n", e.code.c_str(), e.what(), code.c_str(), says.c_str());
        }
    }
}

static void check_errors() {
    const std::string good = convert(test_fixture("golden/rpn/llava-f32"), "f32");
    CHECK(rpn_get_hparams(rpn_load(changed(good, "", nullptr, 0), test_device(), 1).get()).n_ff == 176);

    check_load(test_temp("no-such-file.gguf"), "MODEL_NOT_FOUND", "no-such-file.gguf");
    check_load(test_empty_dir("directory"), "RPN_INVALID", "regular file");

    const std::string bytes = test_read(good), broken = test_temp("broken.gguf");
    const struct {
        std::string content, says;
    } files[] = {
        { "", "is empty" },
        { std::string(5000, 'x'), "not a GGUF" },
        { bytes.substr(0, 100), "header" },
        { bytes.substr(0, bytes.size() / 2), "truncated" },
        { bytes.substr(0, bytes.size() - 300), "truncated" },
    };
    for (const auto & f : files) {
        test_write(broken, f.content);
        check_load(broken, "RPN_INVALID", f.says);
    }
    check_load(changed(good, "output_norm.weight", nullptr, 0), "RPN_INVALID", "lacks the tensor output_norm.weight");
    check_load(changed(good, "blk.2.attn_k.weight", nullptr, 0), "RPN_INVALID", "lacks the tensor blk.2.attn_k.weight");
    check_load(changed(good, "", "sdrpn.feed_forward_length", 160), "RPN_INVALID", "shape [64, 176] instead of [64, 160]");
    check_load(changed(good, "", "sdrpn.attention.head_count", 7), "RPN_INVALID", "impossible sizes");
    check_load(changed(good, "", "sdrpn.rope.dimension_count", 17), "RPN_INVALID", "rope dimension");
    check_load(test_demo("pico-llava-f16.gguf"), "RPN_INVALID", "architecture llama");

    // the same process goes on
    const golden g("llava-f32");
    CHECK_LE(rel_l2(score(g, "f32"), g.logits), limit(1e-4));
}

int main() {
    return test_main("rpn", [] {
        check_golden();
        check_plain();
        check_head();
        check_types();
        check_errors();
    });
}
