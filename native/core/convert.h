#pragma once

// Published SD-RPN checkpoint (safetensors) to RPN file (GGUF).

#include "rpn/rpn.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

struct sd_convert_params {
    std::string checkpoint;   // directory with config.json and safetensors, or one .safetensors file beside a config.json
    std::string out;          // an existing file is replaced once the new one is complete
    std::string type = "f16"; // of the weights: f32, f16, q8_0 or q4_k
    std::string name;         // shown by info; empty: as the checkpoint says
    float threshold = 0.15f;  // default threshold of the map; negative: relative to its maximum; 0: none in the file
    std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress; // of the tensors that are read
};

struct sd_convert_result {
    int n_tensors = 0;
    uint64_t bytes_read = 0; // tensor data without headers
    uint64_t bytes_written = 0;
    rpn_hparams hparams;
    std::vector<std::string> fallbacks; // "blk.0.ffn_down.weight: q4_k -> q8_0"
};

// Holds one tensor at a time in memory. Leaves no file behind on an error. Throws CHECKPOINT_INVALID, INVALID_ARGUMENT
// (type, threshold, out that is part of the checkpoint), IO_ERROR, ABORTED.
sd_convert_result sd_convert(const sd_convert_params & params, const std::atomic<bool> & cancel);
