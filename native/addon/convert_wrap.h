#pragma once

// class Converter: one conversion of a checkpoint to an RPN file, on its own thread.

#include "worker_wrap.h"

class convert_wrap : public worker_wrap<convert_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    explicit convert_wrap(const Napi::CallbackInfo & info);

private:
    Napi::Value run(const Napi::CallbackInfo & info);
};
