#include "head.h"

#include "ggml.h"

#include <cmath>

bool rpn_head_allows(const rpn_hparams & hp, rpn_head_kind kind, rpn_head_place place) {
    const bool bare = !hp.bias && !hp.qk_norm && !(hp.head_rope && hp.rope_dim > 0);
    switch (kind) {
        case RPN_HEAD_BEST:
        case RPN_HEAD_KEYS:  return true;
        case RPN_HEAD_FOLD:  return bare;
        case RPN_HEAD_FUSED: return bare && hp.head_norm && place == RPN_HEAD_ON_HOST;
        // its kernel reads rows of whole 16-byte loads
        case RPN_HEAD_KERNEL: return bare && hp.head_norm && (place == RPN_HEAD_ON_HOST || (place == RPN_HEAD_ON_KERNEL_DEVICE && hp.n_embd % 4 == 0));
    }
    return false;
}

rpn_head_kind rpn_head_best(const rpn_hparams & hp, rpn_head_place place) {
    // on the host two of the kernel's sums would be computed anew for each question
    const rpn_head_kind fused = place == RPN_HEAD_ON_HOST ? RPN_HEAD_FUSED : RPN_HEAD_KERNEL;
    for (rpn_head_kind kind : { fused, RPN_HEAD_FOLD }) {
        if (rpn_head_allows(hp, kind, place)) {
            return kind;
        }
    }
    return RPN_HEAD_KEYS;
}

int rpn_head_width(const rpn_hparams & hp, rpn_head_kind kind) {
    return kind == RPN_HEAD_KEYS ? hp.n_kv() : hp.n_embd;
}

// the norms before the projections
static ggml_tensor * normed(const rpn_pass & p, const rpn_head_weights & w, ggml_tensor * x) {
    return rpn_norm(p, w.norm ? rpn_norm(p, x, w.norm) : x, w.block.attn_norm);
}

// sum x^2 and sum (x w)^2 in 16 lanes, which the compiler keeps in vector registers without being allowed to reorder floats
static void two_sums(const float * x, const float * w, int n, double & a, double & b) {
    const int LANES = 16;
    float sa[LANES] = {}, sb[LANES] = {};
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            const float v = x[i + l], t = v * w[i + l];
            sa[l] += v * v;
            sb[l] += t * t;
        }
    }
    a = b = 0;
    for (int l = 0; l < LANES; l++) {
        a += sa[l];
        b += sb[l];
    }
    for (; i < n; i++) {
        const double v = x[i], t = v * w[i];
        a += v * v;
        b += t * t;
    }
}

// dst [n_img]: r1 r2 = 1 / sqrt(B/n + e (A/n + e)); src: x [n, n_img], the first norm's weight [n]
static void scale_op(ggml_tensor * dst, int ith, int nth, void * user_data) {
    const rpn_hparams & hp = *static_cast<const rpn_hparams *>(user_data);
    const ggml_tensor * x = dst->src[0];
    const float * w = static_cast<const float *>(dst->src[1]->data);
    const int n = int(x->ne[0]);
    for (int64_t j = ith; j < x->ne[1]; j += nth) {
        double a, b;
        two_sums(reinterpret_cast<const float *>(static_cast<const char *>(x->data) + j * x->nb[1]), w, n, a, b);
        static_cast<float *>(dst->data)[j] = float(1 / std::sqrt(b / n + hp.eps * (a / n + hp.eps)));
    }
}

void rpn_head_op(ggml_tensor * dst, int ith, int nth, void * user_data) {
    const rpn_hparams & hp = *static_cast<const rpn_hparams *>(user_data);
    const ggml_tensor * x = dst->src[0];
    auto vector = [&](int i) { return static_cast<const float *>(dst->src[i]->data); };
    const float *w_t = vector(1), *w_in = vector(2), *u = vector(3);
    const int n = int(x->ne[0]);
    for (int64_t j = ith; j < x->ne[1]; j += nth) {
        const float * row = reinterpret_cast<const float *>(static_cast<const char *>(x->data) + j * x->nb[1]);
        double a, b, c = 0;
        two_sums(row, w_t, n, a, b);
        for (int i = 0; i < n; i++) {
            c += double(row[i] * w_t[i]) * (w_in[i] * u[i]);
        }
        const double scale = 1 / (hp.n_head * std::sqrt(double(hp.d_head)));
        static_cast<float *>(dst->data)[j] = float(scale * c / std::sqrt(b / n + hp.eps * (a / n + hp.eps)));
    }
}

