#pragma once

// What the jobs of class Model have in common.

#include "model_wrap.h"

// the job's cancel flag is the model's while in scope
struct cancel_scope {
    sd_model & m;
    cancel_scope(sd_model & m, const sd_cancel & cancel) : m(m) { m.cancel = &cancel; }
    ~cancel_scope() { m.cancel = nullptr; }
};

// milliseconds
inline Napi::Object timings_object(Napi::Env env, const sd_timings & t) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("vision", t.vision);
    o.Set("prefill", t.prefill);
    o.Set("rpn", t.rpn);
    o.Set("generate", t.generate);
    return o;
}
