#pragma once

// One picture in front of a model: the state of [system][image], which does not depend on any question. It is computed
// when first needed, kept in the context's KV cells and the RPN's state, and rebuilt where another session's needs have
// evicted it; eviction shows in time only.

#include "model.h"

enum sd_prefix_level {
    SD_PREFIX_NONE,
    SD_PREFIX_BRANCH, // layers 0..K-1 only: enough for regions
    SD_PREFIX_FULL,   // all layers
};

struct sd_session {
    sd_model & model;
    std::vector<llama_token> system;    // text before the image, BOS included
    std::vector<uint8_t>     view;      // RGB, side*side*3
    std::vector<float>       features;  // [n_tokens * n_embd], empty until first needed
    llama_seq_id     seq   = -1;
    sd_prefix_level  level = SD_PREFIX_NONE;
    std::unique_ptr<rpn_state> rpn;     // null until the tap has run over the prefix; outlives evicted cells

    explicit sd_session(sd_model & model) : model(model) {}
    ~sd_session();

    int    n_prefix() const { return int(system.size()) + model.vision->n_tokens; }
    size_t bytes() const; // what keeping it open costs: KV cells, RPN state, features, view
};

struct sd_timings {
    double vision = 0, prefill = 0, rpn = 0, generate = 0; // ms
};

std::unique_ptr<sd_session> sd_session_open(sd_model & model, std::vector<llama_token> system, std::vector<uint8_t> view);

// features of the view, computed once
const std::vector<float> & sd_session_features(sd_session & s, sd_timings & t);

// The prefix is in the context at least at this level afterwards, and with want_rpn the RPN's state is there too; returns
// whether the prefix was there before. Without want_rpn no call pays for the RPN.
bool sd_session_prefix(sd_session & s, sd_prefix_level level, bool want_rpn, sd_timings & t);

// RPN logits [n_tokens] of a question. `level` is what the prefix is brought to on the way: BRANCH where only the region
// is wanted, FULL where an answer follows. `reused` tells the prefix tokens that were there before.
std::vector<float> sd_session_roi(sd_session & s, const std::vector<llama_token> & question, sd_prefix_level level, sd_timings & t, int & reused);

// frees the cells of the least recently used session; false when there is none
bool sd_session_evict_one(sd_model & model);

// frees those of all sessions, the one in front included; not while one of them is being worked on
void sd_session_evict_all(sd_model & model);
