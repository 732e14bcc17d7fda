#pragma once

// The vision tower and projector. The only file pair that touches mtmd.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct llama_model;

struct sd_vision_params {
    std::string path;
    int         n_threads = 1;
    bool        use_gpu   = false;
};

struct sd_vision {
    int side;                     // pixels of the square view
    int grid;                     // tokens per side
    int n_tokens;                 // grid * grid
    int n_embd;                   // width of the projector's output
    std::array<uint8_t, 3> fill;  // padding colour: int(255 * mean), as LLaVA's expand2square
    std::string projector;
    std::string name;

    struct impl;
    std::unique_ptr<impl> p;

    sd_vision();
    ~sd_vision();
};

// What is checked of a vision tower before mtmd sees the file; fills `vision` from its header.
// n_embd: width of the language model's embeddings. Throws as sd_vision_load does.
void sd_vision_check_header(sd_vision & vision, const std::string & path, int n_embd);

// Throws MODEL_NOT_FOUND, MMPROJ_INVALID, IO_ERROR, and MMPROJ_MISMATCH when the projector's width is not the model's.
std::unique_ptr<sd_vision> sd_vision_load(const sd_vision_params & params, const llama_model * lm, int n_embd);

// rgb: side*side*3 bytes; returns the projector's output, [n_tokens * n_embd], row-major over the grid
std::vector<float> sd_vision_encode(sd_vision & vision, const uint8_t * rgb, size_t size);
