// Training of the network: losses, gradients and weights of the reference's own run (golden/train), gradients against
// finite differences of a plain implementation. What a run is made of is in test-train-run.cpp.

#include "plain.h"
#include "test.h"
#include "train-data.h"

#include <algorithm>
#include <random>

using json = nlohmann::json;

static const std::string GOLDEN = "golden/train/llava-f32";

// published names to those of an RPN file
static std::string file_name(const std::string & published, const test_sizes & s) {
    if (published == "model.twig_norm.weight") {
        return "output_norm.weight";
    }
    static const std::map<std::string, std::string> parts = {
        { "input_layernorm", "attn_norm" },
        { "post_attention_layernorm", "ffn_norm" },
        { "self_attn.q_proj", "attn_q" },
        { "self_attn.k_proj", "attn_k" },
        { "self_attn.v_proj", "attn_v" },
        { "self_attn.o_proj", "attn_output" },
        { "mlp.gate_proj", "ffn_gate" },
        { "mlp.up_proj", "ffn_up" },
        { "mlp.down_proj", "ffn_down" },
    };
    const size_t start = std::string("model.twig_layers.").size(), dot = published.find('.', start), end = published.rfind('.');
    const auto part = parts.find(published.substr(dot + 1, end - dot - 1));
    const std::string layer = published.substr(start, dot - start);
    const bool last = std::stoi(layer) == s.n_block - 1;
    const bool used = !last || part->second == "attn_norm" || part->second == "attn_q" || part->second == "attn_k";
    return used ? "blk." + layer + "." + part->second + ".weight" : "";
}

static train_batch golden_batch() {
    train_batch b;
    const auto tensors = safetensors_open(test_fixture(GOLDEN + "/batch.safetensors"));
    const json c = json::parse(test_read(test_fixture(GOLDEN + "/case.json")));
    for (int i = 0; i < c["samples"].get<int>(); i++) {
        const std::vector<float> h = safetensor_read_f32(tensors.at("hidden." + std::to_string(i)));
        const std::vector<float> l = safetensor_read_f32(tensors.at("labels." + std::to_string(i)));
        b.add(h, 64, c["imageStart"], int(h.size()) / 64 - 1, std::vector<int8_t>(l.begin(), l.end()));
    }
    return b;
}

// --- the reference's run

static void check_golden() {
    const json c = json::parse(test_read(test_fixture(GOLDEN + "/case.json")));
    const train_batch b = golden_batch();
    rpn_train_params p;
    p.beta1 = c["optimizer"]["beta1"];
    p.beta2 = c["optimizer"]["beta2"];
    p.eps = c["optimizer"]["eps"];
    p.weight_decay = c["optimizer"]["weightDecay"];
    p.max_grad_norm = 0;
    rpn_trainer_ptr t = rpn_train_init(rpn_weights_load(train_convert(test_fixture(GOLDEN + "/model.safetensors"), "train-start.gguf")), p, nullptr);

    for (const rpn_train_sample & s : b.samples) {
        rpn_train_accumulate(t.get(), s);
    }
    const test_sizes sizes{ 64, 4, 4, 176, 3 };
    double worst = 0, total = 0;
    size_t n = 0;
    for (const auto & [name, expected] : c["firstStepGradientNorms"].items()) {
        const double is = train_norm(rpn_train_tensor(t.get(), file_name(name, sizes), 'g'));
        worst = std::max(worst, std::fabs(is / expected.get<double>() - 1));
        total += is * is;
        n++;
    }
    CHECK(n == 22);
    CHECK_LE(worst, 1e-3);

    worst = 0;
    for (int i = 0; i < c["steps"].get<int>(); i++) {
        const rpn_train_result r = i == 0 ? rpn_train_step(t.get(), c["optimizer"]["lr"]) : train_step(t.get(), b, c["optimizer"]["lr"]);
        worst = std::max(worst, std::fabs(r.loss - c["losses"][i].get<double>()));
        if (i == 0) {
            CHECK_LE(std::fabs(r.grad_norm / std::sqrt(total) - 1), 1e-6);
        }
    }
    CHECK_LE(worst, 1e-4);
    CHECK(rpn_train_n_steps(t.get()) == c["steps"].get<int>());

    // in the layout of the file
    const rpn_weights after = rpn_weights_load(train_convert(test_fixture(GOLDEN + "/after.safetensors"), "train-after.gguf"));
    CHECK(after.tensors.size() == 22);
    worst = 0;
    double moved = 0;
    for (const auto & [name, _] : after.tensors) {
        worst = std::max(worst, rel_l2(rpn_train_tensor(t.get(), name, 'w'), after.tensors.at(name)));
        moved = std::max(moved, rel_l2(rpn_weights_load(test_temp("train-start.gguf")).tensors.at(name), after.tensors.at(name)));
    }
    CHECK_LE(worst, 1e-3);
    CHECK(moved > 1e-2); // training is more than the tolerance
}

