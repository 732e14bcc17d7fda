#include "rpn-impl.h"

#include "error.h"

#include <cmath>
#include <limits>

namespace {

// one graph: its context, inputs that are filled after allocation, and how it is run
struct rpn_graph {
    rpn_net *        net;
    ggml_context_ptr ctx;
    ggml_cgraph *    gf;
    ggml_tensor *    pos  = nullptr;
    ggml_tensor *    mask = nullptr;
    int n_past, n;
    bool flash; // ggml's flash attention takes keys in F32 on a CPU only

    rpn_graph(rpn_net * net, int n_past, int n) : net(net), n_past(n_past), n(n), flash(ggml_backend_dev_type(net->dev) == GGML_BACKEND_DEVICE_TYPE_CPU) {
        const size_t nodes = 4096;
        ctx.reset(ggml_init({ nodes * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes, false), nullptr, true }));
        gf = ggml_new_graph_custom(ctx.get(), nodes, false);
    }

    // what comes after a token is hidden from it; a zero is all bits 0 in either type
    template <typename T> void fill_mask(T hidden, int n_kv) {
        std::vector<T> m(size_t(n_kv) * n);
        for (int i = 0; i < n; i++) {
            for (int j = n_past + i + 1; j < n_kv; j++) {
                m[size_t(i) * n_kv + j] = hidden;
            }
        }
        ggml_backend_tensor_set(mask, m.data(), 0, m.size() * sizeof(T));
    }

    void compute() {
        ggml_backend_sched_t sched = net->sched.get();
        ggml_backend_sched_reset(sched);
        if (!ggml_backend_sched_alloc_graph(sched, gf)) {
            throw sd_error("OUT_OF_MEMORY", "There is not enough memory for the region proposal network's work buffer");
        }
        if (pos && pos->buffer) {
            std::vector<int32_t> p(n);
            for (int i = 0; i < n; i++) {
                p[i] = n_past + i;
            }
            ggml_backend_tensor_set(pos, p.data(), 0, p.size() * sizeof(int32_t));
        }
        if (mask && mask->buffer) {
            const int n_kv = n_past + n;
            if (flash) {
                fill_mask(ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity()), n_kv);
            } else {
                fill_mask(-std::numeric_limits<float>::infinity(), n_kv);
            }
        }
        if (ggml_backend_sched_graph_compute(sched, gf) != GGML_STATUS_SUCCESS) {
            throw sd_error("INTERNAL", "The region proposal network's graph failed");
        }
    }
};

ggml_tensor * rms_norm(rpn_graph & g, ggml_tensor * x, ggml_tensor * w) {
    return ggml_mul(g.ctx.get(), ggml_rms_norm(g.ctx.get(), x, g.net->hp.eps), w);
}

// causal attention of n queries [d, H, n] over n_kv keys and values [d * Hkv, n_kv], all F32 -> [d * H, n]
ggml_tensor * build_attention(rpn_graph & g, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v) {
    const rpn_hparams & hp = g.net->hp;
    ggml_context * ctx = g.ctx.get();
    const int n_kv = g.n_past + g.n, d = hp.d_head;
    const float scale = 1.0f / std::sqrt(float(d));

    ggml_tensor * qp = ggml_permute(ctx, q, 0, 2, 1, 3);                                              // [d, n, H]
    ggml_tensor * kp = ggml_permute(ctx, ggml_reshape_3d(ctx, k, d, hp.n_head_kv, n_kv), 0, 2, 1, 3); // [d, n_kv, Hkv]
    v = ggml_reshape_3d(ctx, v, d, hp.n_head_kv, n_kv);
    if (g.flash) {
        ggml_tensor * o = ggml_flash_attn_ext(ctx, qp, kp, ggml_permute(ctx, v, 0, 2, 1, 3), g.mask, scale, 0.0f, 0.0f); // [d, H, n]
        ggml_prec_set_acc(o, GGML_PREC_F32);
        return ggml_reshape_2d(ctx, o, hp.n_embd, g.n);
    }
    ggml_tensor * vp = ggml_cont(ctx, ggml_permute(ctx, v, 1, 2, 0, 3));                              // [n_kv, d, Hkv]
    ggml_tensor * kq = ggml_mul_mat(ctx, kp, qp);                                                     // [n_kv, n, H]
    ggml_prec_set_acc(kq, GGML_PREC_F32);
    kq = ggml_soft_max_ext(ctx, kq, g.mask, scale, 0.0f);
    ggml_tensor * o = ggml_mul_mat(ctx, vp, kq);                                                      // [d, n, H]
    return ggml_cont_2d(ctx, ggml_permute(ctx, o, 0, 2, 1, 3), hp.n_embd, g.n);
}

