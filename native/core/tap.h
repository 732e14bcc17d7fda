#pragma once

// Reads the hidden state after a base layer while llama.cpp evaluates, and can end the evaluation there or begin it there.
//
// A prefix that has gone through the layers below the branch only has K and V in their cells, garbage in those above: the
// layers above complete it from the hidden states that the tap kept (sd_layers_from).

#include "rpn/rpn.h"

#include <string>

struct llama_context;

struct sd_tap {
    std::string  name;            // "l_out-(K-1)"
    int          branch = 0;      // K
    bool         failed = false;
    rpn_hidden * dst    = nullptr; // rows are appended; a prompt above the ubatch comes in pieces
};

void sd_tap_init(sd_tap & tap, int branch_layer);

// `branch_only`: no layer from K on runs
void sd_tap_start(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool branch_only);
void sd_tap_stop(sd_tap & tap, llama_context * ctx);

// taps while in scope
struct sd_tap_scope {
    sd_tap & tap;
    llama_context * ctx;
    sd_tap_scope(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool branch_only) : tap(tap), ctx(ctx) { sd_tap_start(tap, ctx, dst, branch_only); }
    ~sd_tap_scope() { sd_tap_stop(tap, ctx); }
};

// While in scope a decode takes hidden states after layer K-1 as its embeddings, for positions whose cells are there already,
// and runs the layers from K on.
struct sd_layers_from {
    llama_context * ctx;
    sd_layers_from(llama_context * ctx, int first);
    ~sd_layers_from();
};
