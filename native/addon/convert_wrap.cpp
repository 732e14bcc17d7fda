#include "convert_wrap.h"

#include "args.h"
#include "convert/convert.h"
#include "log.h"

Napi::Function convert_wrap::define(Napi::Env env) {
    return define_class(env, "Converter", { method_of<&convert_wrap::run>("run") });
}

convert_wrap::convert_wrap(const Napi::CallbackInfo & info) : worker_wrap(info) {
    w->queue.on_start = [] { sd_log_install(); };
}

// run({ checkpoint, base, out, whole, type, name, threshold }, onProgress?) -> { tensors, bytesRead, bytesWritten, files, fallbacks }
Napi::Value convert_wrap::run(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_convert_params p;
    p.checkpoint = args::string(o.Get("checkpoint"), "checkpoint");
    p.out = args::string(o.Get("out"), "out");
    p.type = args::string(o.Get("type"), "type");
    p.name = args::string(o.Get("name"), "name");
    p.whole = args::boolean(o.Get("whole"), "whole");
    args::for_each(o.Get("base"), "base", [&](const Napi::Value & v) { p.base.push_back(args::string(v, "base")); });
    if (!o.Get("threshold").IsNull()) {
        p.threshold = float(args::number(o.Get("threshold"), "threshold"));
    }

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
        const auto texts = [&](const std::vector<std::string> & list) {
            Napi::Array a = Napi::Array::New(env, list.size());
            for (size_t i = 0; i < list.size(); i++) {
                a.Set(uint32_t(i), Napi::String::New(env, list[i]));
            }
            return a;
        };
        r.Set("files", texts(out.files));
        r.Set("fallbacks", texts(out.fallbacks));
        return r;
    });
}
