#pragma once

// One decoder block of the network, the same for inference and training. Its parts (biases, norms per head, kind of rope)
// follow from the traits in rpn_hparams.

#include "rpn.h"

#include <functional>

// Null where the traits have no such tensor. The head's block has norm, query and key only.
struct rpn_block_weights {
    ggml_tensor * attn_norm = nullptr;
    ggml_tensor *wq = nullptr, *bq = nullptr, *q_norm = nullptr;
    ggml_tensor *wk = nullptr, *bk = nullptr, *k_norm = nullptr;
    ggml_tensor *wv = nullptr, *bv = nullptr;
    ggml_tensor * wo = nullptr;
    ggml_tensor * ffn_norm = nullptr;
    ggml_tensor *ffn_gate = nullptr, *ffn_up = nullptr, *ffn_down = nullptr;
};

using rpn_tensor_by_name = std::function<ggml_tensor *(const std::string & name)>;

// The tensors of block `index` of the file, or of its gate; `get` is asked for those that the traits have.
rpn_block_weights rpn_block_find(const rpn_hparams & hp, int index, const rpn_tensor_by_name & get);
rpn_block_weights rpn_gate_block_find(const rpn_hparams & hp, int index, const rpn_tensor_by_name & get);

// Shared by the blocks of one graph: n tokens after n_past earlier ones, which all of them see.
struct rpn_pass {
    ggml_context * ctx;
    const rpn_hparams & hp;
    int n_past = 0;
    int n = 0;
    bool flash = false;           // ggml's flash attention: no backward pass, and F32 keys on a CPU only
    ggml_tensor * pos = nullptr;  // as rpn_pos_input makes it; not looked at without rope
    ggml_tensor * mask = nullptr; // as rpn_mask_input makes it
};

// Inputs of a graph, to be filled once the graph has memory; filling skips those that the graph does not use.
ggml_tensor * rpn_pos_input(const rpn_pass & p, int n);
ggml_tensor * rpn_mask_input(const rpn_pass & p);

// positions of the columns first..first+count-1 of pos [hp.n_pos_rows() * stride]; columns at or after `stride` count as 0
void rpn_pos_fill(const rpn_hparams & hp, ggml_tensor * input, const rpn_positions & pos, int stride, int first, int count);
// a token sees those before it, by index
void rpn_mask_fill(const rpn_pass & p);

ggml_tensor * rpn_norm(const rpn_pass & p, ggml_tensor * x, ggml_tensor * weight);

// Queries [d_head, n_head, n] and keys [d_head, n_head_kv, n] of normed states [n_embd, n], rotated by `pos` (null: not).
ggml_tensor * rpn_queries(const rpn_pass & p, const rpn_block_weights & w, ggml_tensor * x, ggml_tensor * pos);
ggml_tensor * rpn_keys(const rpn_pass & p, const rpn_block_weights & w, ggml_tensor * x, ggml_tensor * pos);

// Keys and values of the new tokens [d_head * n_head_kv, n], which the caller may keep, and replace by those of all n_past + n.
using rpn_kv_hook = std::function<void(ggml_tensor *& k, ggml_tensor *& v)>;

// The states [n_embd, n] after a whole block.
ggml_tensor * rpn_block(const rpn_pass & p, const rpn_block_weights & w, ggml_tensor * x, const rpn_kv_hook & kv = nullptr);
