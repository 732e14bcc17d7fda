#pragma once

// Reads rows of attention weights while llama.cpp evaluates a context without flash attention, and checks each of them.

#include "llama.h"

#include <functional>
#include <string>
#include <vector>

// called for each head of each asked row: index of the layer among the asked ones, head, the token's cell, weights of all cells
using sd_attention_row_fn = std::function<void(int i_layer, int head, int cell, const float * row)>;

struct sd_attention_tap {
    std::vector<std::string> names; // tensors of the asked layers
    bool all_rows = false;          // else just the last token's row
    sd_attention_row_fn on_row;     // may be empty: rows are just verified
    int n_head = 0;
    int first = 0;              // cell of the pass's first token
    int n_tokens = 0;           // of the pass
    std::vector<int> n_visible; // cells that each of its tokens can see
    size_t n_seen = 0;          // layers in this pass
    std::vector<float> rows;    // reused
    std::string error;
};

// Before and after a llama_decode of tokens whose cells begin with `first`, each of which sees that many cells from cell 0 on; the
// latter throws INTERNAL where the weights of a layer are missing or are not a distribution over those.
void sd_attention_tap_begin(sd_attention_tap & tap, int first, std::vector<int> n_visible);
void sd_attention_tap_end(sd_attention_tap & tap);

// reads the asked layers' rows while in scope
struct sd_attention_tap_scope {
    sd_attention_tap & tap;
    llama_context * ctx;
    sd_attention_tap_scope(sd_attention_tap & tap, llama_context * ctx, const std::vector<int> & layers, bool all_rows, sd_attention_row_fn on_row);
    ~sd_attention_tap_scope();
};
