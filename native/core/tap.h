#pragma once

// Reads the hidden state after a base layer while llama.cpp evaluates, and can stop the evaluation there.
//
// After an early exit llama_decode still returns 0; the KV cells of the layers below are right, those above hold
// garbage: remove these positions (or never let the layers above look at them) before going on.

#include "rpn/rpn.h"

#include <string>

struct llama_context;

struct sd_tap {
    std::string  name;            // "l_out-(K-1)"
    bool         exit_early = false;
    bool         failed     = false;
    rpn_hidden * dst        = nullptr; // rows are appended; a prompt above the ubatch comes in pieces
};

void sd_tap_init(sd_tap & tap, int branch_layer);
void sd_tap_start(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool exit_early);
void sd_tap_stop(sd_tap & tap, llama_context * ctx);

// taps while in scope
struct sd_tap_scope {
    sd_tap & tap;
    llama_context * ctx;
    sd_tap_scope(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool exit_early) : tap(tap), ctx(ctx) { sd_tap_start(tap, ctx, dst, exit_early); }
    ~sd_tap_scope() { sd_tap_stop(tap, ctx); }
};
