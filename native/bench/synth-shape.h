#pragma once

// The sizes of a synthetic model: a LLaVA-1.5 of any width and depth with its vision tower and region proposal network.

#include <cstdint>
#include <string>

struct synth_shape {
    std::string name;
    // language model (llama architecture)
    int n_layer = 0, n_embd = 0, n_ff = 0, n_head = 0, n_head_kv = 0, n_vocab = 0, n_ctx = 0;
    // vision tower (CLIP) and its projector of two layers
    int v_layer = 0, v_embd = 0, v_ff = 0, v_head = 0, v_side = 0, v_patch = 0;
    // region proposal network: branches off after `branch` layers and has `block` blocks, the last one query and key only
    int branch = 0, block = 0;

    int v_tokens() const { return (v_side / v_patch) * (v_side / v_patch); }
};

// "llava-1.5-7b", "llava-1.5-13b" or "tiny". Throws INVALID_ARGUMENT.
synth_shape synth_shape_named(const std::string & name);

// A size by the name of its option ("layers", "vision-width", ...); null where there is no such size.
int * synth_shape_size(synth_shape & s, const std::string & option);

// Divides widths and heads of all three networks; layers, tokens and vocabulary stay, and so does the width of a head.
void synth_shape_scale(synth_shape & s, int by);

// Throws INVALID_ARGUMENT where the sizes do not make a model.
void synth_shape_check(const synth_shape & s);
