#pragma once

// The learning rate over the steps, and the order of the samples.

#include <cstdint>
#include <vector>

// Cosine with warm-up, like the reference's trainer (get_cosine_schedule_with_warmup of transformers): linear from 0
// over ceil(warmup * n_steps) steps, then half a cosine to 0. step counts from 0; the first step of a warm-up has rate 0.
double rpn_train_lr(double peak, int64_t step, int64_t n_steps, double warmup = 0.03);

// A permutation of 0..n-1 for one pass over the data; the same on every machine for the same seed and epoch.
std::vector<int32_t> rpn_train_order(int32_t n, uint32_t seed, uint32_t epoch);
