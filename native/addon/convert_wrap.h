#pragma once

// class Converter: one conversion of a checkpoint to an RPN file, on its own thread.

#include "worker.h"

class convert_wrap : public Napi::ObjectWrap<convert_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    explicit convert_wrap(const Napi::CallbackInfo & info);

private:
    std::unique_ptr<worker> w;

    Napi::Value run(const Napi::CallbackInfo & info);
    Napi::Value cancel(const Napi::CallbackInfo & info);
    Napi::Value close(const Napi::CallbackInfo & info);
};
