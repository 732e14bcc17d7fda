// No failed allocation spoils the calls after it (alloc-check.h).

#include "alloc-check.h"
#include "choose.h"
#include "convert/convert.h"
#include "demo-model.h"
#include "distill/attention.h"
#include "generate.h"
#include "joined.h"
#include "plain.h"
#include "rpn/rpn.h"
#include "test.h"
#include "train-data.h"
#include "train/distill-train.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <set>

using result = alloc_result;
using subject = alloc_subject;

// The demo model, which all subjects of a case share unless a buffer is to fail: loading is dear. So it meets every failure.
static std::shared_ptr<demo> & kept_model() {
    static std::shared_ptr<demo> model;
    return model;
}

static std::shared_ptr<demo> model() {
    if (!kept_model()) {
        kept_model() = std::make_shared<demo>(demo_load(true));
    }
    return kept_model();
}

static void check(const char * name, size_t limit, double tolerance, std::function<subject()> make) {
    alloc_check({ name, limit, tolerance, std::move(make), [] { kept_model().reset(); } });
}

// --- the network alone

static const test_sizes SIZES{ 48, 6, 2, 80, 3 };

struct predictor {
    rpn_ptr net;
    rpn_hidden hidden;
    rpn_state state;
    std::vector<float> values = train_random_values(size_t(120) * SIZES.n_embd, 1);

    predictor() {
        static const std::string file = train_convert(test_checkpoint("alloc", test_config(SIZES), test_network(SIZES, 1)), "alloc.gguf");
        net = rpn_load(file, nullptr, 1);
    }
    void set(int first, int n) {
        rpn_hidden_reset(net.get(), hidden, n);
        rpn_hidden_set(hidden, values.data() + size_t(first) * SIZES.n_embd, n);
    }
    result score(int n, rpn_head_kind head) {
        set(0, n);
        return rpn_score(net.get(), hidden, 2, n / 2, n - 1, {}, head);
    }
    result split(int n, int n_question) {
        set(0, n - n_question);
        rpn_prefix(net.get(), hidden, 2, n / 2, state);
        set(n - n_question, n_question);
        return rpn_query(net.get(), state, hidden);
    }
};

static subject predictor_score(rpn_head_kind small, rpn_head_kind big) {
    auto p = std::make_shared<predictor>();
    return { [=] { return p->score(12, small); }, [=] { return p->score(120, big); } };
}

static subject predictor_split() {
    auto p = std::make_shared<predictor>();
    return { [=] { return p->split(12, 3); }, [=] { return p->split(120, 30); } };
}

// the process may grow by 40 MB, which is less than 6,000 tokens take
static void check_limit() {
#ifndef __SANITIZE_ADDRESS__ // its own memory counts too
    predictor p;
    p.values = train_random_values(size_t(6000) * SIZES.n_embd, 1);
    const result expected = p.score(12, RPN_HEAD_BEST);
    size_t n_pages = 0;
    std::ifstream("/proc/self/statm") >> n_pages;
    rlimit before;
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    const rlimit tight = { n_pages * 4096 + (40u << 20), before.rlim_max };
    CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
    CHECK_CODE(p.score(6000, RPN_HEAD_BEST), "OUT_OF_MEMORY");
    CHECK(p.score(12, RPN_HEAD_BEST) == expected);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK(p.score(6000, RPN_HEAD_BEST).size() == 3000);
#endif
}

// --- training: a failed step leaves weights and gradients as they were

static subject training(int n_workers) {
    rpn_train_params p;
    p.n_workers = n_workers;
    std::shared_ptr<rpn_trainer> t = rpn_train_init(train_start(), p, nullptr);
    auto b = std::make_shared<train_batch>(train_random_batch(TRAIN_SIZES.n_embd));
    return {
        [=] { return rpn_train_score(t.get(), b->samples[0]); },
        [=] {
        result out(3); // nothing is allocated after the step
        rpn_train_accumulate(t.get(), b->samples);
        const rpn_train_result r = rpn_train_step(t.get(), 0);
        out[0] = float(r.loss);
        out[1] = float(r.grad_norm);
        out[2] = float(r.n_cells); // of an earlier, failed step none is left
        return out;
    },
    };
}

