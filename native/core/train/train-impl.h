#pragma once

#include "train.h"

#include "rpn/head.h"
#include "rpn/rpn-file.h"
#include "rpn/rpn-impl.h"

#include <functional>
#include <map>

// a trained tensor with its gradient and moments; all f32 of the same shape
struct rpn_train_param {
    std::string name;
    ggml_tensor * w = nullptr;
    ggml_tensor * g = nullptr; // sum of the gradients over labelled cells
    ggml_tensor * m = nullptr; // AdamW's first and second moment
    ggml_tensor * v = nullptr;
};

// Computes samples: one worker alone, or several at the same time, each with its own sums of gradients. Each also has its own
// tensors, since building a graph changes them; the weights they refer to are the trainer's.
struct rpn_train_worker {
    ggml_backend_ptr backend;     // of the trainer's device
    ggml_backend_ptr backend_cpu; // null where that is the CPU
    ggml_backend_sched_ptr sched;
    ggml_context_ptr ctx; // null for the first one, which uses the trainer's tensors
    ggml_backend_buffer_ptr buf;
    std::vector<rpn_train_param> tensors; // in the order of the RPN file
    ggml_tensor * one = nullptr;          // the loss's gradient by itself
};

struct rpn_trainer {
    rpn_hparams hp;
    rpn_train_params params;
    std::string name;

    ggml_backend_dev_t dev = nullptr;
    ggml_context_ptr ctx;
    ggml_backend_buffer_ptr buf;
    std::vector<rpn_train_param> tensors;           // in the order of the RPN file
    std::map<std::string, std::vector<float>> gate; // by name; goes into the files as it came, it does not read the network
    ggml_tensor * one = nullptr;
    ggml_tensor * adamw = nullptr; // the optimizer's seven numbers
    std::vector<rpn_train_worker> workers;
    int n_nodes = 0; // room in a graph
    const std::atomic<bool> * cancel = nullptr;

    int64_t n_step = 0;
    // of the step that is being accumulated
    double loss_sum = 0;
    int64_t n_cells = 0;
};

// the param of this name
const rpn_train_param & rpn_train_find(const std::vector<rpn_train_param> & tensors, const std::string & name);

// an empty graph with its context
struct rpn_train_graph {
    ggml_context_ptr ctx;
    ggml_cgraph * gf = nullptr;

    rpn_train_graph(const rpn_trainer * t, bool grads);
};

// Places the graph's tensors, after which inputs can be set; then computes it. Throw OUT_OF_MEMORY and INTERNAL.
void rpn_train_alloc(const rpn_train_worker & w, ggml_cgraph * gf);
void rpn_train_compute(const rpn_train_worker & w, ggml_cgraph * gf);

// Calls task(worker, i) for i in 0..n-1, as many at the same time as there are workers; rethrows the first error. Throws
// ABORTED where the trainer's cancel flag is set.
void rpn_train_parallel(const rpn_trainer * t, size_t n, const std::function<void(const rpn_train_worker &, size_t)> & task);
