#pragma once

// Makes SD-RPN checkpoints for the tests, whole or damaged on purpose.

#include "convert/safetensors.h"

#include "nlohmann/json.hpp"

#include <map>
#include <string>
#include <vector>

struct test_tensor {
    std::string dtype = "F32";
    std::vector<int64_t> shape;
    std::vector<char> data;
};

using test_tensors = std::map<std::string, test_tensor>;

struct test_sizes {
    int n_embd = 0, n_head = 0, n_head_kv = 0, n_ff = 0, n_block = 3;
};

void test_write(const std::string & path, const std::string & bytes);
std::string test_read(const std::string & path);
std::string test_empty_dir(const std::string & name); // below the scratch directory

test_tensor test_f32(std::vector<int64_t> shape, const std::vector<float> & values);
std::vector<float> test_values(const test_tensor & t); // of an F32 tensor

// padding: bytes of a tensor "unrelated" of an unknown type at the end of the file, a hole on most file systems
void test_write_safetensors(const std::string & path, const test_tensors & tensors, uint64_t padding = 0);

// a file's tensors as they are
test_tensors test_read_safetensors(const std::string & path);

nlohmann::json test_config(const test_sizes & sizes);

// pseudo-random weights of a whole network by their published names, the same for the same seed
test_tensors test_network(const test_sizes & sizes, uint32_t seed);

// config.json and model.safetensors in an empty directory; returns its path
std::string test_checkpoint(const std::string & name, const nlohmann::json & config, const test_tensors & tensors);
