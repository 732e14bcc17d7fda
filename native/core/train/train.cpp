#include "train-impl.h"

#include "backend.h"
#include "error.h"

#include "ggml-cpu.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <thread>

void rpn_trainer_deleter::operator()(rpn_trainer * t) const {
    delete t;
}

static void check_params(const rpn_train_params & p) {
    auto number = [](bool ok, const char * name, const char * range, double v) {
        if (!ok) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected %s for %s but received %g", range, name, v));
        }
    };
    number(p.beta1 >= 0 && p.beta1 < 1, "beta1", "a number from 0 to below 1", p.beta1);
    number(p.beta2 >= 0 && p.beta2 < 1, "beta2", "a number from 0 to below 1", p.beta2);
    number(p.eps > 0 && std::isfinite(p.eps), "eps", "a positive number", p.eps);
    number(p.weight_decay >= 0 && std::isfinite(p.weight_decay), "weightDecay", "a number from 0", p.weight_decay);
    number(p.max_grad_norm >= 0 && std::isfinite(p.max_grad_norm), "maxGradNorm", "a number from 0", p.max_grad_norm);
    number(p.n_threads >= 1 && p.n_threads <= 512, "threads", "an integer from 1 to 512", p.n_threads);
    number(p.n_workers >= 1 && p.n_workers <= 64, "workers", "an integer from 1 to 64", p.n_workers);
}

static void make_tensors(rpn_trainer * t) {
    const std::vector<rpn_file_tensor> files = rpn_file_tensors(t->hp, GGML_TYPE_F32);
    t->ctx = rpn_context(files.size() * 4 + 2);
    ggml_context * ctx = t->ctx.get();
    for (const rpn_file_tensor & f : files) {
        rpn_train_param p;
        p.name = f.name;
        for (ggml_tensor ** x : { &p.w, &p.g, &p.m, &p.v }) {
            *x = f.ne1 ? ggml_new_tensor_2d(ctx, GGML_TYPE_F32, f.ne0, f.ne1) : ggml_new_tensor_1d(ctx, GGML_TYPE_F32, f.ne0);
        }
        ggml_set_name(p.w, f.name.c_str());
        ggml_set_param(p.w);
        t->tensors.push_back(p);
    }
    t->one = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, 1);
    t->adamw = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, 7);
    t->buf = rpn_place(t->dev, ctx, "the weights, gradients and moments of training");
    ggml_backend_buffer_set_usage(t->buf.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS); // computed where they lie
    ggml_backend_buffer_clear(t->buf.get(), 0);
}

