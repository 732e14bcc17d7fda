#include "synth-shape.h"

#include "error.h"

#include <algorithm>

synth_shape synth_shape_named(const std::string & name) {
    synth_shape s;
    s.name = name;
    s.n_vocab = 32000;
    s.n_ctx = 4096;
    s.v_layer = 24; // LLaVA reads the states after the last but one
    s.v_embd = 1024;
    s.v_ff = 4096;
    s.v_head = 16;
    s.v_side = 336;
    s.v_patch = 14;
    s.branch = 15;
    s.block = 3;
    if (name == "llava-1.5-7b") {
        s.n_layer = 32;
        s.n_embd = 4096;
        s.n_ff = 11008;
        s.n_head = s.n_head_kv = 32;
    } else if (name == "llava-1.5-13b") {
        s.n_layer = 40;
        s.n_embd = 5120;
        s.n_ff = 13824;
        s.n_head = s.n_head_kv = 40;
    } else if (name == "tiny") { // made and run in a moment, for tests
        s.n_layer = 6;
        s.n_embd = 128;
        s.n_ff = 256;
        s.n_head = s.n_head_kv = 2;
        s.n_vocab = 1024;
        s.n_ctx = 1024;
        s.v_layer = 2;
        s.v_embd = 64;
        s.v_ff = 128;
        s.v_head = 1;
        s.v_side = 112;
        s.branch = 3;
        s.block = 2;
    } else {
        throw sd_error("INVALID_ARGUMENT", "Expected llava-1.5-7b, llava-1.5-13b or tiny for --shape but received " + name);
    }
    return s;
}

int * synth_shape_size(synth_shape & s, const std::string & option) {
    const struct {
        const char * name;
        int * size;
    } sizes[] = {
        { "layers", &s.n_layer },
        { "width", &s.n_embd },
        { "ff", &s.n_ff },
        { "heads", &s.n_head },
        { "kv-heads", &s.n_head_kv },
        { "vocab", &s.n_vocab },
        { "context", &s.n_ctx },
        { "vision-layers", &s.v_layer },
        { "vision-width", &s.v_embd },
        { "vision-ff", &s.v_ff },
        { "vision-heads", &s.v_head },
        { "image-size", &s.v_side },
        { "patch-size", &s.v_patch },
        { "branch-layer", &s.branch },
        { "rpn-blocks", &s.block },
    };
    for (const auto & x : sizes) {
        if (option == x.name) {
            return x.size;
        }
    }
    return nullptr;
}

void synth_shape_scale(synth_shape & s, int by) {
    if (by < 1) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected --scale of 1 or more but received %d", by));
    }
    auto heads = [by](int n) { return std::max(1, n / by); };
    auto ff = [by](int n) { return std::max(32, (n / by + 16) / 32 * 32); }; // whole blocks of the simple quantised types
    const int d_head = s.n_embd / s.n_head, d_vision = s.v_embd / s.v_head;
    s.n_head = heads(s.n_head);
    s.n_head_kv = heads(s.n_head_kv);
    s.n_embd = s.n_head * d_head;
    s.n_ff = ff(s.n_ff);
    s.v_head = heads(s.v_head);
    s.v_embd = s.v_head * d_vision;
    s.v_ff = ff(s.v_ff);
}

void synth_shape_check(const synth_shape & s) {
    auto check = [](bool ok, const char * what) {
        if (!ok) {
            throw sd_error("INVALID_ARGUMENT", std::string("These sizes make no model: ") + what);
        }
    };
    check(std::min({ s.n_layer, s.n_embd, s.n_ff, s.n_head, s.n_head_kv, s.v_layer, s.v_embd, s.v_ff, s.v_head, s.v_side, s.v_patch }) > 0,
        "all must be above 0");
    check(s.n_embd % s.n_head == 0 && s.v_embd % s.v_head == 0, "the heads must divide the width");
    check(s.n_embd / s.n_head % 2 == 0, "heads must have an even width");
    check(s.n_head % s.n_head_kv == 0, "the key heads must divide the heads");
    check(s.v_side % s.v_patch == 0, "the patches must divide the image");
    check(s.branch > 0 && s.branch < s.n_layer && s.block > 1, "the network branches off below the last layer and has two blocks or more");
    check(s.n_ctx >= 2 * s.v_tokens() + 128, "the context must hold two views and a question");
}
