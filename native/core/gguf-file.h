#pragma once

// Checks a GGUF header before ggml's loaders read the file: they use assertions, and a failed assertion ends the host
// program.

#include "gguf.h"

#include <cstdint>
#include <string>
#include <vector>

struct ggml_context;
struct ggml_tensor;

struct gguf_file {
    std::string path;
    std::string what;     // "model", "mmproj" or "RPN", for messages
    const char * invalid; // error code for faults inside the file
    gguf_context * ctx = nullptr;
    ggml_context * meta = nullptr; // tensor shapes, without data

    gguf_file() = default;
    ~gguf_file();
    gguf_file(const gguf_file &) = delete;
    gguf_file & operator=(const gguf_file &) = delete;

    bool has(const std::string & key) const;
    // required values: the error names the key
    uint32_t u32(const std::string & key) const;
    float f32(const std::string & key) const;
    std::string str(const std::string & key) const;
    // optional values
    uint32_t u32_or(const std::string & key, uint32_t fallback) const;
    float f32_or(const std::string & key, float fallback) const;
    std::string str_or(const std::string & key, const std::string & fallback) const;
    std::vector<float> f32_array(const std::string & key) const;

    // throws if the key exists with another type; for keys that ggml's loaders read themselves
    void expect(const std::string & key, gguf_type type) const;
    void expect_array(const std::string & key, gguf_type of) const;

    ggml_tensor * tensor(const std::string & name) const;                            // null when absent
    ggml_tensor * require(const std::string & name, int64_t ne0, int64_t ne1) const; // ne1 0: one-dimensional
    ggml_tensor * matrix(const std::string & name, int64_t ne0, int64_t ne1) const;  // of a type that can be multiplied
    ggml_tensor * vector(const std::string & name, int64_t ne0) const;               // f32

    // the values of a tensor from `matrix` or `vector`, dequantised; throws IO_ERROR
    std::vector<float> read_f32(const ggml_tensor * t) const;
};

// Opens and checks: the file exists and is regular (else MODEL_NOT_FOUND), is GGUF, is complete (else `invalid`).
void gguf_file_open(gguf_file & file, const std::string & path, const char * what, const char * invalid);

// The other files of a model that is split, which llama.cpp opens by their names: checked like the first.
void gguf_file_check_splits(const gguf_file & first);
