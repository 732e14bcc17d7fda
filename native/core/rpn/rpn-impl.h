#pragma once

#include "gguf-file.h"
#include "head.h"
#include "rpn.h"

#include "ggml-backend.h"
#include "ggml.h"

// the header of an RPN file, checked; throws RPN_INVALID
void rpn_read_hparams(const gguf_file & f, rpn_hparams & hp);

struct rpn_net {
    rpn_hparams hp;

    ggml_backend_dev_t dev = nullptr;
    ggml_backend_ptr backend;     // of dev
    ggml_backend_ptr backend_cpu; // null where dev is the CPU
    ggml_backend_sched_ptr sched;

    ggml_context_ptr ctx;
    ggml_backend_buffer_ptr buf;
    std::vector<rpn_block_weights> blocks; // the full ones
    rpn_head_weights head;
    std::vector<rpn_block_weights> gate_blocks;               // all whole; empty without a gate
    ggml_tensor *gate_weight = nullptr, *gate_bias = nullptr; // f32 [n_embd] and [1]: score = sigmoid(w . x + b), x the last token after the blocks

    // the key projection of a head that does without it, made when first asked for
    ggml_context_ptr keys_ctx;
    ggml_backend_buffer_ptr keys_buf;

    bool host() const { return !backend_cpu; } // its states are in host memory
    rpn_head_place head_place() const;
};

// a context for the tensors of a graph or a buffer, without data; throws OUT_OF_MEMORY
ggml_context_ptr rpn_context(size_t n_tensors, size_t n_more_bytes = 0);

// memory on a device for all tensors of a context; throws OUT_OF_MEMORY, which says that `what` does not fit
ggml_backend_buffer_ptr rpn_place(ggml_backend_dev_t dev, ggml_context * ctx, const std::string & what);

// makes the head's wk where the file's was kept transposed only
void rpn_make_keys(rpn_net * net);
