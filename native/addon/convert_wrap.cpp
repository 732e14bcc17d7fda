#include "convert_wrap.h"

#include "args.h"
#include "convert.h"
#include "log.h"

Napi::Function convert_wrap::define(Napi::Env env) {
    return define_class(env, "Converter", { method_of<&convert_wrap::run>("run") });
}

convert_wrap::convert_wrap(const Napi::CallbackInfo & info) : worker_wrap(info) {
    w->queue.on_start = [] { sd_log_install(); };
}

// run({ checkpoint, out, type, name, threshold }, onProgress?) -> { tensors, bytesRead, bytesWritten, fallbacks }
Napi::Value convert_wrap::run(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_convert_params p;
    p.checkpoint = args::string(o.Get("checkpoint"), "checkpoint");
    p.out = args::string(o.Get("out"), "out");
    p.type = args::string(o.Get("type"), "type");
    p.name = args::string(o.Get("name"), "name");
    p.threshold = float(args::number(o.Get("threshold"), "threshold"));

    auto job = std::make_shared<worker_job>();
    args::callback(*job, info[1], "onProgress");
    auto run = [p, wp = w.get()](worker_job & j) {
        sd_convert_params params = p;
        params.progress = [wp, jp = &j](uint64_t done, uint64_t total) { wp->emit(*jp, total ? double(done) / double(total) : 1.0); };
        return sd_convert(params, j.cancel);
    };
    return w->submit(job, run, [](Napi::Env env, const sd_convert_result & out) {
        Napi::Object r = Napi::Object::New(env);
        r.Set("tensors", out.n_tensors);
        r.Set("bytesRead", double(out.bytes_read));
        r.Set("bytesWritten", double(out.bytes_written));
        Napi::Array fallbacks = Napi::Array::New(env, out.fallbacks.size());
        for (size_t i = 0; i < out.fallbacks.size(); i++) {
            fallbacks.Set(uint32_t(i), Napi::String::New(env, out.fallbacks[i]));
        }
        r.Set("fallbacks", fallbacks);
        return r;
    });
}
