#pragma once

// Computes the cells of a prompt from its parts, by the family's rules.

#include "family.h"

struct sd_view;

// a picture of the prompt: its grid, or of a second look just some of the grid's cells
struct sd_part {
    sd_size grid;
    bool masked = false;
    std::vector<int32_t> keep; // with `masked`: the cells that are fed, ascending
    bool aligned = false;      // a second look whose cells share positions with those of a picture in `box`
    sd_cell_box box;
    int picture = 0; // with `aligned`: which one

    int n_cells() const { return masked ? int(keep.size()) : grid.area(); }
};

sd_part sd_part_of(const sd_view & view, sd_size grid);

struct sd_layout {
    std::vector<sd_cell> cells;
    std::vector<sd_placed> pictures; // those of the layouts before it first
    int n_rows = 0;                  // embeddings; cells of pictures have them in order
    llama_pos next = 0;              // position of the token that follows

    int size() const { return int(cells.size()); }
};

// [system][before][picture]
sd_layout sd_layout_prefix(const sd_family & family, const std::vector<llama_token> & system, const sd_part & picture);

// The same with several pictures, each with the family's tokens around it: [system][before][picture][after][between][before][picture]...
// `between` has one element fewer than `pictures`.
sd_layout sd_layout_prefix(const sd_family & family, const std::vector<llama_token> & system, const std::vector<sd_part> & pictures,
    const std::vector<std::vector<llama_token>> & between);

// What follows a prefix: second looks and question. Throws INVALID_ARGUMENT where a part's cells are not ascending or not in its grid, and
// where it cannot be aligned.
sd_layout sd_layout_question(const sd_family & family, const sd_layout & prefix, const std::vector<sd_part> & looks, const std::vector<llama_token> & question);

// the number of its cells, without computing them
int64_t sd_layout_question_size(const sd_family & family, const std::vector<sd_part> & looks, size_t n_question);

// tokens that follow one another, from position `first` on
sd_layout sd_layout_tokens(const sd_family & family, const std::vector<llama_token> & tokens, llama_pos first);

// The first n_rows rows of the positions in whole tokens, row after row: [n_rows * cells], as the region proposal network takes them.
std::vector<int32_t> sd_layout_positions(const sd_family & family, const sd_layout & layout, int n_rows);
