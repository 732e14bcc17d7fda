#pragma once

// Computes the cells of a prompt from its parts, by the family's rules.

#include "family.h"

// a picture of the prompt: its grid, or of a second look just some of the grid's cells
struct sd_part {
    sd_size grid;
    bool masked = false;
    std::vector<int32_t> keep; // with `masked`: the cells that are fed, ascending

    int n_cells() const { return masked ? int(keep.size()) : grid.area(); }
};

struct sd_layout {
    std::vector<sd_cell> cells;
    int n_pictures = 0;
    int n_rows = 0;     // embeddings; cells of pictures have them in order
    llama_pos next = 0; // position of the token that follows

    int size() const { return int(cells.size()); }
};

// [system][before][picture]
sd_layout sd_layout_prefix(const sd_family & family, const std::vector<llama_token> & system, sd_size grid);

// what follows a prefix: second looks and question. Throws INVALID_ARGUMENT where a part's cells are not ascending or not in its grid.
sd_layout sd_layout_question(const sd_family & family, const sd_layout & prefix, const std::vector<sd_part> & looks, const std::vector<llama_token> & question);

// the number of its cells, without computing them
int64_t sd_layout_question_size(const sd_family & family, const std::vector<sd_part> & looks, size_t n_question);

// tokens that follow one another, from position `first` on
sd_layout sd_layout_tokens(const sd_family & family, const std::vector<llama_token> & tokens, llama_pos first);

// The first n_rows rows of the positions, row after row: [n_rows * cells], as the region proposal network takes them.
std::vector<int32_t> sd_layout_positions(const sd_layout & layout, int n_rows);
