#pragma once

// What a converted file consists of, and where each of its tensors comes from.

#include "config.h"
#include "gguf-writer.h"

// The part of a checkpoint's tensor that one tensor of a file is made of.
struct convert_source {
    const safetensor * from = nullptr;
    int64_t first_row = 0; // of those that are taken
    int n_head = 0;        // heads whose rows go from halves to pairs, as llama.cpp's rope of the llama architecture wants them; 0: as they are
    int time = -1;         // which half of a patch embedding over two frames; -1: it is none
};

struct convert_file {
    std::string what; // "model", "mmproj" or "RPN", for messages
    std::vector<gguf_out_tensor> tensors;
    std::vector<convert_source> sources; // one for each

    uint64_t bytes_read() const; // of tensor data
};

using safetensor_map = std::map<std::string, safetensor>; // by plain names

// Files of a checkpoint of this config. The types of matrices are f32 until they are set. Throw CHECKPOINT_INVALID where tensors are
// missing or of another shape or type than the config says.
convert_file convert_plan_model(const std::string & path, const convert_config & config, const safetensor_map & tensors, bool tied);
convert_file convert_plan_mmproj(const std::string & path, const convert_config & config, const convert_vision & vision, const safetensor_map & tensors);
convert_file convert_plan_rpn(const std::string & path, const convert_config & config, const safetensor_map & tensors, ggml_type type);

// plain names that a conversion of the network, and of a whole checkpoint, takes
bool convert_wants_rpn(const std::string & plain_name);
bool convert_wants(const std::string & plain_name);
