// The network's forward passes: over a prefix, a question after it, or a whole prompt.

#include "rpn-impl.h"

#include "error.h"

#include <algorithm>
#include <numeric>

namespace {

// One graph: its context, and inputs that are filled once it has memory. It keeps no node: what is left of a failed one is its own.
struct rpn_graph {
    static const size_t N_NODES = 4096;

    rpn_net * net;
    ggml_context_ptr ctx;
    ggml_cgraph * gf;
    rpn_pass pass;
    const rpn_positions pos; // of the new tokens
    ggml_tensor * pos_img = nullptr;
    ggml_tensor * pos_query = nullptr;
    ggml_tensor * pos_first = nullptr;
    int img_start = 0, n_img = 0, i_query = 0, n_query = 0;

    rpn_graph(rpn_net * net, int n_past, int n, const rpn_positions & given)
        : net(net)
        , ctx(rpn_context(N_NODES, ggml_graph_overhead_custom(N_NODES, false)))
        , gf(ggml_new_graph_custom(ctx.get(), N_NODES, false))
        , pass{ ctx.get(), net->hp, n_past, n, net->host() }
        , pos(positions(net->hp, n_past, n, given)) {}

    static rpn_positions positions(const rpn_hparams & hp, int n_past, int n, const rpn_positions & given) {
        if (given.empty() && hp.n_pos_rows() == 1) {
            rpn_positions running(n);
            std::iota(running.begin(), running.end(), n_past);
            return running;
        }
        if (given.size() != size_t(hp.n_pos_rows()) * n) {
            throw sd_error(
                "INVALID_ARGUMENT", sd_format("Expected %d rows of positions for %d tokens but received %zu numbers", hp.n_pos_rows(), n, given.size()));
        }
        return given;
    }

    ggml_tensor * rows(ggml_tensor * x, int first, int n) { return ggml_view_2d(ctx.get(), x, x->ne[0], n, x->nb[1], size_t(first) * x->nb[1]); }

    // whole blocks over the new tokens; `past` stands before them, and `keep` takes their keys and values
    ggml_tensor * layers(const std::vector<rpn_block_weights> & blocks, const rpn_hidden & hidden, const rpn_state * past, rpn_state * keep) {
        pass.pos = rpn_pos_input(pass, pass.n);
        pass.mask = rpn_mask_input(pass);
        ggml_tensor * x = rows(hidden.x, 0, pass.n);
        for (size_t il = 0; il < blocks.size(); il++) {
            x = rpn_block(pass, blocks[il], x, [&](ggml_tensor *& k, ggml_tensor *& v) {
                if (keep) {
                    ggml_build_forward_expand(gf, ggml_cpy(ctx.get(), k, keep->k[il]));
                    ggml_build_forward_expand(gf, ggml_cpy(ctx.get(), v, keep->v[il]));
                }
                if (past) {
                    k = ggml_concat(ctx.get(), past->k[il], k, 1);
                    v = ggml_concat(ctx.get(), past->v[il], v, 1);
                }
            });
        }
        return x;
    }

    rpn_image prepare(ggml_tensor * x, rpn_head_kind kind, int start, int n) {
        if (net->hp.head_rope) {
            img_start = start;
            n_img = n;
            pos_img = rpn_pos_input(pass, n);
        }
        return rpn_head_prepare(pass, net->head, kind, rows(x, start, n), pos_img);
    }

    // logits [n_img * n] of the queries first..first+n-1
    ggml_tensor * score(ggml_tensor * x, const rpn_image & image, int first, int n) {
        if (net->hp.head_rope) {
            i_query = first;
            n_query = n;
            pos_query = rpn_pos_input(pass, n);
        }
        return rpn_head_score(pass, net->head, image, rows(x, first, n), pos_query);
    }

    // of a graph over a whole prefix
    ggml_tensor * sink(ggml_tensor * x, const rpn_image & image) {
        pos_first = rpn_pos_input(pass, 1);
        return output(rpn_head_sink(pass, net->head, image, rows(x, 0, 1), pos_first));
    }

    ggml_tensor * output(ggml_tensor * t) {
        ggml_set_output(t);
        ggml_build_forward_expand(gf, t);
        return t;
    }

