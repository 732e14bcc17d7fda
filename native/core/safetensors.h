#pragma once

// Reads safetensors files: the header is JSON, tensors are read one by one when they are needed.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct safetensor {
    std::string path;            // file that holds it
    std::string dtype;           // "F32", "F16", "BF16", ...
    std::vector<int64_t> shape;  // outermost first
    uint64_t begin = 0, end = 0; // bytes in the file

    int64_t n_elements() const;
};

// All tensors of one file by name. Throws CHECKPOINT_INVALID for anything but a complete safetensors file.
std::map<std::string, safetensor> safetensors_open(const std::string & path);

// The values as f32. Throws CHECKPOINT_INVALID for a dtype other than F32, F16 and BF16, IO_ERROR when reading fails.
std::vector<float> safetensor_read_f32(const safetensor & t);
