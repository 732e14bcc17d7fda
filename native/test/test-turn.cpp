// What the turns of a conversation leave to each other: less is computed, no result shows it beyond rounding, and no cells are lost.

#include "choose.h"
#include "demo-model.h"
#include "generate.h"
#include "test.h"

#include <algorithm>

using tokens_t = std::vector<llama_token>;

static sd_view picture(const char * name) {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture(std::string("pico/parity/") + name + ".png"), w, h));
}

static std::unique_ptr<sd_session> open(demo & d) {
    return sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole"));
}

static const char * FIRST = "What code is on the black square?";
static const char * SECOND = "What shape is purple?";

// the prompt behind earlier turns, tokenized as one
static tokens_t conversation(const sd_model & m, const std::vector<std::string> & texts) {
    std::vector<sd_segment> all = { { SD_SEGMENT_MARKUP, "\n" } };
    for (size_t i = 0; i < texts.size(); i++) {
        all.push_back({ SD_SEGMENT_TEXT, texts[i] });
        all.push_back({ SD_SEGMENT_MARKUP, i + 1 == texts.size() ? " ASSISTANT:" : i % 2 ? "</s>USER: " : " ASSISTANT: " });
    }
    return sd_tokenize(m.tokenizer, all, false);
}

static const sd_turn_params KEEP = { true, false }, BOTH = { true, true };

static std::unique_ptr<sd_answer> answer(
    sd_session & s, const tokens_t & question, sd_turn_params turn, const std::vector<sd_view> & looks = {}, int n_tokens = 8) {
    sd_generate_params p;
    p.max_tokens = n_tokens;
    p.ignore_eos = true; // answers as long as they may be
    p.turn = turn;
    auto a = sd_answer_start(s, question, looks, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(s.cells, { a.get() });
    }
    return a;
}

// probabilities of the token behind the prompt
static std::vector<float> next(
    sd_session & s, const tokens_t & question, sd_turn_params turn, const std::vector<sd_view> & looks, int & n_earlier, int & n_prompt) {
    sd_answer a(s.cells);
    a.params.turn = turn;
    sd_answer_prompt(a, s, question, looks);
    n_earlier = a.n_earlier;
    n_prompt = a.n_prompt;
    const float * l = llama_get_logits_ith(s.cells.ctx, -1);
    const double norm = sd_log_sum_exp(l, s.model.info.n_vocab);
    std::vector<float> p;
    for (int t = 0; t < s.model.info.n_vocab; t++) {
        p.push_back(float(std::exp(l[t] - norm)));
    }
    return p;
}

static double max_diff(const std::vector<float> & a, const std::vector<float> & b) {
    double d = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        d = std::max(d, double(std::fabs(a[i] - b[i])));
    }
    return d;
}

// how many tokens a prompt has in common with what an answer has computed: its question and all that it wrote but the last
static int common(const tokens_t & question, const sd_answer & a, const tokens_t & prompt) {
    tokens_t all = question;
    all.insert(all.end(), a.tokens.begin(), a.tokens.end() - 1);
    const size_t most = std::min(all.size(), prompt.size());
    return int(std::mismatch(all.begin(), all.begin() + most, prompt.begin()).first - all.begin());
}

