#pragma once

#include "train.h"

#include "rpn/rpn-file.h"
#include "rpn/rpn-impl.h"

// a tensor that is trained, and what belongs to it; all f32 of the same shape
struct rpn_train_param {
    std::string   name;
    ggml_tensor * w = nullptr;
    ggml_tensor * g = nullptr; // sum of the gradients over labelled cells
    ggml_tensor * m = nullptr; // AdamW's first and second moment
    ggml_tensor * v = nullptr;
};

struct rpn_trainer {
    rpn_hparams      hp;
    rpn_train_params params;
    std::string      name;

    ggml_backend_dev_t     dev = nullptr;
    ggml_backend_ptr       backend;     // of dev
    ggml_backend_ptr       backend_cpu; // null where dev is the CPU
    ggml_backend_sched_ptr sched;
    int                    n_nodes = 0; // room in a graph

    ggml_context_ptr        ctx;
    ggml_backend_buffer_ptr buf;
    std::vector<rpn_train_param> tensors; // in the order of the RPN file
    ggml_tensor * one   = nullptr;        // the loss's gradient by itself
    ggml_tensor * adamw = nullptr;        // the optimizer's seven numbers

    int64_t n_step = 0;
    // of the step that is being accumulated
    double  loss_sum = 0;
    int64_t n_cells  = 0;
};

// the param of this name
const rpn_train_param & rpn_train_find(const rpn_trainer * t, const std::string & name);

// an empty graph with its context
struct rpn_train_graph {
    ggml_context_ptr ctx;
    ggml_cgraph *    gf = nullptr;

    rpn_train_graph(const rpn_trainer * t, bool grads);
};

// Places the graph's tensors, after which inputs can be set; then computes it. Throw OUT_OF_MEMORY and INTERNAL.
void rpn_train_alloc(rpn_trainer * t, ggml_cgraph * gf);
void rpn_train_compute(rpn_trainer * t, ggml_cgraph * gf);

// forgets what has been accumulated
void rpn_train_clear(rpn_trainer * t);
