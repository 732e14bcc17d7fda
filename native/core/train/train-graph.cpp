// The network forward and backward for one sample, built from the blocks and the head that inference runs. The head is the one
// with keys: the others fold the key projection into the query, which leaves no gradient for it in a matrix of its own shape.

#include "train-impl.h"

#include "error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

struct sample_graph : rpn_train_graph {
    const rpn_trainer * t;
    const rpn_train_worker & worker;
    const rpn_train_sample & s;
    int n_used; // tokens that count: attention is causal
    int n;      // and some of zeros after them, since ggml's fast products on the CPU want whole blocks of 16

    rpn_pass pass;
    rpn_positions positions;

    ggml_tensor * hidden = nullptr; // [n_embd, n]
    ggml_tensor * pos_img = nullptr;
    ggml_tensor * pos_query = nullptr;
    ggml_tensor * logits = nullptr; // [n_img]
    ggml_tensor * y = nullptr;      // [n_img]: 1 where the label is 1
    ggml_tensor * weight = nullptr; // [n_img]: 1 where there is a label
    ggml_tensor * loss = nullptr;   // sum over the labelled cells

    sample_graph(const rpn_trainer * t, const rpn_train_worker & worker, const rpn_train_sample & s, bool grads)
        : rpn_train_graph(t, grads)
        , t(t)
        , worker(worker)
        , s(s)
        , n_used(std::max(s.i_query + 1, s.img_start + s.n_img))
        , n(GGML_PAD(n_used, 16))
        , pass{ ctx.get(), t->hp, 0, n } {
        if (s.positions) {
            positions.assign(s.positions, s.positions + size_t(t->hp.n_pos_rows()) * s.n_tokens);
        } else {
            positions.resize(s.n_tokens);
            std::iota(positions.begin(), positions.end(), 0);
        }
    }

    ggml_tensor * param(const std::string & name) const { return rpn_train_find(worker.tensors, name).w; }

    ggml_tensor * input(ggml_type type, int64_t ne0, int64_t ne1) {
        ggml_tensor * x = ggml_new_tensor_2d(ctx.get(), type, ne0, ne1);
        ggml_set_input(x);
        return x;
    }

    void build_logits() {
        const rpn_hparams & hp = t->hp;
        auto by_name = [&](const std::string & name) { return param(name); };
        auto rows = [&](ggml_tensor * x, int first, int n_rows) { return ggml_view_2d(ctx.get(), x, x->ne[0], n_rows, x->nb[1], size_t(first) * x->nb[1]); };
        hidden = input(GGML_TYPE_F32, hp.n_embd, n);
        pass.pos = rpn_pos_input(pass, n);
        pass.mask = rpn_mask_input(pass);
        if (hp.head_rope) {
            pos_img = rpn_pos_input(pass, s.n_img);
            pos_query = rpn_pos_input(pass, 1);
        }
        ggml_tensor * x = hidden;
        for (int il = 0; il < hp.n_block - 1; il++) {
            x = rpn_block(pass, rpn_block_find(hp, il, by_name), x);
        }
        rpn_head_weights head;
        head.norm = hp.head_norm ? param("output_norm.weight") : nullptr;
        head.block = rpn_block_find(hp, hp.n_block - 1, by_name);
        const rpn_image image = rpn_head_prepare(pass, head, RPN_HEAD_KEYS, rows(x, s.img_start, s.n_img), pos_img);
        logits = rpn_head_score(pass, head, image, rows(x, s.i_query, 1), pos_query);
        ggml_set_output(logits);
        ggml_build_forward_expand(gf, logits);
    }

    // BCE with logits z is softplus(z) - z y
    void build_loss() {
        ggml_context * c = ctx.get();
        y = input(GGML_TYPE_F32, s.n_img, 1);
        weight = input(GGML_TYPE_F32, s.n_img, 1);
        ggml_tensor * bce = ggml_sub(c, ggml_softplus(c, logits), ggml_mul(c, logits, y));
        loss = ggml_sum(c, ggml_mul(c, bce, weight));
        ggml_set_loss(loss);
        ggml_set_output(loss);
        ggml_build_forward_expand(gf, loss);
    }

    // gradients are added to those of the worker
    void build_backward() {
        std::vector<ggml_tensor *> accs(size_t(ggml_graph_n_nodes(gf)), nullptr);
        for (size_t i = 0; i < accs.size(); i++) {
            const ggml_tensor * node = ggml_graph_node(gf, int(i));
            if (node == loss) {
                accs[i] = worker.one;
            }
            for (const rpn_train_param & p : worker.tensors) {
                if (node == p.w) {
                    accs[i] = p.g;
                }
            }
        }
        ggml_build_backward_expand(ctx.get(), gf, accs.data());
    }

    void set(ggml_tensor * x, const std::vector<float> & v) { ggml_backend_tensor_set(x, v.data(), 0, v.size() * sizeof(float)); }

