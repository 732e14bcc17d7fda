#pragma once

// One picture in front of a model: the state of [system][image], which does not depend on any question. It is computed
// when first needed, kept in the context's KV cells and the RPN's state, and computed again if it was evicted to make room
// for another session; eviction costs time but does not change results.
//
// Regions need the layers below the branch K only. The layers above are computed when an answer needs them, from the
// hidden states after layer K-1, which are kept as long as they may be needed. A question whose region was computed first is
// completed in the same way when its answer needs no second look.

#include "turn.h"

enum sd_prefix_level {
    SD_PREFIX_NONE,
    SD_PREFIX_BRANCH, // layers 0..K-1 only: enough for regions
    SD_PREFIX_FULL,   // all layers
};

// the last question whose region was computed: its cells (layers below K) are in `seq`, after those of the prefix
struct sd_asked {
    std::vector<llama_token> tokens;
    sd_layout layout;
    rpn_hidden hidden; // after layer K-1, on the network's device
    llama_seq_id seq = -1;
};

struct sd_session : sd_holder {
    sd_cells & cells;
    sd_model & model;
    std::vector<llama_token> system; // text before the image, BOS included
    sd_view view;
    sd_size grid;                // of the view
    sd_layout prefix;            // ends with the picture's cells
    std::vector<float> features; // [cells of the picture * n_embd_row], empty until first needed
    llama_seq_id seq = -1;
    sd_prefix_level level = SD_PREFIX_NONE;
    std::unique_ptr<rpn_state> rpn;     // null until first needed; outlives evicted cells
    std::unique_ptr<rpn_state> gate;    // the same of the gate
    std::unique_ptr<rpn_hidden> hidden; // of the prefix after layer K-1; null once level is FULL and these two are there
    bool answers_only = false;          // no regions are asked for: hidden states are not kept
    sd_asked asked;
    std::shared_ptr<sd_turn> turn; // of a conversation: what its last answer left; goes with the prefix's cells

    explicit sd_session(sd_cells & cells) : cells(cells), model(cells.model) {}
    ~sd_session() override;

    bool give_spare() override;
    void give_all() override;

    int n_prefix() const { return prefix.size(); }
    int n_img() const { return prefix.n_rows; } // cells of the picture
    int img_start() const { return prefix.size() - n_img(); }
    size_t bytes() const; // what keeping it open adds: RPN state, hidden states, features, view; the pool's cells are there anyway
};

struct sd_timings {
    double vision = 0, prefill = 0, rpn = 0, generate = 0; // ms
};

// Throws INVALID_ARGUMENT where the model takes no such view.
std::unique_ptr<sd_session> sd_session_open(sd_cells & cells, std::vector<llama_token> system, sd_view view);

// features of the view, computed once
const std::vector<float> & sd_session_features(sd_session & s, sd_timings & t);

// The prefix is in the context at least at this level afterwards. Returns how many of its tokens were there before, if only
// in their lower layers.
int sd_session_prefix(sd_session & s, sd_prefix_level level, sd_timings & t);

// A session of the same picture of which only these cells are fed, ascending, for answers. Throws INVALID_ARGUMENT.
std::unique_ptr<sd_session> sd_session_pruned(sd_session & s, const std::vector<int32_t> & keep, sd_timings & t);

struct sd_region_params {
    bool gate = false;    // ask the network's gate first,
    float gate_least = 0; // and the network only where its score is at least this
    bool every_token = false;
};

struct sd_region {
    std::vector<float> logits; // one for each cell of the picture; empty where the gate was under its threshold
    std::vector<float> most;   // with every_token: the greatest logit of any token after the picture
    std::vector<float> sink;   // logits of a cell's being a sink, of networks that find them without a question
    float gate = 0;            // its score
    int reused = 0;            // as sd_session_prefix returns it
};

// What the network says of a question; no layer from K on runs. Throws RPN_NOT_LOADED, and INVALID_ARGUMENT where a gate is asked for that
// the network has not.
sd_region sd_session_region(sd_session & s, const std::vector<llama_token> & question, const sd_region_params & params, sd_timings & t);

// its logits alone
std::vector<float> sd_session_roi(sd_session & s, const std::vector<llama_token> & question, sd_timings & t, int & reused);

// The sequence of the question whose region was computed last, if it is this question, with all layers completed and the logits
// of its last token ready; -1 otherwise. The caller takes over the sequence. The prefix must be there in all layers.
llama_seq_id sd_session_go_on(sd_session & s, const std::vector<llama_token> & question);

void sd_session_forget_question(sd_session & s);
