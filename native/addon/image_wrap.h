#pragma once

// class Resampler: scales decoded pictures and lays them on a background, on a thread of its own so that crops do not wait behind a model's work.

#include "worker_wrap.h"

class image_wrap : public worker_wrap<image_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    explicit image_wrap(const Napi::CallbackInfo & info) : worker_wrap(info) {}

private:
    Napi::Value run(const Napi::CallbackInfo & info);
    Napi::Value flatten(const Napi::CallbackInfo & info);
};