    std::vector<float> run(ggml_tensor * t) {
        output(t);
        compute();
        return values(t);
    }

    static std::vector<float> values(const ggml_tensor * t) {
        std::vector<float> out(ggml_nelements(t));
        ggml_backend_tensor_get(t, out.data(), 0, out.size() * sizeof(float));
        return out;
    }

    void compute() {
        ggml_backend_sched_t sched = net->sched.get();
        ggml_backend_sched_reset(sched);
        if (!ggml_backend_sched_alloc_graph(sched, gf)) {
            throw sd_error("OUT_OF_MEMORY", sd_format("There is not enough memory for the region proposal network's work on %d tokens", pass.n_past + pass.n));
        }
        rpn_pos_fill(net->hp, pass.pos, pos, pass.n, 0, pass.n);
        rpn_pos_fill(net->hp, pos_img, pos, pass.n, img_start, n_img);
        rpn_pos_fill(net->hp, pos_query, pos, pass.n, i_query, n_query);
        rpn_pos_fill(net->hp, pos_first, pos, pass.n, 0, 1);
        rpn_mask_fill(pass);
        if (ggml_backend_sched_graph_compute(sched, gf) != GGML_STATUS_SUCCESS) {
            throw sd_error("INTERNAL", "The region proposal network's graph failed");
        }
    }
};

// the head's kind, ready for use
rpn_head_kind choose(rpn_net * net, rpn_head_kind kind) {
    if (kind == RPN_HEAD_BEST) {
        kind = rpn_head_best(net->hp, net->head_place());
    }
    if (!rpn_head_allows(net->hp, kind, net->head_place())) {
        throw sd_error("INVALID_ARGUMENT", "Expected a head that this region proposal network allows: it needs keys, or its device has no fused one");
    }
    if (kind == RPN_HEAD_KEYS) {
        rpn_make_keys(net);
    }
    return kind;
}

void check_image(int n, int img_start, int n_img) {
    if (n < 1 || n_img < 1 || img_start < 0 || img_start >= n || n_img > n - img_start) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected image tokens among %d but received %d of them from %d on", n, n_img, img_start));
    }
}

void check_query(int n, int i_query) {
    if (i_query < 0 || i_query >= n) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a query among %d tokens but received %d", n, i_query));
    }
}

// a state without values yet: keys and values of that many layers, and the data of an image where there is one
rpn_state new_state(rpn_net * net, int n, size_t n_layers, int n_img, rpn_head_kind kind) {
    const rpn_hparams & hp = net->hp;
    rpn_state s;
    s.n_past = n;
    s.image.kind = kind;
    s.ctx = rpn_context(n_layers * 2 + 2);
    for (size_t il = 0; il < n_layers; il++) {
        s.k.push_back(ggml_new_tensor_2d(s.ctx.get(), GGML_TYPE_F32, hp.n_kv(), n));
        s.v.push_back(ggml_new_tensor_2d(s.ctx.get(), GGML_TYPE_F32, hp.n_kv(), n));
    }
    if (n_img > 0) {
        s.image.rows = ggml_new_tensor_2d(s.ctx.get(), GGML_TYPE_F32, rpn_head_width(hp, kind), n_img);
    }
    if (n_img > 0 && kind == RPN_HEAD_FUSED) {
        s.image.scale = ggml_new_tensor_1d(s.ctx.get(), GGML_TYPE_F32, n_img);
    }
    s.buf = rpn_place(net->dev, s.ctx.get(), "the region proposal network's state of an image");
    return s;
}

void keep_image(
    rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, rpn_state & state, const rpn_positions & pos, rpn_head_kind head, bool full) {
    check_image(hidden.n, img_start, n_img);
    rpn_state fresh = new_state(net, hidden.n, full ? net->blocks.size() : 0, n_img, choose(net, head));
    rpn_graph g(net, 0, hidden.n, pos);
    ggml_tensor * x = full ? g.layers(net->blocks, hidden, nullptr, &fresh) : hidden.x;
    const rpn_image image = g.prepare(x, fresh.image.kind, img_start, n_img);
    ggml_build_forward_expand(g.gf, ggml_cpy(g.ctx.get(), image.rows, fresh.image.rows));
    if (image.scale) {
        ggml_build_forward_expand(g.gf, ggml_cpy(g.ctx.get(), image.scale, fresh.image.scale));
    }
    const ggml_tensor * sink = full && net->hp.finds_sinks() ? g.sink(x, image) : nullptr;
    g.compute();
    if (sink) {
        fresh.sink = rpn_graph::values(sink);
    }
    state = std::move(fresh);
}