static void check_next_turn(const std::vector<sd_view> & looks, int n_looks) {
    auto m = demo_load(true);
    const tokens_t q1 = conversation(*m.model, { FIRST });
    auto s = open(m);
    const auto first = answer(*s, q1, KEEP, looks);
    CHECK(s->turn && s->turn->seq >= 0);
    const tokens_t q2 = conversation(*m.model, { FIRST, first->text.text, SECOND });
    const int expected = common(q1, *first, q2);
    CHECK(expected > int(q1.size()));
    auto fresh = open(m);
    int n_earlier = -1, n_prompt = 0, n_whole = 0;
    const auto whole = next(*fresh, q2, {}, looks, n_earlier, n_whole);
    CHECK(n_earlier == 0);
    const auto reused = next(*s, q2, BOTH, looks, n_earlier, n_prompt);
    CHECK(n_earlier == n_looks + expected);
    CHECK(n_prompt == n_whole);
    CHECK_LE(max_diff(reused, whole), 1e-3);
    CHECK(max_diff(next(*fresh, q1, {}, looks, n_earlier, n_prompt), whole) > 0.01); // the history matters

    // as that prompt was not left to the session in the end, the next one starts from the picture
    CHECK_LE(max_diff(next(*s, q2, BOTH, looks, n_earlier, n_prompt), whole), 1e-4);
    CHECK(n_earlier == 0);

    answer(*s, q1, KEEP, looks);
    const auto second = answer(*s, q2, BOTH, looks);
    CHECK(second->n_earlier == n_looks + expected);
    CHECK(second->text.text == answer(*fresh, q2, {}, looks)->text.text);
    const tokens_t q3 = conversation(*m.model, { FIRST, first->text.text, SECOND, second->text.text, FIRST });
    const auto third = answer(*s, q3, BOTH, looks);
    CHECK(third->n_earlier == n_looks + common(q2, *second, q3));
    CHECK(third->n_earlier > second->n_earlier);
    CHECK(third->text.text == answer(*fresh, q3, {}, looks)->text.text);
    // the very same prompt again: its last token is computed for its logits
    CHECK(answer(*s, q3, BOTH, looks)->n_earlier == n_looks + int(q3.size()) - 1);
    // another question behind the same first turn: what is common is kept, what is not is cut off
    const tokens_t other = conversation(*m.model, { FIRST, first->text.text, "What code is on the white circle?" });
    const auto fourth = answer(*s, other, BOTH, looks);
    CHECK(fourth->n_earlier >= n_looks + expected && fourth->n_earlier < third->n_earlier);
    CHECK(fourth->text.text == answer(*fresh, other, {}, looks)->text.text);
}

// other second looks stand before the history: nothing of it can stay
static void check_other_looks() {
    auto m = demo_load(true);
    const tokens_t q1 = conversation(*m.model, { FIRST });
    auto s = open(m), fresh = open(m);
    const auto first = answer(*s, q1, KEEP, { picture("1-crop") });
    const tokens_t q2 = conversation(*m.model, { FIRST, first->text.text, SECOND });
    sd_view masked = picture("1-crop");
    masked.masked = true;
    masked.keep = { 3, 4, 15, 16 };
    int n_earlier = -1, n_prompt = 0, ignored = 0;
    for (const std::vector<sd_view> & looks :
        std::vector<std::vector<sd_view>>{ {}, { picture("2-crop") }, { masked }, { picture("1-crop"), picture("1-crop") } }) {
        answer(*s, q1, KEEP, { picture("1-crop") });
        const auto whole = next(*fresh, q2, {}, looks, ignored, n_prompt);
        CHECK_LE(max_diff(next(*s, q2, BOTH, looks, n_earlier, n_prompt), whole), 1e-4);
        CHECK(n_earlier == 0);
    }
    sd_view others = masked;
    others.keep = { 3, 4, 15, 17 };
    answer(*s, q1, KEEP, { masked });
    next(*s, q2, BOTH, { others }, n_earlier, n_prompt);
    CHECK(n_earlier == 0);
    // without being asked to, nothing is begun with either
    answer(*s, q1, KEEP);
    const auto whole = next(*fresh, q2, {}, {}, ignored, n_prompt);
    CHECK_LE(max_diff(next(*s, q2, KEEP, {}, n_earlier, n_prompt), whole), 1e-4);
    CHECK(n_earlier == 0);
    // and answers outside of conversations leave nothing and take nothing away
    answer(*s, q1, KEEP);
    const size_t left = m.cells->free_seqs.size();
    const int kept = s->turn->seq;
    answer(*s, conversation(*m.model, { SECOND }), {});
    CHECK(m.cells->free_seqs.size() == left && s->turn->seq == kept);
    CHECK(!fresh->turn);
}

