#include "convert_wrap.h"

#include "args.h"
#include "convert.h"
#include "error.h"
#include "log.h"

Napi::Function convert_wrap::define(Napi::Env env) {
    return DefineClass(env, "Converter", {
        InstanceMethod<&convert_wrap::run>("run"),
        InstanceMethod<&convert_wrap::cancel>("cancel"),
        InstanceMethod<&convert_wrap::close>("close"),
    });
}

convert_wrap::convert_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info), w(new worker(info.Env())) {
    w->on_start = [] { sd_log_install(); };
}

// run({ checkpoint, out, type, name, threshold }, onProgress?) -> { tensors, bytesRead, bytesWritten, fallbacks }
Napi::Value convert_wrap::run(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_convert_params p;
    p.checkpoint = args::string(o.Get("checkpoint"), "checkpoint");
    p.out        = args::string(o.Get("out"), "out");
    p.type       = args::string(o.Get("type"), "type");
    p.name       = args::string(o.Get("name"), "name");
    p.threshold  = float(args::number(o.Get("threshold"), "threshold"));

    auto out = std::make_shared<sd_convert_result>();
    auto job = std::make_shared<worker_job>();
    args::callback(*job, info[1], "onProgress");
    worker * wp = w.get();
    job->run = [=](worker_job & j) {
        sd_convert_params params = p;
        worker_job * jp = &j;
        params.progress = [wp, jp](uint64_t done, uint64_t total) {
            const double f = total ? double(done) / double(total) : 1.0;
            wp->emit(*jp, 0, [f](Napi::Env env) { return std::vector<napi_value>{ Napi::Number::New(env, f) }; });
        };
        *out = sd_convert(params, j.cancel);
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Object r = Napi::Object::New(env);
        r.Set("tensors", out->n_tensors);
        r.Set("bytesRead", double(out->bytes_read));
        r.Set("bytesWritten", double(out->bytes_written));
        Napi::Array fallbacks = Napi::Array::New(env, out->fallbacks.size());
        for (size_t i = 0; i < out->fallbacks.size(); i++) {
            fallbacks.Set(uint32_t(i), Napi::String::New(env, out->fallbacks[i]));
        }
        r.Set("fallbacks", fallbacks);
        return r;
    };
    return w->submit(job);
}

Napi::Value convert_wrap::cancel(const Napi::CallbackInfo & info) {
    w->cancel(uint64_t(args::number(info[0], "id")));
    return info.Env().Undefined();
}

Napi::Value convert_wrap::close(const Napi::CallbackInfo &) {
    return w->close();
}