// the full layers over n new tokens after `past`; where `keep` is given, their K/V are copied into it
ggml_tensor * build_layers(rpn_graph & g, ggml_tensor * x, const rpn_state * past, rpn_state * keep) {
    const rpn_hparams & hp = g.net->hp;
    ggml_context * ctx = g.ctx.get();
    const int n = g.n, d = hp.d_head;

    g.pos = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, n);
    ggml_set_input(g.pos);
    g.mask = ggml_new_tensor_2d(ctx, g.flash ? GGML_TYPE_F16 : GGML_TYPE_F32, g.n_past + n, n);
    ggml_set_input(g.mask);

    auto rope = [&](ggml_tensor * t) {
        return ggml_rope_ext(ctx, t, g.pos, nullptr, hp.rope_dim, hp.rope_type, 0, hp.rope_base, 1.0f, 0.0f, 1.0f, 32.0f, 1.0f);
    };

    for (size_t il = 0; il < g.net->layers.size(); il++) {
        const rpn_layer & l = g.net->layers[il];

        ggml_tensor * h = rms_norm(g, x, l.attn_norm);
        ggml_tensor * q = rope(ggml_reshape_3d(ctx, ggml_mul_mat(ctx, l.wq, h), d, hp.n_head, n));
        ggml_tensor * k = rope(ggml_reshape_3d(ctx, ggml_mul_mat(ctx, l.wk, h), d, hp.n_head_kv, n));
        ggml_tensor * v = ggml_mul_mat(ctx, l.wv, h);
        k = ggml_reshape_2d(ctx, k, int64_t(d) * hp.n_head_kv, n);

        if (keep) {
            ggml_build_forward_expand(g.gf, ggml_cpy(ctx, k, keep->k[il]));
            ggml_build_forward_expand(g.gf, ggml_cpy(ctx, v, keep->v[il]));
        }
        if (past) {
            k = ggml_concat(ctx, past->k[il], k, 1);
            v = ggml_concat(ctx, past->v[il], v, 1);
        }
        ggml_tensor * o = build_attention(g, q, k, v);
        x = ggml_add(ctx, x, ggml_mul_mat(ctx, l.wo, o));

        h = rms_norm(g, x, l.ffn_norm);
        h = ggml_swiglu_split(ctx, ggml_mul_mat(ctx, l.ffn_gate, h), ggml_mul_mat(ctx, l.ffn_up, h));
        x = ggml_add(ctx, x, ggml_mul_mat(ctx, l.ffn_down, h));
    }
    return x;
}

ggml_tensor * rows(rpn_graph & g, ggml_tensor * x, int first, int n) {
    return ggml_view_2d(g.ctx.get(), x, x->ne[0], n, x->nb[1], size_t(first) * x->nb[1]);
}

// twig norm, then the input norm of the last block
ggml_tensor * build_head_input(rpn_graph & g, ggml_tensor * u) {
    return rms_norm(g, rms_norm(g, u, g.net->norm), g.net->head_norm);
}

// the map's logits from the image's normed states, as a session keeps them
ggml_tensor * build_scores(rpn_graph & g, ggml_tensor * x_img, ggml_tensor * x_query) {
    const rpn_hparams & hp = g.net->hp;
    ggml_context * ctx = g.ctx.get();
    ggml_tensor * s = ggml_mul_mat(ctx, x_img, rpn_head_direction(g.net, ctx, x_query)); // [n_img, 1]
    return ggml_scale(ctx, s, 1.0f / (float(hp.n_head) * std::sqrt(float(hp.d_head))));
}

// the same from the states after the full layers
ggml_tensor * build_head(rpn_graph & g, ggml_tensor * u, int img_start, int n_img, int i_query, bool general) {
    ggml_context * ctx = g.ctx.get();
    ggml_tensor * x = rows(g, u, img_start, n_img);
    ggml_tensor * x_query = build_head_input(g, rows(g, u, i_query, 1));
    if (general) {
        return rpn_head_general(g.net, ctx, build_head_input(g, x), x_query);
    }
    // the fused pass reads the norms' weights as they lie in memory
    if (g.net->backend_cpu || g.net->norm->type != GGML_TYPE_F32) {
        return build_scores(g, build_head_input(g, x), x_query);
    }
    return rpn_head_fused(g.net, ctx, x, x_query);
}

void set_result(rpn_graph & g, ggml_tensor * s) {
    ggml_set_output(s);
    ggml_build_forward_expand(g.gf, s);
}