// between the turns regions are asked for, as a conversation does
static void check_regions_between() {
    auto m = demo_load(true);
    const tokens_t q1 = conversation(*m.model, { FIRST }), q2 = conversation(*m.model, { SECOND });
    auto s = open(m), fresh = open(m);
    sd_timings t;
    int reused = 0;
    const auto map1 = sd_session_roi(*s, q1, t, reused);
    const auto first = answer(*s, q1, KEEP); // goes on from the question whose region was computed
    CHECK(first->text.text == answer(*fresh, q1, {})->text.text);
    const auto map2 = sd_session_roi(*s, q2, t, reused);
    const tokens_t both = conversation(*m.model, { FIRST, first->text.text, SECOND });
    const auto second = answer(*s, both, BOTH);
    CHECK(second->n_earlier == common(q1, *first, both));
    CHECK(second->text.text == answer(*fresh, both, {})->text.text);
    CHECK(sd_session_roi(*s, q2, t, reused) == map2);
    CHECK(sd_session_roi(*s, q1, t, reused) == map1);
}

// a turn's cells make room for others', and go with their session, also where an answer is still under way
static void check_room() {
    auto m = demo_load(true, 400);
    const tokens_t q1 = conversation(*m.model, { FIRST });
    auto a = open(m), b = open(m);
    const auto first = answer(*a, q1, KEEP, {}, 100);
    CHECK(a->turn->seq >= 0);
    answer(*b, q1, KEEP, {}, 120);                     // 147 + 112 and 147 + 132 cells, of 512
    CHECK(a->seq >= 0 && a->turn && a->turn->seq < 0); // it goes before any picture
    CHECK(b->turn->seq >= 0);
    const tokens_t q2 = conversation(*m.model, { FIRST, first->text.text, SECOND });
    auto fresh = open(m);
    const auto again = answer(*a, q2, BOTH);
    CHECK(again->n_earlier == 0);
    CHECK(again->text.text == answer(*fresh, q2, {})->text.text);

    sd_generate_params p;
    p.max_tokens = 8;
    p.turn = KEEP;
    auto running = sd_answer_start(*a, q1, {}, p, nullptr);
    a.reset();
    while (running->finish == SD_FINISH_NONE) {
        sd_answer_step(*m.cells, { running.get() });
    }
    auto aborted = sd_answer_start(*b, q1, {}, p, nullptr);
    sd_answer_abort(*aborted);
    CHECK(b->turn->seq >= 0 && b->turn->tokens == q1); // what an aborted answer has computed is right
    auto evicted = sd_answer_start(*b, q1, {}, p, nullptr);
    sd_cells_evict_all(*m.cells);
    sd_answer_abort(*evicted);
    CHECK(!b->turn);
    auto dropped = sd_answer_start(*b, q1, {}, p, nullptr);
    dropped.reset(); // as where its batch failed
    b.reset();
    fresh.reset();
    CHECK(m.cells->holders.empty());
    CHECK(m.cells->free_seqs.size() == 64);
}

static void check_choices() {
    auto m = demo_load(true);
    const tokens_t q1 = conversation(*m.model, { FIRST });
    auto s = open(m), fresh = open(m);
    const std::vector<tokens_t> choices = { sd_answer_tokens(m.model->tokenizer, " ASSISTANT:", "star"),
        sd_answer_tokens(m.model->tokenizer, " ASSISTANT:", "circle") };
    CHECK(sd_choose(*s, q1, {}, choices, KEEP).n_earlier == 0);
    const tokens_t q2 = conversation(*m.model, { FIRST, "star", SECOND });
    const sd_choices reused = sd_choose(*s, q2, {}, choices, BOTH), whole = sd_choose(*fresh, q2, {}, choices);
    CHECK(reused.n_earlier == int(q1.size())); // choices' own tokens are not kept
    for (size_t i = 0; i < choices.size(); i++) {
        CHECK_LE(std::fabs(reused.logprobs[i] - whole.logprobs[i]), 1e-2);
    }
    CHECK(!fresh->turn);
}

int main() {
    return test_main("turn", [] {
        check_next_turn({}, 0);
        check_next_turn({ picture("1-crop") }, 144);
        check_other_looks();
        check_regions_between();
        check_room();
        check_choices();
    });
}
