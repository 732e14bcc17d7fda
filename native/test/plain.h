#pragma once

// A plain implementation of the network in the checkpoint's own layout and in double precision: rotate-half rope, grouped
// heads, loops.

#include "checkpoint.h"

// n_img logits; hidden is [n_tokens * n_embd]
std::vector<double> plain_score(
    const test_tensors & net, const test_sizes & s, const std::vector<float> & hidden, int n_tokens, int img_start, int n_img, int i_query);
std::vector<float> plain_score_f32(
    const test_tensors & net, const test_sizes & s, const std::vector<float> & hidden, int n_tokens, int img_start, int n_img, int i_query);
