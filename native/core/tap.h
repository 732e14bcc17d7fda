#pragma once

// Keeps the hidden states after a layer while llama.cpp evaluates. An evaluation can also end at that layer or begin after it.
//
// After a prefix has run through the layers below the branch only, its cells have valid K and V for these layers, but not yet for
// the layers above. Those are computed later, from the hidden states that the tap has kept (sd_layers_from).

#include "rpn/rpn.h"

#include <string>

struct llama_context;

struct sd_tap {
    std::string name; // of the tensor after layer K-1
    int branch = 0;   // K
    int n = 0;        // rows since sd_tap_start
    bool failed = false;
    rpn_hidden * dst = nullptr; // rows are appended; a prompt above the ubatch comes in pieces
};

// tensor: the name of that after layer K-1
void sd_tap_init(sd_tap & tap, const std::string & tensor, int branch_layer);

// `branch_only`: no layer from K on runs
void sd_tap_start(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool branch_only);
void sd_tap_stop(sd_tap & tap, llama_context * ctx);

// after decoding: throws INTERNAL unless the states of n tokens have been kept
void sd_tap_check(const sd_tap & tap, int n);

// taps while in scope
struct sd_tap_scope {
    sd_tap & tap;
    llama_context * ctx;
    sd_tap_scope(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool branch_only) : tap(tap), ctx(ctx) { sd_tap_start(tap, ctx, dst, branch_only); }
    ~sd_tap_scope() { sd_tap_stop(tap, ctx); }
    sd_tap_scope(const sd_tap_scope &) = delete;
    sd_tap_scope & operator=(const sd_tap_scope &) = delete;
};

// While in scope a decode takes hidden states after layer K-1 as its embeddings, for tokens whose cells are there already, and runs
// the layers from K on. The first decode begins with the first cell of its position, each later one where the one before ended.
struct sd_layers_from {
    llama_context * ctx;
    sd_layers_from(llama_context * ctx, int first);
    ~sd_layers_from();
    sd_layers_from(const sd_layers_from &) = delete;
    sd_layers_from & operator=(const sd_layers_from &) = delete;
};
