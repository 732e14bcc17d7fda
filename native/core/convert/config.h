#pragma once

// What a checkpoint's config.json says: which family it is of, the sizes of its three parts, and how its network is to be used.

#include "checkpoint.h"
#include "rpn/rpn.h"

#include "nlohmann/json.hpp"

enum convert_family {
    CONVERT_LLAVA, // LLaVA-1.5
    CONVERT_QWEN25,
    CONVERT_QWEN3,
};

// sizes of a vision tower
struct convert_vision {
    int n_layer = 0, n_embd = 0, n_ff = 0, n_head = 0;
    int patch = 0;
    int image_size = 0;           // of the pictures it was trained on
    int merge = 1;                // cells a side that make one token
    int n_out = 0;                // width of its tokens
    float eps = 0;                // of its norms
    int full_attention = 0;       // every so many layers look at the whole picture (Qwen2.5-VL)
    std::vector<int> deepstack;   // layers that give features of their own (Qwen3-VL)
    int feature_layer = 0;        // the layer whose states are used; later ones are left out (LLaVA)
    std::vector<float> mean, dev; // of the colours
};

struct convert_config {
    std::string path; // of config.json
    convert_family family = CONVERT_LLAVA;
    std::string name;
    rpn_hparams net; // of the network; has the language model's sizes as well
    int n_ctx_train = 0;
    bool tied_known = false, tied = false;              // the output is the embedding's matrix
    int bos_token = -1, eos_token = -1, pad_token = -1; // -1: not said
    nlohmann::json root;
};

// Family and sizes. Throws CHECKPOINT_INVALID, also for a network that the converter does not know.
convert_config convert_config_read(const std::filesystem::path & dir);

// What kind of network it is, its gate and the defaults of its use, which the tensors help to tell. `tensors`: by plain names. Throws
// CHECKPOINT_INVALID.
void convert_config_method(convert_config & config, const std::map<std::string, safetensor> & tensors);

// What the base model of a pruned checkpoint says that the checkpoint does not: how many layers there are. Nothing where `dir` has no
// language model's config. Throws CHECKPOINT_INVALID where it is of another width.
void convert_config_base(convert_config & config, const std::filesystem::path & dir);

// The vision tower. LLaVA's config does not tell its sizes: they are those of the tensors. `dirs`: where preprocessor_config.json is
// looked for. Throws CHECKPOINT_INVALID.
convert_vision convert_vision_read(
    const convert_config & config, const std::vector<std::filesystem::path> & dirs, const std::map<std::string, safetensor> & tensors);
