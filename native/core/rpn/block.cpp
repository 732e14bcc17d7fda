#include "block.h"

#include "error.h"

#include "ggml-backend.h"
#include "ggml.h"

#include <cmath>
#include <limits>

// `whole`: not just the parts that the head uses
static rpn_block_weights find(const rpn_hparams & hp, const std::string & b, bool whole, const rpn_tensor_by_name & get) {
    auto weight = [&](const char * name) { return get(b + name + ".weight"); };
    auto bias = [&](const char * name) { return hp.bias ? get(b + name + ".bias") : nullptr; };

    rpn_block_weights w;
    w.attn_norm = weight("attn_norm");
    w.wq = weight("attn_q");
    w.bq = bias("attn_q");
    w.wk = weight("attn_k");
    w.bk = bias("attn_k");
    if (hp.qk_norm) {
        w.q_norm = weight("attn_q_norm");
        w.k_norm = weight("attn_k_norm");
    }
    if (!whole) {
        return w;
    }
    w.wv = weight("attn_v");
    w.bv = bias("attn_v");
    w.wo = weight("attn_output");
    w.ffn_norm = weight("ffn_norm");
    w.ffn_gate = weight("ffn_gate");
    w.ffn_up = weight("ffn_up");
    w.ffn_down = weight("ffn_down");
    return w;
}

rpn_block_weights rpn_block_find(const rpn_hparams & hp, int index, const rpn_tensor_by_name & get) {
    return find(hp, "blk." + std::to_string(index) + ".", index < hp.n_block - 1, get);
}

rpn_block_weights rpn_gate_block_find(const rpn_hparams & hp, int index, const rpn_tensor_by_name & get) {
    return find(hp, "gate.blk." + std::to_string(index) + ".", true, get);
}

// --- inputs

// ggml's rope by sections takes four rows, of which the network's models use three
static int n_rope_rows(const rpn_hparams & hp) {
    return hp.rope_by_sections() ? 4 : 1;
}

ggml_tensor * rpn_pos_input(const rpn_pass & p, int n) {
    ggml_tensor * t = ggml_new_tensor_1d(p.ctx, GGML_TYPE_I32, int64_t(n_rope_rows(p.hp)) * n);
    ggml_set_input(t);
    return t;
}

ggml_tensor * rpn_mask_input(const rpn_pass & p) {
    ggml_tensor * t = ggml_new_tensor_2d(p.ctx, p.flash ? GGML_TYPE_F16 : GGML_TYPE_F32, p.n_past + p.n, p.n);
    ggml_set_input(t);
    return t;
}

void rpn_pos_fill(const rpn_hparams & hp, ggml_tensor * input, const rpn_positions & pos, int stride, int first, int count) {
    if (!input || !input->buffer) {
        return;
    }
    std::vector<int32_t> values(size_t(n_rope_rows(hp)) * count, 0);
    for (int row = 0; row < hp.n_pos_rows(); row++) {
        for (int i = 0; i < count && first + i < stride; i++) {
            values[size_t(row) * count + i] = pos[size_t(row) * stride + first + i];
        }
    }
    ggml_backend_tensor_set(input, values.data(), 0, values.size() * sizeof(int32_t));
}

// a zero is all bits 0 in either type
template <typename T> static void fill_mask(const rpn_pass & p, T hidden) {
    const int n_kv = p.n_past + p.n;
    std::vector<T> m(size_t(n_kv) * p.n);
    for (int i = 0; i < p.n; i++) {
        for (int j = p.n_past + i + 1; j < n_kv; j++) {
            m[size_t(i) * n_kv + j] = hidden;
        }
    }
    ggml_backend_tensor_set(p.mask, m.data(), 0, m.size() * sizeof(T));
}

void rpn_mask_fill(const rpn_pass & p) {
    if (!p.mask || !p.mask->buffer) {
        return;
    }
    const float hidden = -std::numeric_limits<float>::infinity();
    if (p.flash) {
        fill_mask(p, ggml_fp32_to_fp16(hidden));
    } else {
        fill_mask(p, hidden);
    }
}

// --- the block

ggml_tensor * rpn_norm(const rpn_pass & p, ggml_tensor * x, ggml_tensor * weight) {
    return ggml_mul(p.ctx, ggml_rms_norm(p.ctx, x, p.hp.eps), weight);
}

static ggml_tensor * linear(const rpn_pass & p, ggml_tensor * w, ggml_tensor * bias, ggml_tensor * x) {
    ggml_tensor * y = ggml_mul_mat(p.ctx, w, x);
    return bias ? ggml_add(p.ctx, y, bias) : y;
}

