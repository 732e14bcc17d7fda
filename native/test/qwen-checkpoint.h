#pragma once

// Makes Qwen2.5-VL checkpoints of any size for the tests, with the tokenizer of golden/qwen.

#include "checkpoint.h"

struct test_qwen_sizes {
    int n_embd = 256, n_head = 4, n_head_kv = 2, n_ff = 512, n_layer = 8, n_vocab = 512;
    int v_embd = 64, v_head = 2, v_ff = 128, v_layer = 2;
    bool tied = false;
};

nlohmann::json test_qwen_config(const test_qwen_sizes & sizes);

// names and shapes of everything, with an SD-RPN network
std::map<std::string, std::vector<int64_t>> test_qwen_shapes(const test_qwen_sizes & sizes);

// A checkpoint in an empty directory, whose path is returned: random weights (bf16), or holes where the file system has them.
std::string test_qwen_checkpoint(const std::string & name, const test_qwen_sizes & sizes, bool holes);
