#pragma once

// One picture in front of a model: the state of [system][image], which does not depend on any question. It is computed
// when first needed, kept in the context's KV cells and the RPN's state, and rebuilt where another session's needs have
// evicted it; eviction shows in time only.
//
// Regions need the layers below the branch K only. What is above them is added when an answer needs it, from the hidden
// states after layer K-1, which are kept until nothing can need them any more. A question whose region was asked for goes
// on in the same way when its answer needs no second look.

#include "model.h"

enum sd_prefix_level {
    SD_PREFIX_NONE,
    SD_PREFIX_BRANCH, // layers 0..K-1 only: enough for regions
    SD_PREFIX_FULL,   // all layers
};

// the last question whose region was asked for: its cells below K stand in `seq`, after the prefix's
struct sd_asked {
    std::vector<llama_token> tokens;
    std::vector<float> hidden; // [n * n_embd] after layer K-1
    llama_seq_id seq = -1;
};

struct sd_session {
    sd_model & model;
    std::vector<llama_token> system;    // text before the image, BOS included
    std::vector<uint8_t>     view;      // RGB, side*side*3
    std::vector<float>       features;  // [n_tokens * n_embd], empty until first needed
    llama_seq_id     seq   = -1;
    sd_prefix_level  level = SD_PREFIX_NONE;
    std::unique_ptr<rpn_state>  rpn;    // null until first needed; outlives evicted cells
    std::unique_ptr<rpn_hidden> hidden; // of the prefix after layer K-1; null once level is FULL and rpn is there
    sd_asked asked;

    explicit sd_session(sd_model & model) : model(model) {}
    ~sd_session();

    int    n_prefix() const { return int(system.size()) + model.vision->n_tokens; }
    size_t bytes() const; // what keeping it open costs: KV cells, RPN state, hidden states, features, view
};

struct sd_timings {
    double vision = 0, prefill = 0, rpn = 0, generate = 0; // ms
};

std::unique_ptr<sd_session> sd_session_open(sd_model & model, std::vector<llama_token> system, std::vector<uint8_t> view);

// features of the view, computed once
const std::vector<float> & sd_session_features(sd_session & s, sd_timings & t);

// The prefix is in the context at least at this level afterwards. Returns how many of its tokens were there before, if only
// in their lower layers.
int sd_session_prefix(sd_session & s, sd_prefix_level level, sd_timings & t);

// RPN logits [n_tokens] of a question; no layer from K on runs. `reused`: as sd_session_prefix returns it.
std::vector<float> sd_session_roi(sd_session & s, const std::vector<llama_token> & question, sd_timings & t, int & reused);

// The asked question's sequence, if it is this one, with all layers run and the last token's logits ready; -1 otherwise.
// The sequence is the caller's from here on. The prefix has to be there in full.
llama_seq_id sd_session_go_on(sd_session & s, const std::vector<llama_token> & question);

void sd_session_forget_question(sd_session & s);

// frees the cells of the least recently used session; false when there is none
bool sd_session_evict_one(sd_model & model);

// frees those of all sessions, the one in front included; not while one of them is being worked on
void sd_session_evict_all(sd_model & model);
