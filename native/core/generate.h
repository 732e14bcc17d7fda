#pragma once

// An answer: [system][image] from the session, then [second look][question] in a sequence of its own, then token by token.
// Several answers advance together, one token each per step.

#include "grammar.h"
#include "logprobs.h"
#include "session.h"
#include "text-stream.h"

// of an answer in a conversation
struct sd_turn_params {
    bool keep = false;  // leave the state of prompt and answer to the session, for the next turn
    bool reuse = false; // begin with what the last turn left, as far as the prompt begins with the same
};

struct sd_generate_params {
    int max_tokens = 128;
    float temperature = 0; // 0: greedy
    float top_p = 1;
    int top_k = 0; // 0: all
    uint32_t seed = 0;
    bool ignore_eos = false;
    std::vector<std::string> stop;
    std::string grammar;   // in GBNF; empty: none
    bool logprobs = false; // keep each token's log-probability,
    int n_top = 0;         // and those of so many of the likeliest tokens in its place
    sd_turn_params turn;
};

enum sd_finish { SD_FINISH_NONE, SD_FINISH_STOP, SD_FINISH_LENGTH, SD_FINISH_ABORTED, SD_FINISH_FAILED };

struct sd_answer {
    sd_cells & cells;
    sd_model & model;
    sd_generate_params params;
    llama_seq_id seq = -1;
    int n_cells = 0;   // prompt and tokens so far
    llama_pos pos = 0; // of the next token
    llama_token next = LLAMA_TOKEN_NULL;
    llama_sampler * sampler = nullptr;
    std::unique_ptr<sd_grammar> grammar; // null without one
    sd_text_stream text;
    std::function<void(const std::string &)> on_text;
    std::vector<llama_token> tokens;         // generated so far, end token excluded
    std::vector<sd_token_logprobs> logprobs; // of each of them, where asked for
    sd_finish finish = SD_FINISH_NONE;
    std::exception_ptr error; // what ended it, where it could not go on
    sd_timings timings;
    int n_prompt = 0, n_roi = 0;
    int n_reused = 0;             // of the prefix, there before
    int n_earlier = 0;            // of what follows it, left by the turn before
    std::weak_ptr<sd_turn> turn;  // where it leaves its state in the end; the session may be gone by then
    std::unique_ptr<sd_turn> own; // what it will leave, the sequence and the answer's tokens excepted

    explicit sd_answer(sd_cells & cells) : cells(cells), model(cells.model) {}
    ~sd_answer();
    sd_answer(const sd_answer &) = delete;
    sd_answer & operator=(const sd_answer &) = delete;
};

// The text of one token, possibly part of a UTF-8 character. Control tokens write nothing; with `special` it is their name.
std::string sd_token_text(const llama_vocab * vocab, llama_token token, bool special = false);

// Prompt alone: feeds second looks and question after the session's prefix, by params.turn only what the last turn did not leave; the logits
// of the last token are ready afterwards. Throws
// CONTEXT_OVERFLOW before any work where no room is left for `reserve` more tokens.
void sd_answer_prompt(
    sd_answer & answer, sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views, size_t reserve = 1);

// Prompt and first token. Throws INVALID_ARGUMENT for a faulty grammar and CONTEXT_OVERFLOW when the prompt does not fit, both
// before any work.
std::unique_ptr<sd_answer> sd_answer_start(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views,
    const sd_generate_params & params, std::function<void(const std::string &)> on_text);

// One more token for each of the answers that have not finished. Throws where the whole batch failed; an answer that fails
// alone has finished, with its error.
void sd_answer_step(sd_cells & cells, const std::vector<sd_answer *> & answers);

// Ends an answer early; its text so far stays.
void sd_answer_abort(sd_answer & answer);

// Gives up the sequence, by params.turn.keep to the session.
void sd_answer_leave(sd_answer & answer);

// logits [n_vocab] after [system][image][views][question]; for the parity tests
std::vector<float> sd_next_logits(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views);
