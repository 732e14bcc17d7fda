// What a run of training is made of: samples that add up to a step, clipping, evaluation, schedule and order, and errors.
// Its files are in test-train-file.cpp.

#include "plain.h"
#include "rpn/rpn.h"
#include "test.h"
#include "train-data.h"
#include "train/schedule.h"

#include <algorithm>
#include <limits>
#include <numeric>

// --- a step is the mean over all labelled cells of its samples

static void check_samples() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    auto gradient = [&](std::vector<rpn_train_sample> samples) {
        rpn_trainer_ptr t = rpn_train_init(train_start(), {}, nullptr);
        for (const rpn_train_sample & s : samples) {
            rpn_train_accumulate(t.get(), s);
        }
        return train_tensors(t.get(), 'g');
    };
    auto n_cells = [](const rpn_train_sample & s) { return double(s.n_img - std::count(s.labels, s.labels + s.n_img, int8_t(-100))); };

    const rpn_train_sample &first = b.samples[0], &second = b.samples[1];
    CHECK(n_cells(first) != n_cells(second));
    std::vector<float> expected = gradient({ first });
    const std::vector<float> other = gradient({ second });
    for (size_t i = 0; i < expected.size(); i++) {
        expected[i] = float((n_cells(first) * expected[i] + n_cells(second) * other[i]) / (n_cells(first) + n_cells(second)));
    }
    CHECK_LE(rel_l2(gradient({ first, second }), expected), 1e-6);

    // a sample without labels counts for nothing
    rpn_train_sample blank = second;
    const std::vector<int8_t> none(second.n_img, -100);
    blank.labels = none.data();
    CHECK(gradient({ first, blank }) == gradient({ first }));

    // neither do tokens after the query
    rpn_train_sample cut = second;
    CHECK(cut.i_query < cut.n_tokens - 1);
    cut.n_tokens = cut.i_query + 1;
    CHECK(gradient({ cut }) == gradient({ second }));
}

// workers share the samples out; the sums are the same but for rounding, and the same in each run
static void check_workers() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    auto run = [&](int n_workers, rpn_train_metrics & m) {
        rpn_train_params p;
        p.n_workers = n_workers;
        rpn_trainer_ptr t = rpn_train_init(train_start(), p, nullptr);
        for (int i = 0; i < 2; i++) {
            rpn_train_accumulate(t.get(), b.samples);
            rpn_train_accumulate(t.get(), b.samples[1]);
            rpn_train_step(t.get(), 1e-3);
        }
        rpn_train_eval(t.get(), b.samples, m);
        rpn_train_accumulate(t.get(), b.samples);
        return train_tensors(t.get(), 'g');
    };
    rpn_train_metrics one, two, many;
    const std::vector<float> expected = run(1, one);
    CHECK_LE(rel_l2(run(2, two), expected), 1e-4); // after two steps of AdamW
    CHECK_LE(rel_l2(run(5, many), expected), 1e-4);
    CHECK_LE(std::fabs(two.loss() - one.loss()), 1e-5);
    CHECK(one.n_cells > 0 && two.n_cells == one.n_cells && many.n_cells == one.n_cells);
    rpn_train_metrics again, once_more;
    CHECK(run(2, again) == run(2, once_more));
    CHECK(again.loss_sum == once_more.loss_sum);

    // one bad sample refuses all
    rpn_train_params p;
    p.n_workers = 2;
    rpn_trainer_ptr t = rpn_train_init(train_start(), p, nullptr);
    std::vector<rpn_train_sample> samples = b.samples;
    samples[2].i_query = -1;
    CHECK_CODE(rpn_train_accumulate(t.get(), samples), "INVALID_ARGUMENT");
    CHECK(train_norm(train_tensors(t.get(), 'g')) == 0);
    CHECK(rpn_train_accumulate(t.get(), std::vector<rpn_train_sample>{}) == 0);
}

static void check_clipping() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    auto first_moment = [&](float max_norm, double & grad_norm) {
        rpn_train_params p;
        p.max_grad_norm = max_norm;
        rpn_trainer_ptr t = rpn_train_init(train_start(), p, nullptr);
        grad_norm = train_step(t.get(), b, 1e-3).grad_norm;
        return train_tensors(t.get(), 'm');
    };
    double norm = 0, same = 0;
    const std::vector<float> free = first_moment(0, norm);
    CHECK_LE(std::fabs(train_norm(free) / (0.1 * norm) - 1), 1e-5); // 1 - beta1
    CHECK(first_moment(float(2 * norm), same) == free);             // below the limit nothing changes
    std::vector<float> clipped = first_moment(float(norm / 8), same);
    CHECK(same == norm); // what is reported is the norm before clipping
    for (float & v : clipped) {
        v *= 8;
    }
    CHECK_LE(rel_l2(clipped, free), 1e-4);
}