// --- the model

static sd_view picture(int i) {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/" + std::to_string(i) + "-whole.png"), w, h));
}

// a model with two open pictures
struct opened {
    std::shared_ptr<demo> loaded = ::model();
    sd_model * model = loaded->model.get();
    std::unique_ptr<sd_session> first = sd_session_open(*loaded->cells, demo_system(*model), picture(1));
    std::unique_ptr<sd_session> other = sd_session_open(*loaded->cells, demo_system(*model), picture(2));
    std::vector<llama_token> code = demo_question(*model, "What code is on the black square?"), shape = demo_question(*model, "What shape is purple?");

    result region(sd_session & s, const std::vector<llama_token> & question) {
        sd_timings t;
        int reused = 0;
        return sd_session_roi(s, question, t, reused);
    }
    result answer(sd_session & s, const std::vector<llama_token> & question, bool look_again) {
        sd_generate_params p;
        p.max_tokens = 6;
        std::vector<sd_view> views;
        if (look_again) {
            views.push_back(s.view);
        }
        auto a = sd_answer_start(s, question, views, p, nullptr);
        while (a->finish == SD_FINISH_NONE) {
            sd_answer_step(s.cells, { a.get() });
        }
        return result(a->tokens.begin(), a->tokens.end());
    }
};

static subject session_region() {
    auto o = std::make_shared<opened>();
    return { [=] { return o->region(*o->other, o->shape); }, [=] { return o->region(*o->first, o->code); } };
}

static subject session_answer() {
    auto o = std::make_shared<opened>();
    return {
        [=] { return o->answer(*o->other, o->shape, false); },
        [=] {
        o->region(*o->first, o->code);
        return o->answer(*o->first, o->code, true);
    },
    };
}

// under a grammar, with probabilities
static subject grammar_answer() {
    auto o = std::make_shared<opened>();
    const auto ask = [=](sd_session & s, const std::vector<llama_token> & question) {
        sd_generate_params p;
        p.max_tokens = 6;
        p.grammar = "root ::= word (\" \" word){1,3}\nword ::= [a-z]{2}";
        p.logprobs = true;
        p.n_top = 3;
        auto a = sd_answer_start(s, question, {}, p, nullptr);
        while (a->finish == SD_FINISH_NONE) {
            sd_answer_step(s.cells, { a.get() });
        }
        result out;
        for (const sd_token_logprobs & t : a->logprobs) {
            out.push_back(float(t.chosen.token));
            out.push_back(float(t.top[2].token));
        }
        return out;
    };
    return { [=] { return ask(*o->other, o->shape); }, [=] { return ask(*o->first, o->code); } };
}

// two turns, the second of which goes on from the first
static subject conversation() {
    auto o = std::make_shared<opened>();
    const auto talk = [=](sd_session & s, const std::vector<llama_token> & question) {
        sd_generate_params p;
        p.max_tokens = 4;
        p.ignore_eos = true;
        p.turn.keep = true;
        std::vector<llama_token> all = question;
        result out;
        for (int turn = 0; turn < 2; turn++) {
            auto a = sd_answer_start(s, all, { s.view }, p, nullptr);
            while (a->finish == SD_FINISH_NONE) {
                sd_answer_step(s.cells, { a.get() });
            }
            out.insert(out.end(), a->tokens.begin(), a->tokens.end());
            out.push_back(float(a->n_earlier));
            all.insert(all.end(), a->tokens.begin(), a->tokens.end());
            all.insert(all.end(), question.begin(), question.end());
            p.turn.reuse = true;
        }
        return out;
    };
    return { [=] { return talk(*o->other, o->shape); }, [=] { return talk(*o->first, o->code); } };
}

