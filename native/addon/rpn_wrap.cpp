#include "rpn_wrap.h"

#include "args.h"
#include "backend.h"

Napi::Object rpn_info_object(Napi::Env env, const rpn_hparams & hp) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("branchLayer", hp.branch);
    o.Set("blockCount", hp.n_block);
    o.Set("embeddingLength", hp.n_embd);
    o.Set("headCount", hp.n_head);
    o.Set("threshold", hp.threshold);
    o.Set("type", hp.type);
    o.Set("baseName", hp.base_name);
    o.Set("baseVocabSize", hp.base_n_vocab);
    o.Set("kind", hp.kind);
    o.Set("roiPositions", hp.roi_positions_aligned ? "aligned" : "fresh");
    o.Set("imageTokens", env.Null());
    if (hp.image_tokens_max) {
        Napi::Object budget = Napi::Object::New(env);
        budget.Set("min", hp.image_tokens_min);
        budget.Set("max", hp.image_tokens_max);
        o.Set("imageTokens", budget);
    }
    o.Set("gate", env.Null());
    if (hp.n_gate_block) {
        Napi::Object gate = Napi::Object::New(env);
        gate.Set("blockCount", hp.n_gate_block);
        gate.Set("threshold", hp.gate_threshold);
        o.Set("gate", gate);
    }
    return o;
}

Napi::Function rpn_wrap::define(Napi::Env env) {
    return define_class(env, "Rpn",
        {
            method_of<&rpn_wrap::load>("load"),
            method_of<&rpn_wrap::score>("score"),
        });
}

rpn_wrap::rpn_wrap(const Napi::CallbackInfo & info) : worker_wrap(info), c(new core) {
    w->queue.on_start = [] {
        sd_backend_init();
        worker::stop_at_exit();
    };
    w->queue.on_stop = [core = c] {
        core->hidden.reset();
        core->net.reset();
    };
}

// load({ path, gpu, threads }) -> info
Napi::Value rpn_wrap::load(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    const std::string path = args::string(o.Get("path"), "path");
    const bool gpu = args::boolean(o.Get("gpu"), "gpu");
    const int n_threads = args::integer(o.Get("threads"), "threads", 1);
    auto run = [=, core = c](worker_job &) {
        rpn_ptr net = rpn_load(path, gpu ? sd_backend_gpu() : nullptr, n_threads);
        auto hidden = std::make_unique<rpn_hidden>();
        core->hidden = std::move(hidden); // the old one goes before its network
        core->net = std::move(net);
        return rpn_get_hparams(core->net.get());
    };
    return w->submit(std::make_shared<worker_job>(), run, rpn_info_object);
}

// score(hidden, tokens, imageStart, imageTokens, queryIndex) -> Float32Array [imageTokens]
Napi::Value rpn_wrap::score(const Napi::CallbackInfo & info) {
    const int n = args::integer(info[1], "tokens", 1);
    const int start = args::integer(info[2], "imageStart", 0);
    const int n_img = args::integer(info[3], "imageTokens", 1);
    const int query = args::integer(info[4], "queryIndex", 0);
    auto run = [=, core = c, hidden = args::floats(info[0], "hidden")](worker_job &) {
        if (!core->hidden) {
            throw sd_error("INVALID_ARGUMENT", "The network was not loaded: call load first");
        }
        const int n_embd = rpn_get_hparams(core->net.get()).n_embd;
        if (hidden.size() != size_t(n) * n_embd || int64_t(start) + n_img > n || query >= n) {
            throw sd_error("INVALID_ARGUMENT",
                sd_format("Expected %d x %d hidden states with the image and the query inside, but received %zu numbers, image tokens %d to %d and query %d", n,
                    n_embd, hidden.size(), start, start + n_img, query));
        }
        rpn_hidden_reset(core->net.get(), *core->hidden, n);
        rpn_hidden_set(*core->hidden, hidden.data(), n);
        return rpn_score(core->net.get(), *core->hidden, start, n_img, query);
    };
    return w->submit(std::make_shared<worker_job>(), std::move(run), args::to_array<float>);
}