void check_question(const rpn_hidden & hidden) {
    if (hidden.n < 1) {
        throw sd_error("INVALID_ARGUMENT", "Expected a question of at least one token");
    }
}

void check_gate(const rpn_net * net) {
    if (net->gate_blocks.empty()) {
        throw sd_error("INVALID_ARGUMENT", "This region proposal network has no gate");
    }
}

} // namespace

void rpn_prefix(rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, rpn_state & state, const rpn_positions & pos, rpn_head_kind head) {
    keep_image(net, hidden, img_start, n_img, state, pos, head, true);
}

void rpn_head_image(rpn_net * net, const rpn_hidden & states, int img_start, int n_img, rpn_state & state, const rpn_positions & pos, rpn_head_kind head) {
    keep_image(net, states, img_start, n_img, state, pos, head, false);
}

std::vector<float> rpn_query(rpn_net * net, const rpn_state & state, const rpn_hidden & hidden, const rpn_positions & pos, std::vector<float> * most) {
    check_question(hidden);
    rpn_graph g(net, state.n_past, hidden.n, pos);
    ggml_tensor * x = g.layers(net->blocks, hidden, &state, nullptr);
    if (!most) {
        return g.run(g.score(x, state.image, hidden.n - 1, 1));
    }
    if (state.image.kind == RPN_HEAD_KERNEL) {
        throw sd_error("INVALID_ARGUMENT", "Expected another head than the kernel for the logits of all tokens");
    }
    const std::vector<float> all = g.run(g.score(x, state.image, 0, hidden.n)); // token by token
    const size_t n_img = all.size() / hidden.n;
    most->assign(all.begin(), all.begin() + n_img);
    for (size_t i = n_img; i < all.size(); i++) {
        float & greatest = (*most)[i % n_img];
        greatest = std::max(greatest, all[i]);
    }
    return std::vector<float>(all.end() - n_img, all.end());
}

void rpn_gate_prefix(rpn_net * net, const rpn_hidden & hidden, rpn_state & state, const rpn_positions & pos) {
    check_gate(net);
    rpn_state fresh = new_state(net, hidden.n, net->gate_blocks.size(), 0, RPN_HEAD_KEYS);
    rpn_graph g(net, 0, hidden.n, pos);
    g.layers(net->gate_blocks, hidden, nullptr, &fresh);
    g.compute();
    state = std::move(fresh);
}

float rpn_gate_score(rpn_net * net, const rpn_state & state, const rpn_hidden & hidden, const rpn_positions & pos) {
    check_gate(net);
    check_question(hidden);
    rpn_graph g(net, state.n_past, hidden.n, pos);
    ggml_tensor * x = g.layers(net->gate_blocks, hidden, &state, nullptr);
    ggml_tensor * last = g.rows(x, hidden.n - 1, 1);
    ggml_tensor * logit = ggml_add(g.ctx.get(), ggml_sum_rows(g.ctx.get(), ggml_mul(g.ctx.get(), last, net->gate_weight)), net->gate_bias);
    return g.run(ggml_sigmoid(g.ctx.get(), logit))[0];
}

std::vector<float> rpn_head_map(rpn_net * net, const rpn_state & state, const rpn_hidden & states, int i_query, const rpn_positions & pos) {
    check_query(states.n, i_query);
    rpn_graph g(net, 0, states.n, pos);
    return g.run(g.score(states.x, state.image, i_query, 1));
}

std::vector<float> rpn_score(rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, int i_query, const rpn_positions & pos, rpn_head_kind head) {
    check_image(hidden.n, img_start, n_img);
    check_query(hidden.n, i_query);
    const rpn_head_kind kind = choose(net, head);
    rpn_graph g(net, 0, hidden.n, pos);
    ggml_tensor * x = g.layers(net->blocks, hidden, nullptr, nullptr);
    return g.run(g.score(x, g.prepare(x, kind, img_start, n_img), i_query, 1));
}
