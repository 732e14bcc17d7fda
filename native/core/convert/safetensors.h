#pragma once

// Reads safetensors files: the header is JSON, tensors are read piece by piece when they are needed.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct sd_file;

struct safetensor {
    std::string path;            // file that holds it
    std::string name;            // in that file
    std::string dtype;           // "F32", "F16", "BF16", ...
    std::vector<int64_t> shape;  // outermost first
    uint64_t begin = 0, end = 0; // bytes in the file

    int64_t n_elements() const;
};

// All tensors of one file by name. Throws CHECKPOINT_INVALID for anything but a complete safetensors file.
std::map<std::string, safetensor> safetensors_open(const std::string & path);

// Opens the file of a tensor for safetensor_read. Throws CHECKPOINT_INVALID for a dtype other than F32, F16 and BF16, IO_ERROR.
void safetensor_open(const safetensor & t, sd_file & in);

// Its values [first, first + n) as f32. Throws CHECKPOINT_INVALID where one is not finite, IO_ERROR when reading fails.
void safetensor_read(const safetensor & t, sd_file & in, int64_t first, int64_t n, float * out);

// All of its values as f32, finite or not. Throws CHECKPOINT_INVALID for another dtype, IO_ERROR.
std::vector<float> safetensor_read_f32(const safetensor & t);