    void compute() {
        rpn_train_alloc(worker, gf);
        const size_t used = size_t(n_used) * hidden->nb[1];
        ggml_backend_tensor_set(hidden, s.hidden, 0, used);
        ggml_backend_tensor_memset(hidden, 0, used, ggml_nbytes(hidden) - used);
        rpn_pos_fill(t->hp, pass.pos, positions, s.n_tokens, 0, n);
        rpn_pos_fill(t->hp, pos_img, positions, s.n_tokens, s.img_start, s.n_img);
        rpn_pos_fill(t->hp, pos_query, positions, s.n_tokens, s.i_query, 1);
        rpn_mask_fill(pass);
        if (loss) {
            std::vector<float> ys(s.n_img), ws(s.n_img);
            for (int i = 0; i < s.n_img; i++) {
                ys[i] = s.labels[i] == 1 ? 1.0f : 0.0f;
                ws[i] = s.labels[i] == -100 ? 0.0f : 1.0f;
            }
            set(y, ys);
            set(weight, ws);
        }
        rpn_train_compute(worker, gf);
    }
};

// number of labelled cells
int64_t check_labels(const rpn_train_sample & s) {
    if (!s.labels) {
        throw sd_error("INVALID_ARGUMENT", "Expected labels for a sample but received none");
    }
    int64_t n_cells = 0;
    for (int i = 0; i < s.n_img; i++) {
        const int label = s.labels[i];
        if (label != 1 && label != 0 && label != -100) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected 1, 0 or -100 for the label of cell %d but received %d", i, label));
        }
        n_cells += label != -100;
    }
    return n_cells;
}

void check_sample(const rpn_trainer * t, const rpn_train_sample & s) {
    const bool ok = s.hidden && s.n_tokens > 0 && s.n_tokens <= 1 << 20 && s.n_img > 0 && s.img_start >= 0 && s.img_start < s.n_tokens
        && s.n_img <= s.n_tokens - s.img_start && s.i_query >= 0 && s.i_query < s.n_tokens;
    if (!ok) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Expected image tokens and a query within the prompt but received %d tokens, %d of the image from %d, query %d", s.n_tokens, s.n_img,
                s.img_start, s.i_query));
    }
    if (!s.positions && t->hp.n_pos_rows() != 1) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected %d rows of positions for a sample but received none", t->hp.n_pos_rows()));
    }
    const size_t n_values = size_t(s.n_tokens) * t->hp.n_embd;
    for (size_t i = 0; i < n_values; i++) {
        if (!std::isfinite(s.hidden[i])) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected finite hidden states but received %g for token %zu", double(s.hidden[i]), i / t->hp.n_embd));
        }
    }
}

} // namespace

double rpn_train_accumulate(rpn_trainer * t, const std::vector<rpn_train_sample> & samples) {
    std::vector<int64_t> n_cells(samples.size());
    for (size_t i = 0; i < samples.size(); i++) {
        check_sample(t, samples[i]);
        n_cells[i] = check_labels(samples[i]);
    }
    std::vector<float> sums(samples.size(), 0.0f);
    auto add = [&](const rpn_train_worker & worker, size_t i) {
        if (n_cells[i] == 0) {
            return;
        }
        sample_graph g(t, worker, samples[i], true);
        g.build_logits();
        g.build_loss();
        g.build_backward();
        g.compute();
        ggml_backend_tensor_get(g.loss, &sums[i], 0, sizeof(float));
    };
    try {
        rpn_train_parallel(t, samples.size(), add);
    } catch (...) {
        rpn_train_clear(t); // some samples are in it and some are not
        throw;
    }
    const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
    const int64_t n = std::accumulate(n_cells.begin(), n_cells.end(), int64_t(0));
    t->loss_sum += sum;
    t->n_cells += n;
    return n ? sum / double(n) : 0;
}

double rpn_train_accumulate(rpn_trainer * t, const rpn_train_sample & s) {
    return rpn_train_accumulate(t, std::vector<rpn_train_sample>{ s });
}

static std::vector<float> score(const rpn_trainer * t, const rpn_train_worker & worker, const rpn_train_sample & s) {
    sample_graph g(t, worker, s, false);
    g.build_logits();
    g.compute();
    std::vector<float> out(s.n_img);
    ggml_backend_tensor_get(g.logits, out.data(), 0, out.size() * sizeof(float));
    return out;
}

std::vector<float> rpn_train_score(rpn_trainer * t, const rpn_train_sample & s) {
    check_sample(t, s);
    return score(t, t->workers[0], s);
}

static void measure(const rpn_train_sample & s, const std::vector<float> & logits, rpn_train_metrics & m) {
    for (int i = 0; i < s.n_img; i++) {
        const int label = s.labels[i];
        if (label == -100) {
            continue;
        }
        const double z = logits[i];
        m.loss_sum += std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z))) - z * label;
        const bool positive = z > 0; // probability above 0.5
        m.n_cells++;
        m.n_true_pos += positive && label;
        m.n_false_pos += positive && !label;
        m.n_false_neg += !positive && label;
    }
}

void rpn_train_eval(rpn_trainer * t, const std::vector<rpn_train_sample> & samples, rpn_train_metrics & m) {
    for (const rpn_train_sample & s : samples) {
        check_sample(t, s);
        check_labels(s);
    }
    std::vector<std::vector<float>> logits(samples.size());
    rpn_train_parallel(t, samples.size(), [&](const rpn_train_worker & worker, size_t i) { logits[i] = score(t, worker, samples[i]); });
    for (size_t i = 0; i < samples.size(); i++) {
        measure(samples[i], logits[i], m);
    }
}

void rpn_train_eval(rpn_trainer * t, const rpn_train_sample & s, rpn_train_metrics & m) {
    rpn_train_eval(t, std::vector<rpn_train_sample>{ s }, m);
}