static void make_worker(rpn_trainer * t, rpn_train_worker & w, bool first) {
    w.backend.reset(ggml_backend_dev_init(t->dev, nullptr));
    if (!w.backend) {
        throw sd_error("BACKEND_UNAVAILABLE", "The device " + sd_backend_device(t->dev) + " could not be started");
    }
    std::vector<ggml_backend_t> backends = { w.backend.get() };
    if (t->dev != sd_backend_cpu()) {
        w.backend_cpu.reset(ggml_backend_dev_init(sd_backend_cpu(), nullptr));
        backends.push_back(w.backend_cpu.get());
    }
    ggml_backend_cpu_set_n_threads(backends.back(), t->params.n_threads);
    w.sched.reset(ggml_backend_sched_new(backends.data(), nullptr, int(backends.size()), size_t(t->n_nodes), false, true));

    w.tensors = t->tensors;
    w.one = t->one;
    if (first) {
        return;
    }
    w.ctx = rpn_context(w.tensors.size() * 2 + 1);
    auto same_memory = [&](ggml_tensor * x) {
        ggml_tensor * y = ggml_dup_tensor(w.ctx.get(), x);
        ggml_backend_tensor_alloc(t->buf.get(), y, x->data);
        return y;
    };
    for (rpn_train_param & p : w.tensors) {
        p.w = same_memory(p.w);
        p.g = ggml_dup_tensor(w.ctx.get(), p.g);
        ggml_set_param(p.w);
    }
    w.one = same_memory(t->one);
    w.buf = rpn_place(t->dev, w.ctx.get(), "the gradients of one more worker: train with fewer workers");
    ggml_backend_buffer_set_usage(w.buf.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ggml_backend_buffer_clear(w.buf.get(), 0);
}

rpn_trainer_ptr rpn_train_init(const rpn_weights & start, const rpn_train_params & params, ggml_backend_device * dev) {
    sd_backend_init();
    check_params(params);
    rpn_trainer_ptr t(new rpn_trainer);
    t->hp = start.hp;
    t->name = start.name;
    t->params = params;
    t->dev = dev ? dev : sd_backend_cpu();
    make_tensors(t.get());
    for (const rpn_train_param & p : t->tensors) {
        const auto it = start.tensors.find(p.name);
        if (it == start.tensors.end() || it->second.size() != size_t(ggml_nelements(p.w))) {
            throw sd_error("INVALID_ARGUMENT",
                sd_format("Expected %lld values for %s but received %zu", (long long) ggml_nelements(p.w), p.name.c_str(),
                    it == start.tensors.end() ? size_t(0) : it->second.size()));
        }
        ggml_backend_tensor_set(p.w, it->second.data(), 0, ggml_nbytes(p.w));
    }
    for (const rpn_file_tensor & f : rpn_gate_tensors(t->hp, GGML_TYPE_F32)) {
        t->gate[f.name] = start.tensors.at(f.name);
    }
    const float one = 1.0f;
    ggml_backend_tensor_set(t->one, &one, 0, sizeof(one));

    t->workers.resize(t->dev == sd_backend_cpu() ? size_t(params.n_workers) : 1);
    t->n_nodes = 512 + 256 * t->hp.n_block + int(t->workers.size() * t->tensors.size());
    for (size_t i = 0; i < t->workers.size(); i++) {
        make_worker(t.get(), t->workers[i], i == 0);
    }
    return t;
}

rpn_train_graph::rpn_train_graph(const rpn_trainer * t, bool grads) {
    const size_t n = size_t(t->n_nodes);
    ctx = rpn_context(n, ggml_graph_overhead_custom(n, grads));
    gf = ggml_new_graph_custom(ctx.get(), n, grads);
}

void rpn_train_alloc(const rpn_train_worker & w, ggml_cgraph * gf) {
    ggml_backend_sched_reset(w.sched.get());
    if (!ggml_backend_sched_alloc_graph(w.sched.get(), gf)) {
        throw sd_error("OUT_OF_MEMORY", "There is not enough memory for the work buffer of training");
    }
}

void rpn_train_compute(const rpn_train_worker & w, ggml_cgraph * gf) {
    if (ggml_backend_sched_graph_compute(w.sched.get(), gf) != GGML_STATUS_SUCCESS) {
        throw sd_error("INTERNAL", "A graph of training failed");
    }
}

void rpn_train_parallel(const rpn_trainer * t, size_t n, const std::function<void(const rpn_train_worker &, size_t)> & task) {
    const size_t n_workers = std::min(n, t->workers.size());
    std::vector<std::exception_ptr> errors(n_workers);
    // which worker computes a sample is fixed, and so is the order of every sum
    auto run = [&](size_t worker) {
        try {
            for (size_t i = worker; i < n; i += n_workers) {
                if (t->cancel && t->cancel->load(std::memory_order_relaxed)) {
                    throw sd_error("ABORTED", "The operation was aborted");
                }
                task(t->workers[worker], i);
            }
        } catch (...) {
            errors[worker] = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    for (size_t worker = 1; worker < n_workers; worker++) {
        try {
            threads.emplace_back(run, worker);
        } catch (const std::exception &) {
            run(worker); // no more threads to be had, or no memory for one
        }
    }
    if (n_workers) {
        run(0);
    }
    for (std::thread & thread : threads) {
        thread.join();
    }
    for (const std::exception_ptr & e : errors) {
        if (e) {
            std::rethrow_exception(e);
        }
    }
}

void rpn_train_clear(rpn_trainer * t) {
    for (const rpn_train_worker & w : t->workers) {
        for (const rpn_train_param & p : w.tensors) {
            ggml_backend_tensor_memset(p.g, 0, 0, ggml_nbytes(p.g));
        }
    }
    t->loss_sum = 0;
    t->n_cells = 0;
}

const rpn_train_param & rpn_train_find(const std::vector<rpn_train_param> & tensors, const std::string & name) {
    for (const rpn_train_param & p : tensors) {
        if (p.name == name) {
            return p;
        }
    }
    throw sd_error("INVALID_ARGUMENT", "There is no tensor " + name + " in a region proposal network of this size");
}

int64_t rpn_train_n_steps(const rpn_trainer * t) {
    return t->n_step;
}

void rpn_train_set_cancel(rpn_trainer * t, const std::atomic<bool> * cancel) {
    t->cancel = cancel;
}

const rpn_hparams & rpn_train_hparams(const rpn_trainer * t) {
    return t->hp;
}

std::vector<float> rpn_train_tensor(const rpn_trainer * t, const std::string & name, char what) {
    const rpn_train_param & p = rpn_train_find(t->tensors, name);
    const ggml_tensor * x = what == 'w' ? p.w : what == 'g' ? p.g : what == 'm' ? p.m : what == 'v' ? p.v : nullptr;
    if (!x) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected one of w, g, m, v but received %c", what));
    }
    std::vector<float> out(ggml_nelements(x));
    ggml_backend_tensor_get(x, out.data(), 0, ggml_nbytes(x));
    if (what == 'g') {
        std::vector<float> more(out.size());
        for (size_t i = 1; i < t->workers.size(); i++) {
            ggml_backend_tensor_get(rpn_train_find(t->workers[i].tensors, name).g, more.data(), 0, ggml_nbytes(x));
            std::transform(out.begin(), out.end(), more.begin(), out.begin(), std::plus<float>());
        }
        for (float & v : out) {
            v = float(v / double(std::max<int64_t>(1, t->n_cells)));
        }
    }
    return out;
}
