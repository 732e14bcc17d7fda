#pragma once

// class Resampler: scales decoded pictures, on a thread of its own so that crops do not wait behind a model's work.

#include "worker.h"

class image_wrap : public Napi::ObjectWrap<image_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    explicit image_wrap(const Napi::CallbackInfo & info);

private:
    std::unique_ptr<worker> w;

    Napi::Value run(const Napi::CallbackInfo & info);
    Napi::Value cancel(const Napi::CallbackInfo & info);
    Napi::Value close(const Napi::CallbackInfo & info);
};
