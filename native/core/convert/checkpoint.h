#pragma once

// A published checkpoint: config.json beside safetensors files, whole or in shards with an index. Headers are read, tensors are not.

#include "safetensors.h"

#include "error.h"

#include "nlohmann/json_fwd.hpp"

#include <filesystem>
#include <functional>
#include <set>

struct checkpoint {
    std::string path;                          // as given
    std::filesystem::path dir;                 // of config.json
    std::vector<std::string> files;            // all files that belong to the checkpoint, read or not
    std::map<std::string, safetensor> tensors; // those that were wanted, by their plain names
};

// A tensor's name without what differs between the ways of publishing: "layers.0.mlp.up_proj.weight" for both
// "model.layers.0..." and "model.language_model.layers.0...", "visual.*" for "model.visual.*", "vision_model.*" for LLaVA's tower.
std::string checkpoint_plain_name(const std::string & name);

// The checkpoint at a path: a directory, or one safetensors file with config.json beside it. Nothing is read yet. Throws
// CHECKPOINT_INVALID.
checkpoint checkpoint_at(const std::string & path);

// Reads headers. Shards without a wanted tensor are not opened, and may be missing. Throws CHECKPOINT_INVALID.
void checkpoint_open(checkpoint & c, const std::function<bool(const std::string & plain_name)> & wanted);

// A JSON file of at most that many bytes that holds an object. Throws CHECKPOINT_INVALID.
nlohmann::json checkpoint_json(const std::filesystem::path & path, uint64_t max_bytes = 16u << 20);

// "Checkpoint PATH WHY", with the code CHECKPOINT_INVALID
sd_error checkpoint_invalid(const std::string & path, const std::string & why);

// the last part of a path, which tells something on another machine too
std::string checkpoint_last_part(const std::string & path);

// What a value is, for messages: short, and not deeper than the stack.
std::string checkpoint_shown(const nlohmann::json & value);

// whether an object has the key with another value than null
bool checkpoint_given(const nlohmann::json & object, const char * key);
