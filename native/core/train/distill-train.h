#pragma once

// Training on a loaded model: its own layers below K turn pictures and questions into the hidden states that the network
// learns from, by the same early exit as at inference. The base is frozen, so these states never change: they are
// computed once and kept until they are dropped; pairs of one picture share those of [system][image].
//
// K belongs to the trained network and is independent of the network the model was loaded with, if any.

#include "cells.h"
#include "train.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

struct sd_train_pair {
    std::shared_ptr<const std::vector<float>> prefix; // [n_prefix * n_embd], of [system][image]
    std::vector<float> question;                      // [n_question * n_embd]
    std::vector<int32_t> positions;                   // of the whole prompt, as rpn_train_sample has them
    std::vector<int8_t> labels;                       // one per image token: 1, 0 or -100
};

struct sd_train {
    sd_cells & cells;
    sd_model & model;
    rpn_trainer_ptr trainer;
    sd_tap tap;        // after layer K-1
    rpn_hidden hidden; // the tap's target, in host memory
    std::map<int, sd_train_pair> pairs;

    explicit sd_train(sd_cells & cells) : cells(cells), model(cells.model) {}
};

// a question to be added, under a number chosen by the caller
struct sd_train_question {
    int id;
    std::vector<llama_token> tokens;
    std::vector<int8_t> labels;
};

// Starts from layers branch..branch+n_block-1 of the model's own file. The pool must outlive the training, and both
// belong to the same thread. Trains on the device that the model runs on. Throws what rpn_weights_from_base and
// rpn_train_init throw.
std::unique_ptr<sd_train> sd_train_start(sd_cells & cells, int branch, int n_block, const rpn_train_params & params);

// Resumes from a checkpoint. Throws what rpn_train_resume throws, and RPN_MISMATCH where it belongs to another model.
std::unique_ptr<sd_train> sd_train_resume(sd_cells & cells, const std::string & path, const rpn_train_params & params);

// Hidden states of the questions in front of one picture. Returns the bytes they take, the part
// that the questions share included. Throws INVALID_ARGUMENT, CONTEXT_OVERFLOW, OUT_OF_MEMORY, MODEL_INVALID where the model
// returns hidden states that are not finite, ABORTED; on any error no question has been added.
size_t sd_train_add(sd_train & t, const std::vector<llama_token> & system, const sd_view & view, std::vector<sd_train_question> questions);

// the others are kept; unknown numbers are ignored
void sd_train_drop(sd_train & t, const std::vector<int> & ids);

// Adds these pairs to the next step of the trainer; all their prompts are copied for it, so call it for a few at a time.
// Throws INVALID_ARGUMENT (also where one of them has not been added), ABORTED and what rpn_train_accumulate throws; on any
// error everything accumulated is dropped.
void sd_train_accumulate(sd_train & t, const std::vector<int> & ids);

// adds the pairs to the metrics; throws as above
void sd_train_eval(sd_train & t, const std::vector<int> & ids, rpn_train_metrics & metrics);
