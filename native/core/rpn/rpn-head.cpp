// The network's head: the query/key map of the last block, between the last token and the image's. Two ways to the same
// numbers; x are the states after the full layers, before the norms.
//
// Fused: no softmax and no RoPE stand between q and k, so the mean over heads of q.k / sqrt(d) is one dot product with
// u = W_k^T W_q n_q (q summed within its GQA groups), and no key is ever computed. Three sums in one pass over x give both
// norms and the dot: with w the two norms' weights and n the width,
//   A = sum x^2,  B = sum (x w_t)^2,  C = sum x w_t w_in u
//   r1 = 1 / sqrt(A/n + e),  r2 = 1 / sqrt(r1^2 B/n + e),  s = r1 r2 C / (H sqrt d).
//
// General: keys of all image tokens, as a head needs them that has something of its own between projection and product.

#include "rpn-impl.h"

#include "error.h"

#include <algorithm>
#include <cmath>

// sums in 16 lanes, which the compiler keeps in vector registers without being allowed to reorder floats
static void three_sums(const float * x, const float * w_t, const float * wu, int n, double & a, double & b, double & c) {
    const int LANES = 16;
    float sa[LANES] = {}, sb[LANES] = {}, sc[LANES] = {};
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            const float v = x[i + l], t = v * w_t[i + l];
            sa[l] += v * v;
            sb[l] += t * t;
            sc[l] += v * wu[i + l];
        }
    }
    a = b = c = 0;
    for (int l = 0; l < LANES; l++) {
        a += sa[l];
        b += sb[l];
        c += sc[l];
    }
    for (; i < n; i++) {
        const double v = x[i], t = v * w_t[i];
        a += v * v;
        b += t * t;
        c += v * wu[i];
    }
}

// dst [n_img]; src: x [n, n_img], w_t [n], w_t w_in u [n]
static void fused_op(ggml_tensor * dst, int ith, int nth, void * user_data) {
    const rpn_hparams & hp = *static_cast<const rpn_hparams *>(user_data);
    const ggml_tensor * x = dst->src[0];
    const float * w_t = static_cast<const float *>(dst->src[1]->data);
    const float * wu  = static_cast<const float *>(dst->src[2]->data);
    float * s = static_cast<float *>(dst->data);
    const int n = int(x->ne[0]);
    for (int64_t j = ith; j < x->ne[1]; j += nth) {
        double a, b, c;
        three_sums(reinterpret_cast<const float *>(static_cast<const char *>(x->data) + j * x->nb[1]), w_t, wu, n, a, b, c);
        const double r1 = 1 / std::sqrt(a / n + hp.eps), r2 = 1 / std::sqrt(r1 * r1 * b / n + hp.eps);
        s[j] = float(r1 * r2 * c / (hp.n_head * std::sqrt(double(hp.d_head))));
    }
}

// W_k^T W_q n_q, from the query's normed state: [n_embd]
ggml_tensor * rpn_head_direction(rpn_net * net, ggml_context * ctx, ggml_tensor * x_query) {
    const rpn_hparams & hp = net->hp;
    ggml_tensor * q = ggml_mul_mat(ctx, net->head_wq, x_query);
    if (hp.n_head_kv != hp.n_head) {
        // head h belongs to group h / (H / Hkv): [d, H/Hkv, Hkv] summed over its middle axis
        q = ggml_reshape_3d(ctx, q, hp.d_head, hp.n_head / hp.n_head_kv, hp.n_head_kv);
        q = ggml_sum_rows(ctx, ggml_cont(ctx, ggml_permute(ctx, q, 1, 0, 2, 3)));
        q = ggml_reshape_2d(ctx, q, int64_t(hp.d_head) * hp.n_head_kv, 1);
    }
    return ggml_mul_mat(ctx, net->head_wk_t, q);
}

ggml_tensor * rpn_head_fused(rpn_net * net, ggml_context * ctx, ggml_tensor * x, ggml_tensor * x_query) {
    ggml_tensor * u  = ggml_reshape_1d(ctx, rpn_head_direction(net, ctx, x_query), net->hp.n_embd);
    ggml_tensor * wu = ggml_mul(ctx, ggml_mul(ctx, u, net->norm), net->head_norm);
    ggml_tensor * src[] = { x, net->norm, wu };
    return ggml_custom_4d(ctx, GGML_TYPE_F32, x->ne[1], 1, 1, 1, src, 3, fused_op, GGML_N_TASKS_MAX, &net->hp);
}

ggml_tensor * rpn_head_general(rpn_net * net, ggml_context * ctx, ggml_tensor * x_img, ggml_tensor * x_query) {
    const rpn_hparams & hp = net->hp;
    const int64_t d = hp.d_head, n_img = x_img->ne[1];
    ggml_tensor * q = ggml_reshape_3d(ctx, ggml_mul_mat(ctx, net->head_wq, x_query), d, 1, hp.n_head);
    ggml_tensor * k = ggml_reshape_3d(ctx, ggml_mul_mat(ctx, net->head_wk, x_img), d, hp.n_head_kv, n_img);
    ggml_tensor * s = ggml_mul_mat(ctx, ggml_permute(ctx, k, 0, 2, 1, 3), q); // [n_img, 1, H], heads of a group share keys
    s = ggml_cont(ctx, ggml_permute(ctx, s, 1, 2, 0, 3));                     // [H, n_img]
    s = ggml_sum_rows(ctx, ggml_reshape_2d(ctx, s, hp.n_head, n_img));
    return ggml_scale(ctx, s, 1.0f / (float(hp.n_head) * std::sqrt(float(d))));
}

void rpn_head_make_keys(rpn_net * net) {
    if (net->head_wk) {
        return;
    }
    const ggml_tensor * t = net->head_wk_t; // [nkv, n]
    net->keys_ctx.reset(ggml_init({ 2 * ggml_tensor_overhead(), nullptr, true }));
    net->head_wk = ggml_new_tensor_2d(net->keys_ctx.get(), t->type, t->ne[1], t->ne[0]);
    net->keys_buf.reset(ggml_backend_alloc_ctx_tensors_from_buft(net->keys_ctx.get(), ggml_backend_dev_buffer_type(net->dev)));
    if (!net->keys_buf) {
        net->head_wk = nullptr;
        throw sd_error("OUT_OF_MEMORY", "There is not enough memory for the region proposal network's keys");
    }
    const size_t size = ggml_type_size(t->type);
    std::vector<char> from(ggml_nbytes(t)), to(from.size());
    ggml_backend_tensor_get(t, from.data(), 0, from.size());
    for (int64_t c = 0; c < t->ne[1]; c++) {
        for (int64_t r = 0; r < t->ne[0]; r++) {
            std::copy_n(&from[(c * t->ne[0] + r) * size], size, &to[(r * t->ne[1] + c) * size]);
        }
    }
    ggml_backend_tensor_set(net->head_wk, to.data(), 0, to.size());
}
