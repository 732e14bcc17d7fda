#pragma once

// The network's head: the query/key map of the last block between the query token and the image's, the mean over heads of
// q.k / sqrt(d_head). `prepare` is done once per image and decides what is kept of it, `score` once per question. x are states
// after the full layers, before the norms; w the weights of the norm before the last block and of its own, n the width.
//
// Keys: keys of all image tokens are kept. Goes with every network.
//
// Where nothing stands between the projections and their product (no bias, norm of heads or rope), the mean is one dot product of
// an image token's normed state with u = W_k^T W_q n_q (q summed within its groups of heads), and no key is ever computed:
//
// Fold: the normed states are kept.
// Fused: the states are kept as they are, with one number for each. Since
//   r1 = 1 / sqrt(sum x^2 / n + e),  r2 = 1 / sqrt(r1^2 sum (x w_t)^2 / n + e),  s = r1 r2 sum(x w_t w_in u) / (H sqrt d),
// two of the three sums belong to the image. One pass over x gives both, and no normed state is ever written.
//
// Kernel: the states alone are kept, and one node computes all three sums for each question: on a GPU, where reading the states is
// all that takes time, in one launch (native/cuda).

#include "block.h"

struct rpn_head_weights {
    ggml_tensor * norm = nullptr; // before the last block; null where the network has none
    rpn_block_weights block;      // of the last block; wk is needed for keys only
    ggml_tensor * wk_t = nullptr; // its key projection transposed, [n_kv, n_embd]; for the other two
};

// where the network's states lie, and what can run there
enum rpn_head_place {
    RPN_HEAD_ON_HOST,
    RPN_HEAD_ON_DEVICE,        // a device that has no kernel for the head
    RPN_HEAD_ON_KERNEL_DEVICE, // one that has
};

// whether this kind can be used; the fused one needs the states in the host's memory
bool rpn_head_allows(const rpn_hparams & hp, rpn_head_kind kind, rpn_head_place place);

// the fastest of those (docs/decisions/080-head-of-the-network.md)
rpn_head_kind rpn_head_best(const rpn_hparams & hp, rpn_head_place place);

// The node of the kernel kind as the host computes it. dst [n_img]; src: x [n, n_img], w_t [n], w_in [n], u [n]; user_data: const
// rpn_hparams. Devices run it for whose backend a kernel is registered under this function.
void rpn_head_op(ggml_tensor * dst, int ith, int nth, void * user_data);

// width of a row that is kept
int rpn_head_width(const rpn_hparams & hp, rpn_head_kind kind);

// What to keep, from the image's states [n_embd, n_img]. pos_img: positions of the image's tokens, for a head with rope.
rpn_image rpn_head_prepare(const rpn_pass & p, const rpn_head_weights & w, rpn_head_kind kind, ggml_tensor * x_img, ggml_tensor * pos_img);

// logits [n_img, n] from that and the states [n_embd, n] of queries; the kernel kind takes one query
ggml_tensor * rpn_head_score(const rpn_pass & p, const rpn_head_weights & w, const rpn_image & image, ggml_tensor * x_query, ggml_tensor * pos_query);

// Logits [n_img] of a cell's being a sink: the first head of the prompt's first token, whose state is x_first [n_embd, 1], against the keys of
// all heads, which the image must have.
ggml_tensor * rpn_head_sink(const rpn_pass & p, const rpn_head_weights & w, const rpn_image & image, ggml_tensor * x_first, ggml_tensor * pos_first);