// several pictures
static subject session_joined() {
    auto o = std::make_shared<opened>();
    const auto ask = [=](sd_session & s, const std::vector<llama_token> & question) {
        sd_timings t;
        auto joined = sd_session_joined({ &s, o->other.get() }, s.system, { { 13 } }, t);
        return o->answer(*joined, question, false);
    };
    return { [=] { return ask(*o->other, o->shape); }, [=] { return ask(*o->first, o->code); } };
}

static subject session_choose() {
    auto o = std::make_shared<opened>();
    const auto choose = [=](sd_session & s, const std::vector<llama_token> & question) {
        const sd_choices c = sd_choose(s, question, {}, { { 300, 301 }, { 300 }, std::vector<llama_token>(70, 310) });
        return result(c.logprobs.begin(), c.logprobs.end());
    };
    return { [=] { return choose(*o->other, o->shape); }, [=] { return choose(*o->first, o->code); } };
}

// in a context that is there, or that the call makes
static subject attention_capture(bool own_context) {
    auto o = std::make_shared<opened>();
    std::shared_ptr<sd_attention_context> shared = sd_attention_context_init(*o->model);
    auto capture = [=](sd_session & s, const std::vector<llama_token> & question) {
        const std::shared_ptr<sd_attention_context> ctx = own_context ? sd_attention_context_init(*o->model) : shared;
        sd_timings t;
        sd_attention_params p;
        p.layers = { 2, 3 };
        p.max_tokens = 3;
        sd_attention_set_image(*ctx, s.system, sd_session_features(s, t));
        return sd_attention_capture(*ctx, {}, question, p).output;
    };
    return { [=] { return capture(*o->other, o->shape); }, [=] { return capture(*o->first, o->code); } };
}

static subject distill_step() {
    auto o = std::make_shared<opened>();
    std::shared_ptr<sd_train> t = sd_train_start(*o->loaded->cells, 2, 3, {});
    auto step = [=](int picture_index, const std::vector<llama_token> & question) {
        result out(2);
        sd_train_drop(*t, { 1 });
        sd_train_add(*t, demo_system(*o->model), picture(picture_index), { { 1, question, std::vector<int8_t>(o->model->family->grid.area(), 1) } });
        sd_train_accumulate(*t, { 1 });
        const rpn_train_result r = rpn_train_step(t->trainer.get(), 0);
        out[0] = float(r.loss);
        out[1] = float(r.n_cells);
        return out;
    };
    return { [=] { return step(2, o->shape); }, [=] { return step(1, o->code); } };
}

static subject model_load() {
    auto region = [] {
        kept_model().reset();
        opened o;
        return o.region(*o.first, o.shape);
    };
    return { region, region };
}

int main() {
    return test_main("alloc-failure", [] {
        check_limit();
        check("score, folded head", 200, 0, [] { return predictor_score(RPN_HEAD_FOLD, RPN_HEAD_FOLD); });
        check("score, fused head", 200, 0, [] { return predictor_score(RPN_HEAD_FUSED, RPN_HEAD_FUSED); });
        check("score, head of keys", 200, 0, [] { return predictor_score(RPN_HEAD_KEYS, RPN_HEAD_KEYS); });
        check("score, late keys", 200, 0, [] { return predictor_score(RPN_HEAD_FOLD, RPN_HEAD_KEYS); }); // which it makes first
        check("prefix and question", 200, 0, predictor_split);
        check("training step", 200, 0, [] { return training(1); });
        check("training, 3 workers", 200, 1e-6, [] { return training(3); });
        check("session region", 100, 1e-3, session_region);
        check("session answer", 90, 0, session_answer);
        check("answer in a grammar", 100, 0, grammar_answer);
        check("choices", 100, 1e-3, session_choose);
        check("two turns", 100, 0, conversation);
        check("several pictures", 100, 0, session_joined);
        check("attention capture", 100, 1e-3, [] { return attention_capture(false); });
        check("attention context", 4, 1e-3, [] { return attention_capture(true); });
        check("distillation step", 100, 1e-4, distill_step);
        check("model load", 6, 1e-3, model_load);
    });
}
