#pragma once

// Reading arguments that JavaScript has checked already: native trusts nothing, so each is checked again, and a wrong
// one is INVALID_ARGUMENT instead of undefined behaviour.

#include "worker.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace args {

inline Napi::Error expected(Napi::Env env, const char * what, const std::string & name) {
    return worker_error(env, "INVALID_ARGUMENT", "Expected " + std::string(what) + " for " + name);
}

inline std::string string(const Napi::Value & v, const std::string & name) {
    if (!v.IsString()) {
        throw expected(v.Env(), "a string", name);
    }
    return v.As<Napi::String>().Utf8Value();
}

inline bool boolean(const Napi::Value & v, const std::string & name) {
    if (!v.IsBoolean()) {
        throw expected(v.Env(), "a boolean", name);
    }
    return v.As<Napi::Boolean>().Value();
}

inline double number(const Napi::Value & v, const std::string & name) {
    if (!v.IsNumber() || !std::isfinite(v.As<Napi::Number>().DoubleValue())) {
        throw expected(v.Env(), "a finite number", name);
    }
    return v.As<Napi::Number>().DoubleValue();
}

inline int integer(const Napi::Value & v, const std::string & name, int min = std::numeric_limits<int>::min()) {
    const double d = number(v, name);
    if (d != std::floor(d) || d < min || d > std::numeric_limits<int>::max()) {
        throw expected(v.Env(), "an integer in range", name);
    }
    return int(d);
}

inline Napi::Object object(const Napi::Value & v, const std::string & name) {
    if (!v.IsObject()) {
        throw expected(v.Env(), "an object", name);
    }
    return v.As<Napi::Object>();
}

// the bytes are copied: the caller may reuse its buffer at once
inline std::vector<uint8_t> bytes(const Napi::Value & v, const std::string & name) {
    if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        throw expected(v.Env(), "a Uint8Array", name);
    }
    Napi::Uint8Array a = v.As<Napi::Uint8Array>();
    return std::vector<uint8_t>(a.Data(), a.Data() + a.ElementLength());
}

inline std::vector<float> floats(const Napi::Value & v, const std::string & name) {
    if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
        throw expected(v.Env(), "a Float32Array", name);
    }
    Napi::Float32Array a = v.As<Napi::Float32Array>();
    return std::vector<float>(a.Data(), a.Data() + a.ElementLength());
}

inline std::vector<int32_t> int32s(const Napi::Value & v, const std::string & name) {
    if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
        throw expected(v.Env(), "an Int32Array", name);
    }
    Napi::Int32Array a = v.As<Napi::Int32Array>();
    return std::vector<int32_t>(a.Data(), a.Data() + a.ElementLength());
}

// a callback of the job, or none where undefined
inline void callback(worker_job & job, const Napi::Value & v, const std::string & name) {
    std::unique_ptr<Napi::FunctionReference> ref;
    if (v.IsFunction()) {
        ref = std::make_unique<Napi::FunctionReference>(Napi::Persistent(v.As<Napi::Function>()));
    } else if (!v.IsUndefined() && !v.IsNull()) {
        throw expected(v.Env(), "a function", name);
    }
    job.callbacks.push_back(std::move(ref));
}

inline Napi::Float32Array to_float32(Napi::Env env, const std::vector<float> & v) {
    Napi::Float32Array out = Napi::Float32Array::New(env, v.size());
    if (!v.empty()) {
        memcpy(out.Data(), v.data(), v.size() * sizeof(float));
    }
    return out;
}

} // namespace args