static void check_eval() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    const test_tensors net = train_network();
    rpn_trainer_ptr t = rpn_train_init(train_start(), {}, nullptr);
    rpn_ptr rpn = rpn_load(test_temp("train-start-random.gguf"), nullptr, 1);
    rpn_train_metrics m;
    double loss = 0, n = 0, tp = 0, said = 0, is = 0;
    for (const rpn_train_sample & s : b.samples) {
        rpn_train_eval(t.get(), s, m);
        const std::vector<float> hidden(s.hidden, s.hidden + size_t(s.n_tokens) * TRAIN_SIZES.n_embd);
        const std::vector<double> z = plain_score(net, TRAIN_SIZES, hidden, s.n_tokens, s.img_start, s.n_img, s.i_query);
        for (int i = 0; i < s.n_img; i++) {
            if (s.labels[i] != -100) {
                const double p = 1 / (1 + std::exp(-z[i]));
                loss -= s.labels[i] ? std::log(p) : std::log(1 - p);
                n++;
                said += p > 0.5;
                is += s.labels[i];
                tp += p > 0.5 && s.labels[i];
            }
        }
        rpn_hidden h;
        rpn_hidden_reset(rpn.get(), h, s.n_tokens);
        rpn_hidden_set(h, s.hidden, s.n_tokens);
        CHECK_LE(rel_l2(rpn_train_score(t.get(), s), rpn_score(rpn.get(), h, s.img_start, s.n_img, s.i_query)), 1e-5);
    }
    CHECK_LE(std::fabs(m.loss() - loss / n), 1e-6);
    CHECK(m.n_cells == n && tp > 0 && said > tp && is > tp);
    CHECK_LE(std::fabs(m.precision() - tp / said), 1e-12);
    CHECK_LE(std::fabs(m.recall() - tp / is), 1e-12);
    CHECK_LE(std::fabs(train_step(t.get(), b, 0).loss - m.loss()), 1e-6);                                       // evaluation left no trace
    CHECK(train_tensors(t.get(), 'w') == train_tensors(rpn_train_init(train_start(), {}, nullptr).get(), 'w')); // rate 0
}

// --- schedule and order

static void check_schedule() {
    // transformers' get_cosine_schedule_with_warmup(num_warmup_steps=6, num_training_steps=200)
    CHECK(rpn_train_lr(2, 0, 200) == 0);
    CHECK_LE(std::fabs(rpn_train_lr(2, 1, 200) - 2.0 / 6), 1e-12);
    CHECK_LE(std::fabs(rpn_train_lr(2, 6, 200) - 2.0), 1e-12);
    CHECK_LE(std::fabs(rpn_train_lr(2, 103, 200) - 1.0), 1e-12);
    CHECK_LE(std::fabs(rpn_train_lr(2, 54, 200) - (1 + std::cos(3.141592653589793 * 48 / 194))), 1e-12);
    CHECK_LE(rpn_train_lr(2, 200, 200), 1e-12);
    CHECK(rpn_train_lr(2, 0, 200, 0) == 2);

    const std::vector<int32_t> order = rpn_train_order(1000, 1, 0);
    std::vector<int32_t> sorted = order, all(1000);
    std::sort(sorted.begin(), sorted.end());
    std::iota(all.begin(), all.end(), 0);
    CHECK(sorted == all && order != all);
    CHECK(order == rpn_train_order(1000, 1, 0));
    CHECK(order != rpn_train_order(1000, 2, 0));
    CHECK(order != rpn_train_order(1000, 1, 1));
    CHECK(rpn_train_order(0, 1, 0).empty());
}

// --- errors

static void check_errors() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    rpn_trainer_ptr t = rpn_train_init(train_start(), {}, nullptr);
    CHECK_CODE(rpn_train_step(t.get(), 1e-3), "INVALID_ARGUMENT"); // nothing accumulated
    auto refused = [&](const std::function<void(rpn_train_sample & s)> & change) {
        rpn_train_sample s = b.samples[0];
        change(s);
        CHECK_CODE(rpn_train_accumulate(t.get(), s), "INVALID_ARGUMENT");
    };
    refused([](rpn_train_sample & s) { s.i_query = s.n_tokens; });
    refused([](rpn_train_sample & s) { s.i_query = -1; });
    refused([](rpn_train_sample & s) { s.n_img = s.n_tokens; });
    refused([](rpn_train_sample & s) { s.n_img = 0; });
    refused([](rpn_train_sample & s) { s.n_img = std::numeric_limits<int>::max(); });
    refused([](rpn_train_sample & s) { s.img_start = -1; });
    std::vector<int8_t> labels(b.labels[0]);
    labels[1] = 2;
    refused([&](rpn_train_sample & s) { s.labels = labels.data(); });
    std::vector<float> hidden(b.hidden[0]);
    hidden[5] = std::numeric_limits<float>::quiet_NaN();
    refused([&](rpn_train_sample & s) { s.hidden = hidden.data(); });
    CHECK(train_norm(train_tensors(t.get(), 'g')) == 0);

    CHECK_CODE(rpn_train_step(t.get(), -1), "INVALID_ARGUMENT");
    CHECK_CODE(rpn_train_tensor(t.get(), "blk.2.attn_v.weight", 'w'), "INVALID_ARGUMENT");
    rpn_train_params p;
    p.beta2 = 1;
    CHECK_CODE(rpn_train_init(train_start(), p, nullptr), "INVALID_ARGUMENT");
    rpn_weights w = train_start();
    w.tensors.at("output_norm.weight").pop_back();
    CHECK_CODE(rpn_train_init(w, {}, nullptr), "INVALID_ARGUMENT");

    train_step(t.get(), b, 1e38); // the weights are ruined, the process goes on
    const std::vector<float> ruined = train_tensors(t.get(), 'w');
    CHECK_CODE(train_step(t.get(), b, 1e-3), "INVALID_ARGUMENT");
    CHECK(std::equal(
        ruined.begin(), ruined.end(), train_tensors(t.get(), 'w').begin(), [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
    CHECK(rpn_train_n_steps(t.get()) == 1);
}

int main() {
    return test_main("train-run", [] {
        check_samples();
        check_workers();
        check_clipping();
        check_eval();
        check_schedule();
        check_errors();
    });
}
