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

    // the key projection as it is, for the general head; made when first asked for
    ggml_context_ptr        keys_ctx;
    ggml_backend_buffer_ptr keys_buf;
    ggml_tensor * head_wk = nullptr;
};

// Scores [n_img] of the head. Fused takes states before the norms and runs on the CPU; general takes normed ones.
ggml_tensor * rpn_head_direction(rpn_net * net, ggml_context * ctx, ggml_tensor * x_query);
ggml_tensor * rpn_head_fused(rpn_net * net, ggml_context * ctx, ggml_tensor * x, ggml_tensor * x_query);
ggml_tensor * rpn_head_general(rpn_net * net, ggml_context * ctx, ggml_tensor * x_img, ggml_tensor * x_query);
void rpn_head_make_keys(rpn_net * net);
