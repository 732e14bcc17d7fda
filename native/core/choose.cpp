#include "choose.h"

#include "error.h"

#include "ggml.h"

#include <algorithm>
#include <cctype>
#include <cmath>

// of one batch: a context gives logits of so many tokens (cells.cpp), and sequences are few
static const size_t MAX_TOKENS = 64, MAX_SEQUENCES = 16;

std::vector<llama_token> sd_answer_tokens(const sd_tokenizer & t, const std::string & markup, const std::string & text) {
    const std::vector<llama_token> before = sd_tokenize(t, { { SD_SEGMENT_MARKUP, markup } }, false);
    if (!before.empty()) {
        const bool control = (llama_vocab_get_attr(t.vocab, before.back()) & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0;
        const bool joined = control || isspace(static_cast<unsigned char>(markup.back())) != 0;
        std::vector<llama_token> both = sd_tokenize(t, { { SD_SEGMENT_MARKUP, markup }, { SD_SEGMENT_TEXT, (joined ? "" : " ") + text } }, false);
        if (both.size() > before.size() && std::equal(before.begin(), before.end(), both.begin())) {
            both.erase(both.begin(), both.begin() + before.size());
            return both;
        }
    }
    return sd_tokenize(t, { { SD_SEGMENT_TEXT, text } }, false);
}

namespace {

// a token of a choice, and what comes behind it
struct step {
    size_t choice;
    llama_token token;
    llama_token next; // LLAMA_TOKEN_NULL: the end
    llama_pos pos;
    llama_seq_id seq;
};

// adds what the logits behind each of the steps say of its next token
void decode(sd_cells & c, std::vector<step> & steps, size_t first, size_t n, std::vector<double> & logprobs) {
    const sd_model & m = c.model;
    std::vector<llama_token> tokens(n);
    std::vector<llama_pos> pos(n);
    std::vector<int32_t> n_seq(n, 1);
    std::vector<llama_seq_id *> seqs(n);
    std::vector<int8_t> out(n, 1);
    for (size_t i = 0; i < n; i++) {
        step & s = steps[first + i];
        tokens[i] = s.token;
        pos[i] = s.pos;
        seqs[i] = &s.seq;
    }
    llama_batch batch = {};
    batch.n_tokens = int32_t(n);
    batch.token = tokens.data();
    batch.pos = pos.data();
    batch.n_seq_id = n_seq.data();
    batch.seq_id = seqs.data();
    batch.logits = out.data();
    sd_check_cancel(m);
    sd_decode_batch(c, batch);
    for (size_t i = 0; i < n; i++) {
        const step & s = steps[first + i];
        const float * logits = llama_get_logits_ith(c.ctx, int32_t(i));
        if (s.next != LLAMA_TOKEN_NULL) {
            logprobs[s.choice] += logits[s.next] - sd_log_sum_exp(logits, m.info.n_vocab);
            continue;
        }
        const double end = sd_end_logprob(logits, m.vocab);
        if (std::isfinite(end)) { // not so where the vocabulary has no token for it
            logprobs[s.choice] += end;
        }
    }
}

} // namespace

sd_choices sd_choose(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views,
    const std::vector<std::vector<llama_token>> & choices, sd_turn_params turn) {
    size_t longest = 0;
    for (const auto & tokens : choices) {
        if (tokens.empty()) {
            throw sd_error("INVALID_ARGUMENT", "Expected choices of at least one token");
        }
        longest = std::max(longest, tokens.size());
    }
    sd_cells & c = session.cells;
    sd_answer a(c);
    a.params.turn = turn;
    sd_answer_prompt(a, session, question, views, longest);
    const int64_t start = ggml_time_us();

    sd_choices out;
    const float * logits = llama_get_logits_ith(c.ctx, -1);
    const double norm = sd_log_sum_exp(logits, c.model.info.n_vocab);
    for (const auto & tokens : choices) {
        out.logprobs.push_back(logits[tokens[0]] - norm);
    }
    const size_t room = std::min(MAX_TOKENS, size_t(c.model.info.context_size - a.n_prompt));
    for (size_t first = 0; first < choices.size();) {
        // as many as one batch and the context hold, or one that takes several batches
        std::vector<std::unique_ptr<sd_seq_scope>> seqs;
        std::vector<step> steps;
        for (; first < choices.size() && seqs.size() < MAX_SEQUENCES; first++) {
            const auto & tokens = choices[first];
            if (!steps.empty() && steps.size() + tokens.size() > room) {
                break;
            }
            seqs.push_back(std::make_unique<sd_seq_scope>(c));
            sd_seq_share(c, a.seq, seqs.back()->seq);
            for (size_t i = 0; i < tokens.size(); i++) {
                const llama_pos pos = a.pos + llama_pos(i) * a.model.family->pos_step;
                steps.push_back({ first, tokens[i], i + 1 < tokens.size() ? tokens[i + 1] : LLAMA_TOKEN_NULL, pos, seqs.back()->seq });
            }
        }
        for (size_t at = 0; at < steps.size(); at += MAX_TOKENS) {
            decode(c, steps, at, std::min(MAX_TOKENS, steps.size() - at), out.logprobs);
        }
    }
    sd_answer_leave(a);
    out.n_prompt = a.n_prompt;
    out.n_roi = a.n_roi;
    out.n_reused = a.n_reused;
    out.n_earlier = a.n_earlier;
    out.timings = a.timings;
    out.timings.generate += double(ggml_time_us() - start) / 1000.0;
    return out;
}
