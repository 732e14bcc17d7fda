// The optimizer's part of training: the mean over the labelled cells, clipping, AdamW.

#include "train-impl.h"

#include "error.h"

#include <algorithm>
#include <cmath>

// sums what the workers have accumulated into the trainer's gradients; returns the norm of all of them together
static double sum_gradients(rpn_trainer * t) {
    rpn_train_graph g(t, false);
    std::vector<ggml_tensor *> sums;
    for (size_t i = 0; i < t->tensors.size(); i++) {
        ggml_tensor * sum = t->tensors[i].g;
        for (size_t w = 1; w < t->workers.size(); w++) {
            sum = ggml_add_inplace(g.ctx.get(), sum, t->workers[w].tensors[i].g);
        }
        ggml_tensor * s = ggml_sum(g.ctx.get(), ggml_sqr(g.ctx.get(), sum));
        ggml_set_output(s);
        ggml_build_forward_expand(g.gf, s);
        sums.push_back(s);
    }
    rpn_train_alloc(t->workers[0], g.gf);
    rpn_train_compute(t->workers[0], g.gf);
    double sum = 0;
    for (ggml_tensor * s : sums) {
        float v = 0;
        ggml_backend_tensor_get(s, &v, 0, sizeof(v));
        sum += v;
    }
    return std::sqrt(sum);
}

static rpn_train_result step(rpn_trainer * t, double lr) {
    rpn_train_result r;
    r.n_cells = t->n_cells;
    r.loss = t->loss_sum / double(t->n_cells);
    r.grad_norm = sum_gradients(t) / double(t->n_cells);
    if (!std::isfinite(r.loss) || !std::isfinite(r.grad_norm)) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Training diverged at step %lld (loss %g, gradient norm %g): use a lower learning rate", (long long) t->n_step + 1, r.loss, r.grad_norm));
    }
    const rpn_train_params & o = t->params;
    // as torch.nn.utils.clip_grad_norm_
    const double clip = o.max_grad_norm > 0 ? std::min(1.0, o.max_grad_norm / (r.grad_norm + 1e-6)) : 1.0;
    const float scale = float(clip / double(t->n_cells));

    rpn_train_graph g(t, false);
    for (const rpn_train_param & p : t->tensors) {
        ggml_tensor * grad = ggml_scale_inplace(g.ctx.get(), p.g, scale);
        ggml_build_forward_expand(g.gf, ggml_opt_step_adamw(g.ctx.get(), p.w, grad, p.m, p.v, t->adamw));
    }
    rpn_train_alloc(t->workers[0], g.gf);
    const double n = double(t->n_step + 1);
    const float numbers[7] = { float(lr), o.beta1, o.beta2, o.eps, o.weight_decay, float(1.0 / (1.0 - std::pow(double(o.beta1), n))),
        float(1.0 / (1.0 - std::pow(double(o.beta2), n))) };
    ggml_backend_tensor_set(t->adamw, numbers, 0, sizeof(numbers));
    rpn_train_compute(t->workers[0], g.gf);
    t->n_step++;
    return r;
}

rpn_train_result rpn_train_step(rpn_trainer * t, double lr) {
    if (!(lr >= 0) || !std::isfinite(lr)) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a number from 0 for the learning rate but received %g", lr));
    }
    if (t->n_cells == 0) {
        throw sd_error("INVALID_ARGUMENT", "Expected at least one labelled cell before a step of training but there was none");
    }
    try {
        const rpn_train_result r = step(t, lr);
        rpn_train_clear(t);
        return r;
    } catch (...) {
        rpn_train_clear(t); // the workers' gradients may be in the sum already
        throw;
    }
}
