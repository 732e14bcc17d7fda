#pragma once

// Puts a file's tensors together with their sources, and remembers what is missing.

#include "plan.h"

struct planner {
    std::string path; // of the checkpoint, for messages
    const safetensor_map & tensors;
    std::string hint; // what to do where tensors are missing
    convert_file out;
    std::string missing;
    int n_missing = 0;

    // Null where it is missing, which end() tells; throws CHECKPOINT_INVALID for another shape or type.
    const safetensor * find(const std::string & name, const std::vector<int64_t> & shape);

    void push(gguf_out_tensor to, convert_source source);

    // n_head: of queries and keys whose rows are paired
    void matrix(const std::string & to, const std::string & from, int64_t rows, int64_t cols, int n_head = 0);
    void vector(const std::string & to, const std::string & from, int64_t n);
    void linear(const std::string & to, const std::string & from, int64_t rows, int64_t cols); // weight and bias
    void norm(const std::string & to, const std::string & from, int64_t n, bool bias);

    // throws CHECKPOINT_INVALID where something was missing
    convert_file end(const char * what);
};

extern const char * const CONVERT_PRUNED; // the hint where the base model may have what is missing