// --- finite differences

static double plain_loss(const test_tensors & net, const test_sizes & sizes, const train_batch & b) {
    double sum = 0;
    int n = 0;
    for (const rpn_train_sample & s : b.samples) {
        const std::vector<float> h(s.hidden, s.hidden + size_t(s.n_tokens) * sizes.n_embd);
        const std::vector<double> z = plain_score(net, sizes, h, s.n_tokens, s.img_start, s.n_img, s.i_query);
        for (int i = 0; i < s.n_img; i++) {
            if (s.labels[i] != -100) {
                sum += std::log1p(std::exp(z[i])) - z[i] * s.labels[i];
                n++;
            }
        }
    }
    return sum / n;
}

// where the file keeps this entry: rows of rotated heads are in pairs
static int64_t file_index(const std::string & name, int64_t i, const test_sizes & s) {
    const bool rotated = (name.find("attn_q") != std::string::npos || name.find("attn_k") != std::string::npos)
        && name.rfind("blk." + std::to_string(s.n_block - 1) + ".", 0) != 0;
    if (!rotated) {
        return i;
    }
    const int64_t d = s.n_embd / s.n_head, row = i / s.n_embd, head = row / d, at = row % d;
    return (head * d + (at < d / 2 ? 2 * at : 2 * (at - d / 2) + 1)) * s.n_embd + i % s.n_embd;
}

static void check_differences(const test_sizes & sizes) {
    test_tensors net = test_network(sizes, 3);
    const train_batch b = train_random_batch(sizes.n_embd);
    const std::string file = train_convert(test_checkpoint("train-plain", test_config(sizes), net), "train-plain.gguf");
    rpn_trainer_ptr t = rpn_train_init(rpn_weights_load(file), {}, nullptr);
    for (const rpn_train_sample & s : b.samples) {
        rpn_train_accumulate(t.get(), s);
    }
    std::mt19937 rng(5);
    double worst = 0;
    size_t n = 0;
    for (auto & [published, tensor] : net) {
        const std::string name = file_name(published, sizes);
        if (name.empty()) {
            continue;
        }
        const std::vector<float> grad = rpn_train_tensor(t.get(), name, 'g');
        const std::vector<float> start = test_values(tensor);
        std::vector<float> is, expected;
        for (int k = 0; k < 8; k++) {
            const int64_t i = int64_t(rng() % start.size());
            std::vector<float> up = start, down = start;
            up[i] += 1e-3f;
            down[i] -= 1e-3f;
            tensor = test_f32(tensor.shape, up);
            const double above = plain_loss(net, sizes, b);
            tensor = test_f32(tensor.shape, down);
            const double below = plain_loss(net, sizes, b);
            tensor = test_f32(tensor.shape, start);
            expected.push_back(float((above - below) / (double(up[i]) - double(down[i]))));
            is.push_back(grad[file_index(name, i, sizes)]);
        }
        const double error = rel_l2(is, expected);
        if (error > 1e-3) {
            printf("  %s: %g\n", name.c_str(), error);
        }
        worst = std::max(worst, error);
        n++;
    }
    CHECK(n == size_t(9 * (sizes.n_block - 1) + 4));
    CHECK_LE(worst, 1e-3);
    CHECK_LE(std::fabs(rpn_train_step(t.get(), 1e-3).loss - plain_loss(net, sizes, b)), 1e-5);
}

int main() {
    return test_main("train", [] {
        check_golden();
        check_differences({ 32, 4, 4, 48, 3 });
        check_differences({ 32, 4, 2, 48, 3 }); // grouped heads
        check_differences({ 32, 4, 1, 48, 1 }); // no full layer
    });
}
