#include "train-data.h"

#include "convert/convert.h"
#include "test.h"

#include <atomic>
#include <cmath>
#include <random>

void train_batch::add(const std::vector<float> & h, int n_embd, int img_start, int i_query, const std::vector<int8_t> & l) {
    hidden.push_back(h);
    labels.push_back(l);
    rpn_train_sample s;
    s.n_tokens = int(h.size()) / n_embd;
    s.img_start = img_start;
    s.n_img = int(l.size());
    s.i_query = i_query;
    samples.push_back(s);
    for (size_t i = 0; i < samples.size(); i++) {
        samples[i].hidden = hidden[i].data();
        samples[i].labels = labels[i].data();
    }
}

std::vector<float> train_random_values(size_t n, uint32_t seed) {
    std::mt19937 rng(seed);
    std::vector<float> out(n);
    for (float & v : out) {
        v = float(rng() / 4294967296.0 * 4.0 - 2.0);
    }
    return out;
}

std::vector<int8_t> train_random_labels(size_t n, uint32_t seed) {
    std::mt19937 rng(seed);
    std::vector<int8_t> out(n);
    for (int8_t & v : out) {
        const int8_t values[] = { 1, 0, 0, -100 };
        v = values[rng() >> 30];
    }
    return out;
}

train_batch train_random_batch(int n_embd) {
    train_batch b;
    for (uint32_t i = 0; i < 3; i++) {
        const int n = 24 + 3 * int(i), n_img = 12 + int(i);
        b.add(train_random_values(size_t(n) * n_embd, 10 + i), n_embd, 3, n - 1 - int(i), train_random_labels(n_img, 20 + i));
    }
    return b;
}

rpn_train_result train_step(rpn_trainer * t, const train_batch & b, double lr) {
    for (const rpn_train_sample & s : b.samples) {
        rpn_train_accumulate(t, s);
    }
    return rpn_train_step(t, lr);
}

std::string train_convert(const std::string & checkpoint, const std::string & name) {
    sd_convert_params p;
    p.checkpoint = checkpoint;
    p.type = "f32";
    p.out = test_temp(name);
    std::atomic<bool> cancel{ false };
    sd_convert(p, cancel);
    return p.out;
}

double train_norm(const std::vector<float> & v) {
    double sum = 0;
    for (float x : v) {
        sum += double(x) * x;
    }
    return std::sqrt(sum);
}

const test_sizes TRAIN_SIZES{ 32, 4, 2, 48, 3 };

test_tensors train_network() {
    return test_network(TRAIN_SIZES, 4);
}

const rpn_weights & train_start() {
    static const rpn_weights w =
        rpn_weights_load(train_convert(test_checkpoint("train-start-random", test_config(TRAIN_SIZES), train_network()), "train-start-random.gguf"));
    return w;
}

std::vector<float> train_tensors(const rpn_trainer * t, char what) {
    std::vector<float> out;
    for (const auto & [name, _] : train_start().tensors) {
        const std::vector<float> v = rpn_train_tensor(t, name, what);
        out.insert(out.end(), v.begin(), v.end());
    }
    return out;
}
