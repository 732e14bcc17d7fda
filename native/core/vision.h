#pragma once

// The vision tower and projector. The only file pair that touches mtmd.

#include "size.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct llama_model;

struct sd_vision_params {
    std::string path;
    int n_threads = 1;
    bool use_gpu = false;
};

enum sd_vision_kind {
    SD_VISION_LLAVA,
    SD_VISION_QWEN25, // Qwen2.5-VL
    SD_VISION_QWEN3,  // Qwen3-VL
};

// the most tokens of a view of any size
constexpr int SD_VISION_MAX_TOKENS = 4608;

struct sd_vision_info {
    sd_vision_kind kind = SD_VISION_LLAVA;
    sd_size pixels;                // of every view; 0 for a tower that takes views of any size
    sd_size grid;                  // its tokens
    int cell = 0;                  // side of a token in pixels
    int n_embd = 0;                // width of the projector's output
    int patch_bytes = 0;           // memory that a view takes in the tower: for each patch of it,
    int pair_bytes = 0;            // and for each pair of patches
    int n_deepstack = 0;           // further outputs of that width, side by side with the first
    std::array<uint8_t, 3> fill{}; // padding colour: int(255 * mean), as LLaVA's expand2square
    std::string projector;
    std::string name;

    bool any_size() const { return kind != SD_VISION_LLAVA; }
    int n_row() const { return (1 + n_deepstack) * n_embd; } // numbers that a token has

    // the tokens of a view of that many pixels; throws INVALID_ARGUMENT where the tower takes no such view
    sd_size grid_of(sd_size view) const;
};

// The input of the vision tower: a picture, or a part of it, scaled to the size that the family requires.
struct sd_view {
    std::vector<uint8_t> rgb; // width * height * 3
    int width = 0, height = 0;
    bool masked = false;
    std::vector<int32_t> keep; // with `masked`: the cells whose tokens are fed, ascending
    bool aligned = false;      // of a second look: its cells share positions with the picture's cells in `box`
    sd_cell_box box;
    int picture = 0; // with `aligned`: which of the session's

    sd_size size() const { return { width, height }; }
};

struct sd_vision : sd_vision_info {
    virtual ~sd_vision() = default;

    // The projector's output, [tokens * n_row], row-major over the grid. Throws INVALID_ARGUMENT for a view of another size.
    virtual std::vector<float> encode(const sd_view & view) = 0;
};

// Checks the file of a vision tower before mtmd opens it; fills `info` from its header.
// n_embd: width of the language model's embeddings. Throws as sd_vision_load does.
void sd_vision_check_header(sd_vision_info & info, const std::string & path, int n_embd);

// Throws MODEL_NOT_FOUND, MMPROJ_INVALID, IO_ERROR, and MMPROJ_MISMATCH when the projector's width is not the model's.
std::unique_ptr<sd_vision> sd_vision_load(const sd_vision_params & params, const llama_model * lm, int n_embd);
