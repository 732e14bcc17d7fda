#pragma once

// The log-probabilities of an answer's tokens for JavaScript.

#include "generate.h"

#include <napi.h>

// a token with its text, which is looked up on the model's thread
struct named_logprob {
    sd_logprob is;
    std::string text;
};

struct named_logprobs {
    named_logprob chosen;
    std::vector<named_logprob> top;
};

std::vector<named_logprobs> name_logprobs(const sd_answer & a);

// [{ id, text, logprob, top: [{ id, text, logprob }] }]
Napi::Array logprobs_array(Napi::Env env, const std::vector<named_logprobs> & tokens);
