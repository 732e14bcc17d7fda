// What a session keeps, and that none of it shows in a result: prefixes completed from the branch layer on, questions that
// go on, sessions side by side, eviction, cancelling.

#include "demo-model.h"
#include "generate.h"
#include "test.h"

#include "ggml.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

static sd_view picture(int i) {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/" + std::to_string(i) + "-whole.png"), w, h));
}

static sd_view crop(int i) {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/" + std::to_string(i) + "-crop.png"), w, h));
}

static std::unique_ptr<sd_session> open(demo & d, int i) {
    return sd_session_open(*d.cells, demo_system(*d.model), picture(i));
}

static std::vector<float> roi(sd_session & s, const char * question) {
    sd_timings t;
    int reused = 0;
    return sd_session_roi(s, demo_question(s.model, question), t, reused);
}

static std::vector<float> logits(sd_session & s, const char * question) {
    return sd_next_logits(s, demo_question(s.model, question), {});
}

static std::string answer(sd_session & s, const char * question, const std::vector<sd_view> & views, int n_tokens = 24) {
    sd_generate_params p;
    p.max_tokens = n_tokens;
    auto a = sd_answer_start(s, demo_question(s.model, question), views, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(s.cells, { a.get() });
    }
    return a->text.text;
}

// of the probabilities
static double max_diff(const std::vector<float> & a, const std::vector<float> & b) {
    auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    double d = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        d = std::max(d, std::fabs(sigmoid(a[i]) - sigmoid(b[i])));
    }
    return d;
}

// share of the sequence's state, K and V of all layers, that is zero as the cells were when they were made
static double untouched(sd_session & s) {
    std::vector<uint8_t> state(llama_state_seq_get_size(s.cells.ctx, s.seq));
    state.resize(llama_state_seq_get_data(s.cells.ctx, state.data(), state.size(), s.seq));
    return double(std::count(state.begin(), state.end(), 0)) / double(state.size());
}

static const char * CODE = "What code is on the black square?";
static const char * OTHER = "What shape is purple?";

// each result from a model of its own, where nothing else has ever been asked
static void check_complete() {
    std::vector<float> whole_logits, whole_other, whole_map;
    {
        auto m = demo_load(true);
        auto s = open(m, 1);
        whole_logits = logits(*s, CODE);
        CHECK(s->level == SD_PREFIX_FULL);
        CHECK(untouched(*s) < 0.1);
        CHECK(s->hidden != nullptr); // for a region that may be asked for
        const size_t before = s->bytes();
        whole_map = roi(*s, CODE); // no layer runs over the prefix again
        CHECK(s->hidden == nullptr);
        CHECK(s->bytes() < before + s->rpn->bytes());
    }
    {
        auto m = demo_load(true);
        whole_other = logits(*open(m, 1), OTHER);
    }
    {
        auto m = demo_load(true);
        auto s = open(m, 1);
        const auto map = roi(*s, CODE);
        CHECK(map == whole_map);
        CHECK(s->level == SD_PREFIX_BRANCH);
        // layers from K on have not run: their cells are as empty as they were
        const rpn_hparams & hp = rpn_get_hparams(m.model->rpn.get());
        CHECK(untouched(*s) > 0.95 * (m.model->info.n_layer - hp.branch) / m.model->info.n_layer);

        CHECK(logits(*s, CODE) == whole_logits); // prefix completed, question gone on: the same to the last bit
        CHECK(s->level == SD_PREFIX_FULL);
        CHECK(untouched(*s) < 0.1);
        CHECK(s->hidden == nullptr);
    }
    {
        auto m = demo_load(true);
        auto s = open(m, 1);
        roi(*s, CODE);
        CHECK(logits(*s, OTHER) == whole_other); // another question than the one before: nothing of that is left
        CHECK(s->asked.seq < 0);
        CHECK(roi(*s, CODE) == whole_map);
    }
}

// the tap names a tensor that no graph has: nothing comes of it, and the next call is right
static void check_tap() {
    auto m = demo_load(true);
    auto s = open(m, 1);
    const auto map = roi(*open(m, 1), CODE);
    const std::string name = m.model->tap.name;
    m.model->tap.name = "no_such_tensor-2";
    CHECK_CODE(roi(*s, CODE), "INTERNAL");
    m.model->tap.name = name;
    CHECK_LE(max_diff(roi(*s, CODE), map), 1e-3);
    m.model->tap.name = "no_such_tensor-2"; // of the prefix it is not needed any more, of the question it is
    CHECK_CODE(roi(*s, OTHER), "INTERNAL");
    m.model->tap.name = name;
    CHECK_LE(max_diff(roi(*s, CODE), map), 1e-3);
    s.reset();
    CHECK(m.cells->free_seqs.size() == 64 && m.cells->holders.empty());
}

// What a session adds does not hold the pool's cells, and as many prefixes stay as the pool has room for.
static void check_in_turn() {
    auto m = demo_load(true, 400); // room for two
    auto a = open(m, 0), b = open(m, 1);
    for (int round = 0; round < 3; round++) {
        for (sd_session * s : { a.get(), b.get() }) {
            sd_timings t;
            int reused = 0;
            sd_session_roi(*s, demo_question(*m.model, CODE), t, reused);
            CHECK(reused == (round ? s->n_prefix() : 0));
            answer(*s, CODE, {}, 4);
            CHECK(s->bytes() == s->rpn->bytes() + s->features.size() * sizeof(float) + s->view.rgb.size());
        }
    }
}

