// The addon: four classes, each with its own worker thread. No state is shared between environments.

#include "convert_wrap.h"
#include "image_wrap.h"
#include "model_wrap.h"
#include "rpn_wrap.h"

// shutdown(): ends all work of this environment and waits for its threads; every object is disposed afterwards
static Napi::Value shutdown(const Napi::CallbackInfo & info) {
    worker::stop_all(info.Env());
    return info.Env().Undefined();
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
    exports.Set("Model", model_wrap::define(env));
    exports.Set("Rpn", rpn_wrap::define(env));
    exports.Set("Converter", convert_wrap::define(env));
    exports.Set("Resampler", image_wrap::define(env));
    exports.Set("shutdown", Napi::Function::New<shutdown>(env, "shutdown"));
    return exports;
}

NODE_API_MODULE(sd_rpn, init)
