// Choices by likelihood: against the logits of each prompt with the choice's tokens, one after the other; and that a choice's tokens are
// those by which a model writes it.

#include "choose.h"
#include "demo-model.h"
#include "test.h"
#include "vocab-file.h"

#include <algorithm>
#include <cmath>

using ids = std::vector<llama_token>;

static const char * CODE = "What code is on the black square?";
static const std::string ASSISTANT = " ASSISTANT:";

static sd_view picture(int i, const char * what = "whole") {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/" + std::to_string(i) + "-" + what + ".png"), w, h));
}

static std::unique_ptr<sd_session> open(demo & d, int i = 1) {
    return sd_session_open(*d.cells, demo_system(*d.model), picture(i));
}

// of the tokens and, where it is to end there, of the end, each given all before it
static double chain(sd_session & s, const ids & tokens, const std::vector<sd_view> & views) {
    ids prompt = demo_question(s.model, CODE);
    double sum = 0;
    for (size_t i = 0; i <= tokens.size(); i++) {
        const std::vector<float> logits = sd_next_logits(s, prompt, views);
        long double norm = 0, end = 0;
        for (int t = 0; t < s.model.info.n_vocab; t++) {
            norm += std::exp((long double) logits[t]);
            end += llama_vocab_is_eog(s.model.vocab, t) ? std::exp((long double) logits[t]) : 0;
        }
        if (i < tokens.size()) {
            sum += double(logits[tokens[i]] - std::log(norm));
            prompt.push_back(tokens[i]);
        } else {
            sum += double(std::log(end / norm));
        }
    }
    return sum;
}

static double worst(sd_session & s, const std::vector<ids> & choices, const std::vector<sd_view> & views) {
    const sd_choices out = sd_choose(s, demo_question(s.model, CODE), views, choices);
    CHECK(out.logprobs.size() == choices.size());
    double diff = 0;
    for (size_t i = 0; i < choices.size(); i++) {
        const double expected = chain(s, choices[i], views);
        diff = std::max(diff, std::fabs(out.logprobs[i] - expected) / double(choices[i].size()));
    }
    return diff;
}

static std::vector<ids> tokens_of(const demo & d, const std::vector<std::string> & texts) {
    std::vector<ids> out;
    for (const std::string & text : texts) {
        out.push_back(sd_answer_tokens(d.model->tokenizer, ASSISTANT, text));
    }
    return out;
}

static std::unique_ptr<sd_answer> answer(demo & d, sd_session & s, const char * question, int max_tokens = 24) {
    sd_generate_params p;
    p.max_tokens = max_tokens;
    p.logprobs = true;
    auto a = sd_answer_start(s, demo_question(*d.model, question), {}, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(*d.cells, { a.get() });
    }
    return a;
}

static void check_values(demo & d) {
    auto s = open(d);
    const std::vector<ids> few = tokens_of(d, { "S0Z", "star", "S", "S0", "no" });
    CHECK_LE(worst(*s, few, {}), 1e-3);
    CHECK_LE(worst(*s, few, { picture(1, "crop") }), 1e-3);
    sd_view masked = picture(1, "crop");
    masked.masked = true;
    masked.keep = { 3, 40, 41, 100 };
    CHECK_LE(worst(*s, few, { masked }), 1e-3);

    std::vector<ids> many; // more than a batch holds, in tokens and in sequences
    for (int i = 0; i < 40; i++) {
        many.push_back(ids(size_t(1 + i % 9), llama_token(270 + i)));
    }
    CHECK_LE(worst(*s, many, {}), 1e-3);
    CHECK_LE(worst(*s, { ids(150, 300), few[0], ids(64, 310), ids(65, 320) }, {}), 1e-3);

    // the order does not matter, nor does what else is there
    const sd_choices forth = sd_choose(*s, demo_question(*d.model, CODE), {}, few);
    const sd_choices back = sd_choose(*s, demo_question(*d.model, CODE), {}, { few.rbegin(), few.rend() });
    for (size_t i = 0; i < few.size(); i++) {
        CHECK_LE(std::fabs(forth.logprobs[i] - back.logprobs[few.size() - 1 - i]), 2e-3);
    }
    CHECK(back.n_reused == s->n_prefix() && back.n_prompt == s->n_prefix() + int(demo_question(*d.model, CODE).size()));
    s.reset();
    CHECK(d.cells->free_seqs.size() == 64);
}

// what the model says by itself is the likeliest of all, by the sum that its own tokens give
static void check_own_answer(demo & d) {
    for (const char * question : { CODE, "What shape is purple?", "What shape is yellow?" }) {
        for (int i = 0; i < 6; i++) {
            auto s = open(d, i);
            const auto a = answer(d, *s, question);
            CHECK(a->finish == SD_FINISH_STOP);
            CHECK(sd_answer_tokens(d.model->tokenizer, ASSISTANT, a->text.text) == a->tokens);
        }
    }
    auto s = open(d);
    const auto a = answer(d, *s, CODE);
    double sum = 0;
    for (const sd_token_logprobs & t : a->logprobs) {
        sum += t.chosen.logprob;
    }
    ids prompt = demo_question(*d.model, CODE);
    prompt.insert(prompt.end(), a->tokens.begin(), a->tokens.end());
    sum += sd_end_logprob(sd_next_logits(*s, prompt, {}).data(), d.model->vocab);
    CHECK_LE(std::fabs(sd_choose(*s, demo_question(*d.model, CODE), {}, { a->tokens }).logprobs[0] - sum), 2e-3);
}

