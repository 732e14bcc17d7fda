#include "rpn_wrap.h"

#include "args.h"
#include "backend.h"
#include "error.h"

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
    return o;
}

Napi::Function rpn_wrap::define(Napi::Env env) {
    return DefineClass(env, "Rpn", {
        InstanceMethod<&rpn_wrap::load>("load"),
        InstanceMethod<&rpn_wrap::score>("score"),
        InstanceMethod<&rpn_wrap::cancel>("cancel"),
        InstanceMethod<&rpn_wrap::close>("close"),
    });
}

rpn_wrap::rpn_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info), c(new core), w(new worker(info.Env())) {
    auto core = c;
    w->on_start = [] {
        sd_backend_init();
        worker::stop_at_exit();
    };
    w->on_stop = [core] {
        core->hidden.reset();
        core->net.reset();
    };
}

// load({ path, gpu, threads }) -> info
Napi::Value rpn_wrap::load(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    const std::string path = args::string(o.Get("path"), "path");
    const bool gpu         = args::boolean(o.Get("gpu"), "gpu");
    const int n_threads    = args::integer(o.Get("threads"), "threads", 1);
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) {
        auto hidden = std::make_unique<rpn_hidden>();
        core->net    = rpn_load(path, gpu ? sd_backend_gpu() : nullptr, n_threads);
        core->hidden = std::move(hidden);
    };
    job->result = [core](Napi::Env env) -> Napi::Value {
        return rpn_info_object(env, rpn_get_hparams(core->net.get()));
    };
    return w->submit(job);
}

// score(hidden, tokens, imageStart, imageTokens, queryIndex) -> Float32Array [imageTokens]
Napi::Value rpn_wrap::score(const Napi::CallbackInfo & info) {
    auto hidden = std::make_shared<std::vector<float>>(args::floats(info[0], "hidden"));
    const int n     = args::integer(info[1], "tokens", 1);
    const int start = args::integer(info[2], "imageStart", 0);
    const int n_img = args::integer(info[3], "imageTokens", 1);
    const int query = args::integer(info[4], "queryIndex", 0);
    auto out  = std::make_shared<std::vector<float>>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) {
        const int n_embd = rpn_get_hparams(core->net.get()).n_embd;
        if (hidden->size() != size_t(n) * n_embd || int64_t(start) + n_img > n || query >= n) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected %d x %d hidden states with the image and the query inside, but received %zu numbers, image tokens %d to %d and query %d",
                n, n_embd, hidden->size(), start, start + n_img, query));
        }
        rpn_hidden_reset(core->net.get(), *core->hidden, n);
        rpn_hidden_set(*core->hidden, hidden->data(), n);
        *out = rpn_score(core->net.get(), *core->hidden, start, n_img, query);
    };
    job->result = [out](Napi::Env env) -> Napi::Value { return args::to_float32(env, *out); };
    return w->submit(job);
}

Napi::Value rpn_wrap::cancel(const Napi::CallbackInfo & info) {
    w->cancel(uint64_t(args::number(info[0], "id")));
    return info.Env().Undefined();
}

Napi::Value rpn_wrap::close(const Napi::CallbackInfo &) {
    return w->close();
}
