#pragma once

// How likely a model finds tokens: the log-softmax of its logits, before temperature, top-k, top-p and grammars.

#include "llama.h"

#include <vector>

struct sd_logprob {
    llama_token token;
    double logprob; // natural logarithm
};

struct sd_token_logprobs {
    sd_logprob chosen;
    std::vector<sd_logprob> top; // the likeliest tokens, likeliest first
};

// log(sum(exp(logits))), to be taken off a logit to get a log-probability
double sd_log_sum_exp(const float * logits, int n_vocab);

// n_top: how many of the likeliest to list; of equal ones the lower token comes first
sd_token_logprobs sd_logprobs_of(const float * logits, int n_vocab, llama_token chosen, int n_top);

// log-probability of the answer's end here: of all the tokens that end one
double sd_end_logprob(const float * logits, const llama_vocab * vocab);
