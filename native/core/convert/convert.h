#pragma once

// Published checkpoints (safetensors) to GGUF files: the language model, the vision tower and the region proposal network.

#include "rpn/rpn.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

struct sd_convert_params {
    std::string checkpoint;        // directory with config.json and safetensors, or one .safetensors file beside a config.json
    std::vector<std::string> base; // checkpoints that have what a pruned one lacks, in this order
    std::string out;               // the RPN file, or, of a whole conversion, the directory of model.gguf, mmproj.gguf and rpn.gguf
    bool whole = false;            // all three files instead of the RPN alone
    // Of the weights: f32, f16, bf16, q8_0, q4_k_m (q4_k is the same). The vision tower is f32 or f16, norms are f32.
    std::string type = "f16";
    std::string name; // shown by info; empty: as the checkpoint says
    // Default threshold of the map; negative: relative to its maximum; 0: none in the file. Absent: the checkpoint's, or its kind's.
    std::optional<float> threshold;
    int n_threads = 0;                                                       // that quantise; 0: those of the machine
    uint64_t disk = 0;                                                       // bytes that may be written; 0: what is free there
    std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress; // of the tensors that are read
};

struct sd_convert_result {
    int n_tensors = 0;
    uint64_t bytes_read = 0; // tensor data without headers
    uint64_t bytes_written = 0;
    rpn_hparams hparams;
    std::vector<std::string> files;     // that were written
    std::vector<std::string> fallbacks; // "blk.0.ffn_down.weight: q4_k -> q8_0"
};

// Holds a few million values at a time in memory. Files appear under their names when all of them are complete and have been opened
// again; an existing one is replaced, and nothing is left behind on an error. Throws CHECKPOINT_INVALID, INVALID_ARGUMENT (type,
// threshold, out that is part of the checkpoint), IO_ERROR (also where the disk has no room), ABORTED.
sd_convert_result sd_convert(const sd_convert_params & params, const std::atomic<bool> & cancel);