std::vector<float> read(ggml_tensor * t) {
    std::vector<float> out(ggml_nelements(t));
    ggml_backend_tensor_get(t, out.data(), 0, out.size() * sizeof(float));
    return out;
}

// tensors without data in a context, placed on a device
void place(ggml_backend_dev_t dev, ggml_context * ctx, ggml_backend_buffer ** buf) {
    *buf = ggml_backend_alloc_ctx_tensors_from_buft(ctx, ggml_backend_dev_buffer_type(dev));
    if (!*buf) {
        throw sd_error("OUT_OF_MEMORY", "There is not enough memory for the region proposal network's state");
    }
}

} // namespace

void rpn_hidden_reset(rpn_net * net, rpn_hidden & h, int capacity) {
    rpn_hidden_reset(net->dev, net->hp.n_embd, h, capacity);
}

void rpn_hidden_reset(ggml_backend_dev_t dev, int n_embd, rpn_hidden & h, int capacity) {
    h.n = 0;
    if (h.x && h.x->ne[1] >= capacity) {
        return;
    }
    ggml_backend_buffer_free(h.buf);
    ggml_free(h.ctx);
    h.buf = nullptr;
    h.ctx = ggml_init({ 2 * ggml_tensor_overhead(), nullptr, true });
    h.x   = ggml_new_tensor_2d(h.ctx, GGML_TYPE_F32, n_embd, capacity);
    place(dev, h.ctx, &h.buf);
}

void rpn_hidden_set(rpn_hidden & h, const float * data, int n_tokens) {
    ggml_backend_tensor_set(h.x, data, 0, size_t(n_tokens) * h.x->nb[1]);
    h.n = n_tokens;
}

void rpn_hidden_get(const rpn_hidden & h, float * data) {
    ggml_backend_tensor_get(h.x, data, 0, size_t(h.n) * h.x->nb[1]);
}

void rpn_prefix(rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, rpn_state & state) {
    const int n = hidden.n, nkv = net->hp.n_head_kv * net->hp.d_head;

    ggml_backend_buffer_free(state.buf);
    ggml_free(state.ctx);
    state.buf = nullptr;
    state.k.clear();
    state.v.clear();
    state.ctx = ggml_init({ (net->layers.size() * 2 + 2) * ggml_tensor_overhead(), nullptr, true });
    for (size_t il = 0; il < net->layers.size(); il++) {
        state.k.push_back(ggml_new_tensor_2d(state.ctx, GGML_TYPE_F32, nkv, n));
        state.v.push_back(ggml_new_tensor_2d(state.ctx, GGML_TYPE_F32, nkv, n));
    }
    state.x_img  = ggml_new_tensor_2d(state.ctx, GGML_TYPE_F32, net->hp.n_embd, n_img);
    state.n_past = n;
    place(net->dev, state.ctx, &state.buf);

    rpn_graph g(net, 0, n);
    ggml_tensor * u = build_layers(g, rows(g, hidden.x, 0, n), nullptr, &state);
    ggml_tensor * x = build_head_input(g, rows(g, u, img_start, n_img));
    ggml_build_forward_expand(g.gf, ggml_cpy(g.ctx.get(), x, state.x_img));
    g.compute();
}

std::vector<float> rpn_query(rpn_net * net, const rpn_state & state, const rpn_hidden & hidden) {
    rpn_graph g(net, state.n_past, hidden.n);
    ggml_tensor * u = build_layers(g, rows(g, hidden.x, 0, hidden.n), &state, nullptr);
    ggml_tensor * s = build_scores(g, state.x_img, build_head_input(g, rows(g, u, hidden.n - 1, 1)));
    set_result(g, s);
    g.compute();
    return read(s);
}

std::vector<float> rpn_score(rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, int i_query, bool general_head) {
    if (general_head) {
        rpn_head_make_keys(net);
    }
    rpn_graph g(net, 0, hidden.n);
    ggml_tensor * u = build_layers(g, rows(g, hidden.x, 0, hidden.n), nullptr, nullptr);
    ggml_tensor * s = build_head(g, u, img_start, n_img, i_query, general_head);
    set_result(g, s);
    g.compute();
    return read(s);
}

std::vector<float> rpn_head(rpn_net * net, const rpn_hidden & states, int img_start, int n_img, int i_query, bool general) {
    if (general) {
        rpn_head_make_keys(net);
    }
    rpn_graph g(net, 0, states.n);
    ggml_tensor * s = build_head(g, states.x, img_start, n_img, i_query, general);
    set_result(g, s);
    g.compute();
    return read(s);
}
