#pragma once

// Writes GGUF files whose tensors are made row by row, so that a model of many gigabytes needs no memory to speak of.

#include "ggml.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

struct gguf_context;

// fills row `row` of a tensor
using synth_row = std::function<void(int64_t row, float * values)>;

struct synth_tensor {
    std::string name;
    std::vector<int64_t> ne; // fastest axis first
    ggml_type type;
    synth_row row; // rows of ne[0] values
};

// Random numbers of one row: the same for the same seed, tensor and row, whatever was made before. Uniform, mean 0.
void synth_random(float * values, int64_t n, uint64_t seed, const std::string & tensor, int64_t row, float deviation);

// "f32", "f16", "q8_0", "q4_0", "q4_k" and so on; throws INVALID_ARGUMENT for types that cannot be written without data
ggml_type synth_type(const std::string & name);

// `type`, or q8_0 or f16 where its blocks do not divide the row
ggml_type synth_type_for(ggml_type type, int64_t ne0);

// `header` has the file's keys. The file takes its name when all is there. Throws IO_ERROR.
void synth_write(const std::string & path, gguf_context * header, const std::vector<synth_tensor> & tensors);
