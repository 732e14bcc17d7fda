#pragma once

// What depends on the model family, each in one place: how a view is divided into cells, the positions of these cells, the tokens
// around a picture, where a second look is inserted, and which traits its region proposal network may have.
//
// A prompt is [system][before][picture], which a session computes once, and then, for each question,
//   second looks inside:  ([look_before][look][look_after])* [after][question]
//   second looks behind:  [after]([look_before][look][look_after])* [question]

#include "size.h"

#include "llama.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct rpn_hparams;
struct sd_vision_info;

// rows of positions that llama.cpp takes for a cell at most
constexpr int SD_MAX_POS = 4;

// The place of one token in a prompt. Everything in here addresses cells by index; only llama.cpp sees positions, several cells
// may share one.
struct sd_cell {
    llama_token token = LLAMA_TOKEN_NULL; // null for a cell of a picture
    int32_t picture = -1;                 // which one of the prompt's; -1: none
    int32_t row = -1;                     // of the prompt's embeddings
    llama_pos pos[SD_MAX_POS] = {};       // the first n_pos of them count
};

// a picture of a prompt: the position of its first cell, and its whole grid
struct sd_placed {
    llama_pos first = 0;
    sd_size grid;
};

enum sd_look_place {
    SD_LOOK_INSIDE, // right after the picture's cells, before the tokens after the picture
    SD_LOOK_BEHIND, // a picture of its own, behind the first one
};

struct sd_family {
    std::string name;
    sd_size pixels, grid;                             // of a view; the grid has one cell a token
    int n_pos = 1;                                    // rows of positions: 1, or 4 (time, height, width, unused)
    int pos_step = 1;                                 // from one token's position to the next one's; above 1 there is room between them
    int n_embd_row = 0;                               // numbers in a row of a picture's embeddings, which may be wider than the model's states
    std::vector<llama_token> before, after;           // around the picture
    std::vector<llama_token> look_before, look_after; // around a second look
    sd_look_place look = SD_LOOK_INSIDE;

    virtual ~sd_family() = default;

    // the grid of a view of that many pixels; throws INVALID_ARGUMENT where the family has no such view
    virtual sd_size grid_of(sd_size pixels) const;

    // The positions of a picture's cells. `kept`: the numbers of the grid's cells that are fed, ascending; one of `cells` for each.
    // Returns the position of the token that follows.
    virtual llama_pos place(llama_pos first, sd_size grid, const std::vector<int32_t> & kept, sd_cell * cells) const = 0;

    // The same for a second look at `box` of a picture, whose cells share positions with those they show (Q-Zoom's
    // reuse_src_pos). Throws INVALID_ARGUMENT where the family has no such positions.
    virtual llama_pos place_aligned(
        llama_pos first, sd_size grid, const std::vector<int32_t> & kept, const sd_placed & picture, const sd_cell_box & box, sd_cell * cells) const;

    // name of the tensor that holds the states after a layer
    virtual std::string states_after(int layer) const { return "l_out-" + std::to_string(layer); }

    // for a llama context whose positions are this family's; 0: the model's own
    float rope_freq_scale(const llama_model * lm) const;

    // throws RPN_MISMATCH where a network with these traits cannot belong to the family
    virtual void check_rpn(const rpn_hparams & hp, const std::string & path) const = 0;
};

// LLaVA-1.5: square views, one position a token, nothing around a picture, second looks inside.
std::unique_ptr<sd_family> sd_family_llava(const sd_vision_info & vision, const llama_model * lm);

// Qwen2.5-VL and Qwen3-VL: views of any whole number of cells, positions in time, rows and columns, marks around pictures, second
// looks behind. Throws MODEL_INVALID where the vocabulary has not the marks.
std::unique_ptr<sd_family> sd_family_qwen(const sd_vision_info & vision, const llama_model * lm);

// the family of a model, by its vision tower
std::unique_ptr<sd_family> sd_family_make(const sd_vision_info & vision, const llama_model * lm);
