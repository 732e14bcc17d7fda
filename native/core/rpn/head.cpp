#include "head.h"

#include "error.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>

bool rpn_head_allows(const rpn_hparams & hp, rpn_head_kind kind, bool host) {
    const bool bare = !hp.bias && !hp.qk_norm && !(hp.head_rope && hp.rope_dim > 0);
    switch (kind) {
        case RPN_HEAD_BEST:
        case RPN_HEAD_KEYS:  return true;
        case RPN_HEAD_FOLD:  return bare;
        case RPN_HEAD_FUSED: return bare && hp.head_norm && host;
    }
    return false;
}

rpn_head_kind rpn_head_best(const rpn_hparams & hp, bool host) {
    return rpn_head_allows(hp, RPN_HEAD_FOLD, host) ? RPN_HEAD_FOLD : RPN_HEAD_KEYS;
}

int rpn_head_width(const rpn_hparams & hp, rpn_head_kind kind) {
    return kind == RPN_HEAD_KEYS ? hp.n_kv() : hp.n_embd;
}

// the norms before the projections
static ggml_tensor * normed(const rpn_pass & p, const rpn_head_weights & w, ggml_tensor * x) {
    return rpn_norm(p, w.norm ? rpn_norm(p, x, w.norm) : x, w.block.attn_norm);
}

ggml_tensor * rpn_head_prepare(const rpn_pass & p, const rpn_head_weights & w, rpn_head_kind kind, ggml_tensor * x_img, ggml_tensor * pos_img) {
    if (kind == RPN_HEAD_FUSED) {
        return x_img;
    }
    ggml_tensor * x = normed(p, w, x_img);
    return kind == RPN_HEAD_FOLD ? x : ggml_reshape_2d(p.ctx, rpn_keys(p, w.block, x, pos_img), p.hp.n_kv(), x->ne[1]);
}

// The query [n_kv, 1]: heads that share keys are summed, since the map is a mean over heads. Head h belongs to group h / (H / Hkv).
static ggml_tensor * query(const rpn_pass & p, const rpn_head_weights & w, ggml_tensor * x_query, ggml_tensor * pos_query) {
    const rpn_hparams & hp = p.hp;
    ggml_tensor * q = rpn_queries(p, w.block, normed(p, w, x_query), pos_query); // [d, H, 1]
    if (hp.n_head_kv != hp.n_head) {
        q = ggml_reshape_3d(p.ctx, q, hp.d_head, hp.n_head / hp.n_head_kv, hp.n_head_kv);
        q = ggml_sum_rows(p.ctx, ggml_cont(p.ctx, ggml_permute(p.ctx, q, 1, 0, 2, 3)));
    }
    return ggml_reshape_2d(p.ctx, q, hp.n_kv(), 1);
}

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

ggml_tensor * rpn_head_score(const rpn_pass & p, const rpn_head_weights & w, const rpn_image & image, ggml_tensor * x_query, ggml_tensor * pos_query) {
    const rpn_hparams & hp = p.hp;
    ggml_tensor * u = query(p, w, x_query, pos_query);
    if (image.kind != RPN_HEAD_KEYS) {
        u = ggml_mul_mat(p.ctx, w.wk_t, u); // [n_embd, 1]
    }
    if (image.kind == RPN_HEAD_FUSED) {
        ggml_tensor * wu = ggml_mul(p.ctx, ggml_mul(p.ctx, ggml_reshape_1d(p.ctx, u, hp.n_embd), w.norm), w.block.attn_norm);
        ggml_tensor * src[] = { image.rows, w.norm, wu };
        return ggml_custom_4d(p.ctx, GGML_TYPE_F32, image.rows->ne[1], 1, 1, 1, src, 3, fused_op, GGML_N_TASKS_MAX, const_cast<rpn_hparams *>(&hp));
    }
    ggml_tensor * s = ggml_mul_mat(p.ctx, image.rows, u); // [n_img, 1]
    return ggml_scale(p.ctx, s, 1.0f / (float(hp.n_head) * std::sqrt(float(hp.d_head))));
}
