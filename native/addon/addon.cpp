// The addon: four classes, each with its own worker thread. No state is shared between environments.

#include "args.h"
#include "convert_wrap.h"
#include "image_wrap.h"
#include "model_wrap.h"
#include "rpn_wrap.h"
#include "schema.h"

// shutdown(): ends all work of this environment and waits for its threads; every object is disposed afterwards
static Napi::Value shutdown(const Napi::CallbackInfo & info) {
    worker::stop_all(info.Env());
    return info.Env().Undefined();
}

// grammarOfSchema(json) -> text; throws an Error with a code
static Napi::Value grammar_of_schema(const Napi::CallbackInfo & info) {
    try {
        return Napi::String::New(info.Env(), sd_grammar_of_schema(args::string(info[0], "json")));
    } catch (const sd_error & e) {
        throw worker_error(info.Env(), e.code, e.what());
    } catch (const std::bad_alloc &) {
        throw worker_error(info.Env(), "OUT_OF_MEMORY", "There is not enough memory for this call");
    }
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
    exports.Set("Model", model_wrap::define(env));
    exports.Set("Rpn", rpn_wrap::define(env));
    exports.Set("Converter", convert_wrap::define(env));
    exports.Set("Resampler", image_wrap::define(env));
    exports.Set("grammarOfSchema", Napi::Function::New<grammar_of_schema>(env, "grammarOfSchema"));
    exports.Set("shutdown", Napi::Function::New<shutdown>(env, "shutdown"));
    return exports;
}

NODE_API_MODULE(sd_rpn, init)