static void check_limits() {
    const int n_prompt = [] {
        auto d = demo_load();
        return open(d)->n_prefix() + int(demo_question(*d.model, CODE).size());
    }();
    auto d = demo_load(false, n_prompt + 40);
    auto s = open(d);
    const ids question = demo_question(*d.model, CODE);
    CHECK_CODE(sd_choose(*s, question, {}, { ids(3, 300), ids(41, 300) }), "CONTEXT_OVERFLOW");
    CHECK(s->level == SD_PREFIX_NONE); // before any work
    CHECK_CODE(sd_choose(*s, question, {}, { {} }), "INVALID_ARGUMENT");
    CHECK_LE(worst(*s, { ids(38, 300), ids(39, 310), ids(2, 300) }, {}), 1e-3); // the chain's own prompt needs a cell more
    CHECK(sd_choose(*s, question, {}, { ids(40, 300) }).logprobs.size() == 1);
    CHECK_LE(worst(*s, std::vector<ids>(6, ids(25, 300)), {}), 1e-3); // more than the context has room for at once

    sd_cancel cancel{ true };
    d.model->cancel = &cancel;
    CHECK_CODE(sd_choose(*s, question, {}, { ids(3, 300) }), "ABORTED");
    d.model->cancel = nullptr;
    CHECK_LE(worst(*s, { ids(3, 300) }, {}), 1e-3);
    s.reset();
    CHECK(d.cells->free_seqs.size() == 64);
}

// between the steps of another answer, in a context with room for both
static void check_beside() {
    auto d = demo_load(false, 0, 2);
    auto s = open(d), other = open(d, 2);
    const auto alone = answer(d, *other, CODE);
    sd_generate_params p;
    p.max_tokens = 24;
    auto a = sd_answer_start(*other, demo_question(*d.model, CODE), {}, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        CHECK_LE(worst(*s, tokens_of(d, { "S0Z", "star" }), {}), 1e-3);
        sd_answer_step(*d.cells, { a.get() });
    }
    CHECK(a->tokens == alone->tokens);
}

// a vocabulary's tokens of a text behind each kind of markup are those of the whole text
static void check_tokens() {
    test_vocab spm = test_vocab_spm("abcdefghijklmnopqrstuvwxyzASINT:");
    spm.add("<|a|>", LLAMA_TOKEN_TYPE_CONTROL);
    for (const char * token : { "\xe2\x96\x81y", "ye", "es", "yes", "\xe2\x96\x81yes" }) {
        spm.add(token);
    }
    test_vocab bpe = test_vocab_bpe();
    bpe.add("<|a|>", LLAMA_TOKEN_TYPE_CONTROL);
    bpe.merge("y", "e");
    bpe.merge("ye", "s");
    bpe.merge("\xc4\xa0", "yes"); // a space
    const struct {
        const test_vocab & vocab;
        const char *markup, *text;
        std::vector<const char *> tokens;
    } cases[] = {
        { spm, "ASSISTANT:", "yes", { "\xe2\x96\x81yes" } },
        { spm, "assistant\n", "yes", { "yes" } },
        { spm, "<|a|>", "yes", { "\xe2\x96\x81yes" } }, // llama.cpp's own way for this vocabulary
        { spm, "", "yes", { "\xe2\x96\x81yes" } },
        { bpe, "ASSISTANT:", "yes", { "\xc4\xa0yes" } },
        { bpe, "assistant\n", "yes", { "yes" } },
        { bpe, "<|a|>", "yes", { "yes" } },
        { bpe, "", "yes", { "yes" } },
    };
    for (const auto & c : cases) {
        const std::string path = test_temp("choices.gguf");
        c.vocab.write(path);
        const auto model = test_vocab_load(path);
        const sd_tokenizer t(llama_model_get_vocab(model.get()));
        ids expected;
        for (const char * token : c.tokens) {
            expected.push_back(c.vocab.id(token));
        }
        const bool same = sd_answer_tokens(t, c.markup, c.text) == expected;
        if (!same) {
            fprintf(stderr, "  %s behind '%s'\n", c.vocab.model.c_str(), c.markup);
        }
        CHECK(same);
        // the name of a control token is text
        for (llama_token token : sd_answer_tokens(t, c.markup, "<|a|>")) {
            CHECK((llama_vocab_get_attr(t.vocab, token) & LLAMA_TOKEN_ATTR_CONTROL) == 0);
        }
    }
}

int main() {
    return test_main("choose", [] {
        auto d = demo_load();
        check_values(d);
        check_own_answer(d);
        check_limits();
        check_beside();
        check_tokens();
    });
}
