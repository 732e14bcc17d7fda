#pragma once

// Which of several texts is the likeliest answer.

#include "generate.h"

struct sd_choices {
    std::vector<double> logprobs;                             // of each text: the sum over its tokens and the end of an answer behind them
    int n_prompt = 0, n_roi = 0, n_reused = 0, n_earlier = 0; // as of sd_answer
    sd_timings timings;
};

// The tokens by which a model writes a text behind a prompt that ends with `markup`. Both are tokenized as one; where the markup does not
// end with white space or a control token, a space stands between them, as it does in the dialogues that models are trained with.
std::vector<llama_token> sd_answer_tokens(const sd_tokenizer & tokenizer, const std::string & markup, const std::string & text);

// Prompt as for sd_answer_start, computed once; each choice's tokens then follow it in a sequence of its own. The end counts, so that a choice
// that another one begins with is not the likelier for being shorter. Throws INVALID_ARGUMENT for a choice without tokens and
// CONTEXT_OVERFLOW before any work.
sd_choices sd_choose(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views,
    const std::vector<std::vector<llama_token>> & choices, sd_turn_params turn = {});