static void check_without_rpn() {
    auto with = demo_load(true), without = demo_load(false);
    auto s = open(without, 1);
    CHECK(logits(*s, CODE) == logits(*open(with, 1), CODE));
    CHECK(s->hidden == nullptr);
    CHECK_CODE(roi(*s, CODE), "RPN_NOT_LOADED");
}

// more sessions than there are cells, in a context with room for two: what was evicted comes back the same
static void check_eviction() {
    auto big = demo_load(true), small = demo_load(true, 400);
    std::vector<std::unique_ptr<sd_session>> sessions;
    for (int i = 0; i < 5; i++) {
        sessions.push_back(open(small, i));
    }
    double diff = 0;
    int evicted = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) {
            sd_session & s = *sessions[i];
            auto fresh = open(big, i);
            evicted += round > 0 && s.seq < 0;
            const sd_view v = crop(i);
            if (round < 2) {
                diff = std::max(diff, max_diff(roi(s, CODE), roi(*fresh, CODE)));
            }
            CHECK(answer(s, CODE, {}) == answer(*fresh, CODE, {}));
            if (round > 0) {
                CHECK(answer(s, CODE, { v }) == answer(*fresh, CODE, { v }));
            }
        }
    }
    CHECK_LE(diff, 1e-3);
    CHECK(evicted > 0);
    int resident = 0;
    for (const auto & s : sessions) {
        resident += s->seq >= 0;
        CHECK(s->rpn != nullptr);
    }
    CHECK(resident >= 1 && resident <= 2);
    CHECK(int(small.cells->holders.size()) == resident);
}

// several answers in one batch over sessions at different stages
static void check_side_by_side() {
    auto m = demo_load(true, 0, 4);
    std::vector<std::string> alone;
    for (int i = 0; i < 4; i++) {
        alone.push_back(answer(*open(m, i), CODE, {}));
    }
    std::vector<std::unique_ptr<sd_session>> sessions;
    std::vector<std::unique_ptr<sd_answer>> answers;
    for (int i = 0; i < 4; i++) {
        sessions.push_back(open(m, i));
    }
    roi(*sessions[2], CODE);
    roi(*sessions[3], OTHER);
    sd_generate_params p;
    p.max_tokens = 24;
    for (int i = 0; i < 4; i++) {
        answers.push_back(sd_answer_start(*sessions[i], demo_question(*m.model, CODE), {}, p, nullptr));
        if (i == 1) {
            roi(*sessions[0], OTHER); // between the steps of others
        }
    }
    for (;;) {
        std::vector<sd_answer *> active;
        for (auto & a : answers) {
            if (a->finish == SD_FINISH_NONE) {
                active.push_back(a.get());
            }
        }
        if (active.empty()) {
            break;
        }
        sd_answer_step(*m.cells, active);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(answers[i]->text.text == alone[i]);
    }
    answers.clear();
    sessions.clear();
    CHECK(m.cells->holders.empty());
    CHECK(m.cells->free_seqs.size() == 64); // none is lost
}

static void check_cancel() {
    auto m = demo_load(true);
    auto s = open(m, 1);
    const auto map = roi(*s, CODE);
    sd_cancel cancel{ true };
    m.model->cancel = &cancel;
    CHECK_CODE(logits(*s, CODE), "ABORTED");
    CHECK_CODE(roi(*s, CODE), "ABORTED");
    m.model->cancel = nullptr;
    CHECK_LE(max_diff(roi(*s, CODE), map), 1e-3);
    const std::string text = answer(*s, CODE, {});
    auto fresh = open(m, 1);
    CHECK(answer(*fresh, CODE, {}) == text);
    s.reset();
    fresh.reset();
    CHECK(m.cells->free_seqs.size() == 64);
}

static double now_ms() {
    return double(ggml_time_us()) / 1000;
}

// A cancelled call ends within the image encode or the ubatch that runs. Both are timed first; the machine may be busy with other
// work, so the limit is twice the longer one.
static void check_cancel_soon() {
    auto m = demo_load(true);
    auto work = [&](sd_session & s, sd_timings & t) {
        sd_session_features(s, t);
        sd_session_prefix(s, SD_PREFIX_FULL, t); // one ubatch for the system's tokens, one for the picture's
    };
    sd_timings whole;
    for (int i = 0; i < 2; i++) { // the first time is longer than any other
        auto timed = open(m, 1);
        whole = sd_timings();
        work(*timed, whole);
    }
    const double longest = std::max(whole.vision, whole.prefill), total = whole.vision + whole.prefill;

    double worst = 0;
    int n_aborted = 0;
    for (int i = 0; i < 12; i++) {
        auto s = open(m, 1);
        sd_cancel cancel{ false };
        m.model->cancel = &cancel;
        std::atomic<double> cancelled{ 0 };
        std::thread other([&] {
            std::this_thread::sleep_for(std::chrono::microseconds(int64_t(total * 1000 * i / 14)));
            cancelled = now_ms();
            cancel = true;
        });
        sd_timings t;
        try {
            work(*s, t);
        } catch (const sd_error & e) {
            CHECK(e.code == "ABORTED");
            n_aborted++;
        }
        const double end = now_ms();
        other.join(); // after the call's end for one that was done before
        worst = std::max(worst, end - cancelled);
        m.model->cancel = nullptr;
        s.reset();
        CHECK(m.cells->free_seqs.size() == 64);
    }
    CHECK(n_aborted >= 6);
    CHECK_LE(worst, 2 * longest);
}

int main() {
    return test_main("session", [] {
        check_complete();
        check_tap();
        check_in_turn();
        check_without_rpn();
        check_eviction();
        check_side_by_side();
        check_cancel();
        check_cancel_soon();
    });
}