rpn_image rpn_head_prepare(const rpn_pass & p, const rpn_head_weights & w, rpn_head_kind kind, ggml_tensor * x_img, ggml_tensor * pos_img) {
    rpn_image image;
    image.kind = kind;
    if (kind == RPN_HEAD_KERNEL) {
        image.rows = x_img;
        return image;
    }
    if (kind == RPN_HEAD_FUSED) {
        ggml_tensor * src[] = { x_img, w.norm };
        image.rows = x_img;
        image.scale = ggml_custom_4d(p.ctx, GGML_TYPE_F32, x_img->ne[1], 1, 1, 1, src, 2, scale_op, GGML_N_TASKS_MAX, const_cast<rpn_hparams *>(&p.hp));
        return image;
    }
    ggml_tensor * x = normed(p, w, x_img);
    image.rows = kind == RPN_HEAD_FOLD ? x : ggml_reshape_2d(p.ctx, rpn_keys(p, w.block, x, pos_img), p.hp.n_kv(), x->ne[1]);
    return image;
}

// The queries [n_kv, n]: heads that share keys are summed, since the map is a mean over heads. Head h belongs to group h / (H / Hkv).
static ggml_tensor * queries(const rpn_pass & p, const rpn_head_weights & w, ggml_tensor * x_query, ggml_tensor * pos_query) {
    const rpn_hparams & hp = p.hp;
    ggml_tensor * q = rpn_queries(p, w.block, normed(p, w, x_query), pos_query); // [d, H, n]
    if (hp.n_head_kv != hp.n_head) {
        q = ggml_reshape_4d(p.ctx, q, hp.d_head, hp.n_head / hp.n_head_kv, hp.n_head_kv, x_query->ne[1]);
        q = ggml_sum_rows(p.ctx, ggml_cont(p.ctx, ggml_permute(p.ctx, q, 1, 0, 2, 3)));
    }
    return ggml_reshape_2d(p.ctx, q, hp.n_kv(), x_query->ne[1]);
}

ggml_tensor * rpn_head_score(const rpn_pass & p, const rpn_head_weights & w, const rpn_image & image, ggml_tensor * x_query, ggml_tensor * pos_query) {
    const rpn_hparams & hp = p.hp;
    ggml_tensor * u = queries(p, w, x_query, pos_query);
    if (image.kind != RPN_HEAD_KEYS) {
        u = ggml_mul_mat(p.ctx, w.wk_t, u); // [n_embd, n]
    }
    if (image.kind == RPN_HEAD_KERNEL) {
        ggml_tensor * src[] = { image.rows, w.norm, w.block.attn_norm, u };
        return ggml_custom_4d(p.ctx, GGML_TYPE_F32, image.rows->ne[1], 1, 1, 1, src, 4, rpn_head_op, GGML_N_TASKS_MAX, const_cast<rpn_hparams *>(&hp));
    }
    if (image.kind == RPN_HEAD_FUSED) {
        u = ggml_mul(p.ctx, ggml_mul(p.ctx, u, w.norm), w.block.attn_norm);
    }
    ggml_tensor * s = ggml_mul_mat(p.ctx, image.rows, u); // [n_img, n]
    if (image.scale) {
        s = ggml_mul(p.ctx, s, image.scale);
    }
    return ggml_scale(p.ctx, s, 1.0f / (float(hp.n_head) * std::sqrt(float(hp.d_head))));
}

ggml_tensor * rpn_head_sink(const rpn_pass & p, const rpn_head_weights & w, const rpn_image & image, ggml_tensor * x_first, ggml_tensor * pos_first) {
    const rpn_hparams & hp = p.hp;
    ggml_tensor * q = rpn_queries(p, w.block, normed(p, w, x_first), pos_first); // [d, H, 1]
    ggml_tensor * first = ggml_view_2d(p.ctx, q, hp.d_head, 1, q->nb[1], 0);
    ggml_tensor * every = ggml_repeat_4d(p.ctx, first, hp.d_head, hp.n_head_kv, 1, 1);
    ggml_tensor * s = ggml_mul_mat(p.ctx, image.rows, ggml_reshape_2d(p.ctx, every, hp.n_kv(), 1)); // [n_img, 1]
    return ggml_scale(p.ctx, s, 1.0f / (float(hp.n_head_kv) * std::sqrt(float(hp.d_head))));
}