static ggml_tensor * rotate(const rpn_pass & p, ggml_tensor * x, ggml_tensor * pos) {
    const rpn_hparams & hp = p.hp;
    if (!pos || hp.rope_dim == 0) {
        return x;
    }
    if (hp.rope_by_sections()) {
        int sections[GGML_MROPE_SECTIONS] = { hp.rope_sections[0], hp.rope_sections[1], hp.rope_sections[2], 0 };
        return ggml_rope_multi(p.ctx, x, pos, nullptr, hp.rope_dim, sections, hp.rope_interleaved ? GGML_ROPE_TYPE_IMROPE : GGML_ROPE_TYPE_MROPE, 0,
            hp.rope_base, 1.0f, 0.0f, 1.0f, 32.0f, 1.0f);
    }
    return ggml_rope_ext(p.ctx, x, pos, nullptr, hp.rope_dim, hp.rope_type, 0, hp.rope_base, 1.0f, 0.0f, 1.0f, 32.0f, 1.0f);
}

static ggml_tensor * heads(const rpn_pass & p, ggml_tensor * x, int n_head, ggml_tensor * norm, ggml_tensor * pos) {
    x = ggml_reshape_3d(p.ctx, x, p.hp.d_head, n_head, x->ne[1]);
    return rotate(p, norm ? rpn_norm(p, x, norm) : x, pos);
}

ggml_tensor * rpn_queries(const rpn_pass & p, const rpn_block_weights & w, ggml_tensor * x, ggml_tensor * pos) {
    return heads(p, linear(p, w.wq, w.bq, x), p.hp.n_head, w.q_norm, pos);
}

ggml_tensor * rpn_keys(const rpn_pass & p, const rpn_block_weights & w, ggml_tensor * x, ggml_tensor * pos) {
    return heads(p, linear(p, w.wk, w.bk, x), p.hp.n_head_kv, w.k_norm, pos);
}

// causal attention of queries [d, H, n] over keys and values [d * Hkv, n_past + n], all F32 -> [d * H, n]
static ggml_tensor * attention(const rpn_pass & p, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v) {
    const rpn_hparams & hp = p.hp;
    ggml_context * ctx = p.ctx;
    const int n_kv = p.n_past + p.n, d = hp.d_head;
    const float scale = 1.0f / std::sqrt(float(d));

    q = ggml_permute(ctx, q, 0, 2, 1, 3);                                              // [d, n, H]
    k = ggml_permute(ctx, ggml_reshape_3d(ctx, k, d, hp.n_head_kv, n_kv), 0, 2, 1, 3); // [d, n_kv, Hkv]
    v = ggml_reshape_3d(ctx, v, d, hp.n_head_kv, n_kv);
    if (p.flash) {
        ggml_tensor * o = ggml_flash_attn_ext(ctx, q, k, ggml_permute(ctx, v, 0, 2, 1, 3), p.mask, scale, 0.0f, 0.0f); // [d, H, n]
        ggml_prec_set_acc(o, GGML_PREC_F32);
        return ggml_reshape_2d(ctx, o, int64_t(d) * hp.n_head, p.n);
    }
    v = ggml_cont(ctx, ggml_permute(ctx, v, 1, 2, 0, 3)); // [n_kv, d, Hkv]
    ggml_tensor * kq = ggml_mul_mat(ctx, k, q);           // [n_kv, n, H]
    ggml_prec_set_acc(kq, GGML_PREC_F32);
    kq = ggml_soft_max_ext(ctx, kq, p.mask, scale, 0.0f);
    ggml_tensor * o = ggml_mul_mat(ctx, v, kq); // [d, n, H]
    return ggml_cont_2d(ctx, ggml_permute(ctx, o, 0, 2, 1, 3), int64_t(d) * hp.n_head, p.n);
}

ggml_tensor * rpn_block(const rpn_pass & p, const rpn_block_weights & w, ggml_tensor * x, const rpn_kv_hook & kv) {
    ggml_context * ctx = p.ctx;

    ggml_tensor * h = rpn_norm(p, x, w.attn_norm);
    ggml_tensor * q = rpn_queries(p, w, h, p.pos);
    ggml_tensor * k = rpn_keys(p, w, h, p.pos);
    ggml_tensor * v = linear(p, w.wv, w.bv, h);
    k = ggml_reshape_2d(ctx, k, v->ne[0], p.n);
    if (kv) {
        kv(k, v);
    }
    x = ggml_add(ctx, x, ggml_mul_mat(ctx, w.wo, attention(p, q, k, v)));

    h = rpn_norm(p, x, w.ffn_norm);
    h = ggml_swiglu_split(ctx, ggml_mul_mat(ctx, w.ffn_gate, h), ggml_mul_mat(ctx, w.ffn_up, h));
    return ggml_add(ctx, x, ggml_mul_mat(ctx, w.ffn_down, h));
}
