#pragma once

// What the tests of training share: data, and a network to start from.

#include "checkpoint.h"
#include "train/train.h"

// samples and what they point to
struct train_batch {
    std::vector<std::vector<float>> hidden;
    std::vector<std::vector<int8_t>> labels;
    std::vector<rpn_train_sample> samples;

    void add(const std::vector<float> & hidden, int n_embd, int img_start, int i_query, const std::vector<int8_t> & labels);
};

std::vector<float> train_random_values(size_t n, uint32_t seed);  // -2 to 2
std::vector<int8_t> train_random_labels(size_t n, uint32_t seed); // 1, 0 and -100

// three samples of different lengths, the query at the end or before it
train_batch train_random_batch(int n_embd);

// a whole step
rpn_train_result train_step(rpn_trainer * t, const train_batch & b, double lr);

// a published checkpoint as an RPN file of type f32 in the scratch directory; returns its path
std::string train_convert(const std::string & checkpoint, const std::string & name);

double train_norm(const std::vector<float> & v);

// a small network with grouped heads to start from; its file is train-start-random.gguf in the scratch directory
extern const test_sizes TRAIN_SIZES;
test_tensors train_network();
const rpn_weights & train_start();

// all weights (or what rpn_train_tensor gives) one after the other
std::vector<float> train_tensors(const rpn_trainer * t, char what);
