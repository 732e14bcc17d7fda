#pragma once

#include "gguf-file.h"
#include "rpn.h"

#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml.h"

struct rpn_layer {
    ggml_tensor * attn_norm = nullptr;
    ggml_tensor * wq = nullptr;
    ggml_tensor * wk = nullptr;
    ggml_tensor * wv = nullptr;
    ggml_tensor * wo = nullptr;
    ggml_tensor * ffn_norm = nullptr;
    ggml_tensor * ffn_gate = nullptr;
    ggml_tensor * ffn_up = nullptr;
    ggml_tensor * ffn_down = nullptr;
};

// the header of an RPN file, checked; throws RPN_INVALID
void rpn_read_hparams(const gguf_file & f, rpn_hparams & hp);

struct rpn_net {
    rpn_hparams hp;

    ggml_backend_dev_t   dev = nullptr;
    ggml_backend_ptr     backend;     // of dev
    ggml_backend_ptr     backend_cpu; // null where dev is the CPU
    ggml_backend_sched_ptr sched;

    ggml_context_ptr        ctx;
    ggml_backend_buffer_ptr buf;
    std::vector<rpn_layer>  layers;    // n_block - 1 full layers
    ggml_tensor * norm = nullptr;      // twig norm, before the last block
    ggml_tensor * head_norm = nullptr; // input norm of the last block
    ggml_tensor * head_wq = nullptr;
    ggml_tensor * head_wk_t = nullptr; // key projection, transposed: [n_head_kv*d_head, n_embd]
};
