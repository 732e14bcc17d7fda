// Log-probabilities of tokens: against sums worked out by hand, against the logits of the same prompt, and against the
// attention capture, which decodes in a context of its own.

#include "demo-model.h"
#include "distill/attention.h"
#include "generate.h"
#include "test.h"

#include <algorithm>
#include <cmath>

// what the definition says, summed from the smallest term on
static double definition(const std::vector<float> & logits, int token) {
    std::vector<long double> terms;
    const long double max = *std::max_element(logits.begin(), logits.end());
    for (float l : logits) {
        terms.push_back(std::exp((long double) l - max));
    }
    std::sort(terms.begin(), terms.end());
    long double sum = 0;
    for (long double t : terms) {
        sum += t;
    }
    return double((long double) logits[token] - max - std::log(sum));
}

static void check_arithmetic() {
    const float equal[4] = { 7, 7, 7, 7 }; // a quarter each
    for (int t = 0; t < 4; t++) {
        CHECK_LE(std::fabs(sd_logprobs_of(equal, 4, t, 0).chosen.logprob - std::log(0.25)), 1e-15);
    }
    const float odds[3] = { std::log(1.0f), std::log(2.0f), std::log(5.0f) }; // 1 : 2 : 5
    const sd_token_logprobs p = sd_logprobs_of(odds, 3, 0, 2);
    CHECK(p.chosen.token == 0);
    CHECK_LE(std::fabs(std::exp(p.chosen.logprob) - 1.0 / 8), 1e-7);
    CHECK(p.top.size() == 2 && p.top[0].token == 2 && p.top[1].token == 1);
    CHECK_LE(std::fabs(std::exp(p.top[0].logprob) - 5.0 / 8), 1e-7);
    CHECK(sd_logprobs_of(odds, 3, 1, 20).top.size() == 3); // no more than there are
    CHECK(sd_logprobs_of(equal, 4, 0, 3).top[0].token == 0 && sd_logprobs_of(equal, 4, 0, 3).top[2].token == 2);

    // exp would overflow at 89 and vanish at -104 in float
    const float far[3] = { 5000, 4999, -5000 };
    CHECK_LE(std::fabs(sd_logprobs_of(far, 3, 1, 0).chosen.logprob + 1 + std::log1p(std::exp(-1.0))), 1e-7);
    CHECK_LE(std::fabs(sd_logprobs_of(far, 3, 2, 0).chosen.logprob + 10000 + std::log1p(std::exp(-1.0))), 1e-7);
}

static sd_view picture(const char * name) {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/" + std::string(name) + ".png"), w, h));
}

static const char * CODE = "What code is on the black square?";

// one answer, or two that advance together
static std::vector<std::unique_ptr<sd_answer>> answers(demo & d, const sd_generate_params & p, const std::vector<sd_view> & views, int n) {
    std::vector<std::unique_ptr<sd_session>> sessions;
    std::vector<std::unique_ptr<sd_answer>> out;
    for (int i = 0; i < n; i++) {
        sessions.push_back(sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole")));
        out.push_back(sd_answer_start(*sessions[i], demo_question(*d.model, CODE), views, p, nullptr));
    }
    for (;;) {
        std::vector<sd_answer *> active;
        for (auto & a : out) {
            if (a->finish == SD_FINISH_NONE) {
                active.push_back(a.get());
            }
        }
        if (active.empty()) {
            return out;
        }
        sd_answer_step(*d.cells, active);
    }
}

// every entry is the log-softmax of the logits that the prompt with the tokens before it gives
static void check_entries(demo & d, const sd_answer & a, const std::vector<sd_view> & views) {
    CHECK(a.tokens.size() >= 3 && a.logprobs.size() == a.tokens.size());
    auto s = sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole"));
    std::vector<llama_token> prompt = demo_question(*d.model, CODE);
    double diff = 0;
    for (size_t i = 0; i < a.tokens.size(); i++) {
        const std::vector<float> logits = sd_next_logits(*s, prompt, views);
        const sd_token_logprobs & e = a.logprobs[i];
        CHECK(e.chosen.token == a.tokens[i] && e.top.size() == 5);
        diff = std::max(diff, std::fabs(e.chosen.logprob - definition(logits, a.tokens[i])));
        for (size_t k = 0; k < e.top.size(); k++) {
            diff = std::max(diff, std::fabs(e.top[k].logprob - definition(logits, e.top[k].token)));
            CHECK(k == 0 || e.top[k].logprob <= e.top[k - 1].logprob);
        }
        const size_t best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        CHECK(e.top[0].token == int(best));
        prompt.push_back(a.tokens[i]);
    }
    CHECK_LE(diff, 2e-3); // decoded one by one there, in one batch here
}

int main() {
    return test_main("logprobs", [] {
        check_arithmetic();

        auto d = demo_load(false, 0, 2);
        sd_generate_params p;
        p.max_tokens = 8;
        CHECK(answers(d, p, {}, 1)[0]->logprobs.empty());
        p.logprobs = true;
        p.n_top = 5;
        const auto greedy = std::move(answers(d, p, {}, 1)[0]);
        check_entries(d, *greedy, {});
        for (const sd_token_logprobs & e : greedy->logprobs) {
            CHECK(e.chosen.token == e.top[0].token);
        }
        for (const auto & a : answers(d, p, {}, 2)) {
            check_entries(d, *a, {});
        }
        const sd_view crop = picture("1-crop");
        check_entries(d, *answers(d, p, { crop }, 1)[0], { crop });

        // sampled at a high temperature from few tokens: still the model's own probabilities
        p.temperature = 3;
        p.top_k = 4;
        p.seed = 5;
        check_entries(d, *answers(d, p, {}, 1)[0], {});

        // the whole answer's, end included, in another context and without flash attention
        auto ctx = sd_attention_context_init(*d.model);
        auto s = sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole"));
        sd_timings t;
        sd_attention_set_image(*ctx, s->system, sd_session_features(*s, t));
        sd_attention_params ap;
        ap.layers = { 0 };
        ap.max_tokens = 8;
        const auto captured = sd_attention_capture(*ctx, {}, demo_question(*d.model, CODE), ap);
        double sum = 0;
        for (const sd_token_logprobs & e : greedy->logprobs) {
            sum += e.chosen.logprob;
        }
        if (captured.tokens.size() > greedy->tokens.size()) {
            std::vector<llama_token> prompt = demo_question(*d.model, CODE);
            prompt.insert(prompt.end(), greedy->tokens.begin(), greedy->tokens.end());
            sum += sd_end_logprob(sd_next_logits(*s, prompt, {}).data(), d.model->vocab);
        }
        CHECK_LE(std::fabs(sum / double(captured.tokens.size()) - captured.log_likelihood), 2e-3);
    });
}
