#pragma once

// Reads arguments. JavaScript has checked them already, but native code trusts nothing: each is checked again, and a wrong
// one is INVALID_ARGUMENT instead of undefined behaviour.

#include "worker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

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

// a whole number from 0 that a double holds exactly
inline uint64_t id(const Napi::Value & v, const std::string & name, double max = 9007199254740991.0) {
    const double d = number(v, name);
    if (d != std::floor(d) || d < 0 || d > max) {
        throw expected(v.Env(), "an integer in range", name);
    }
    return uint64_t(d);
}

inline Napi::Object object(const Napi::Value & v, const std::string & name) {
    if (!v.IsObject()) {
        throw expected(v.Env(), "an object", name);
    }
    return v.As<Napi::Object>();
}

template <typename T> constexpr napi_typedarray_type array_type() {
    return std::is_same_v<T, uint8_t> ? napi_uint8_array
        : std::is_same_v<T, int8_t>   ? napi_int8_array
        : std::is_same_v<T, int32_t>  ? napi_int32_array
                                      : napi_float32_array;
}

template <typename T> Napi::TypedArrayOf<T> array(const Napi::Value & v, const std::string & name) {
    static const char * what[] = { "an Int8Array", "a Uint8Array", "", "", "", "an Int32Array", "", "a Float32Array" }; // by napi_typedarray_type
    if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != array_type<T>()) {
        throw expected(v.Env(), what[array_type<T>()], name);
    }
    return v.As<Napi::TypedArrayOf<T>>();
}

// copied: the caller may reuse its buffer at once
template <typename T> std::vector<T> copy(const Napi::Value & v, const std::string & name) {
    const Napi::TypedArrayOf<T> a = array<T>(v, name);
    return std::vector<T>(a.Data(), a.Data() + a.ElementLength());
}

inline std::vector<uint8_t> bytes(const Napi::Value & v, const std::string & name) {
    return copy<uint8_t>(v, name);
}
inline std::vector<float> floats(const Napi::Value & v, const std::string & name) {
    return copy<float>(v, name);
}
inline std::vector<int32_t> int32s(const Napi::Value & v, const std::string & name) {
    return copy<int32_t>(v, name);
}

// each(element) for those of an array
template <typename Each> void for_each(const Napi::Value & v, const std::string & name, Each each) {
    if (!v.IsArray()) {
        throw expected(v.Env(), "an array", name);
    }
    const Napi::Array a = v.As<Napi::Array>();
    for (uint32_t i = 0; i < a.Length(); i++) {
        each(Napi::Value(a.Get(i)));
    }
}

// the job's callback, or none where undefined
inline void callback(worker_job & job, const Napi::Value & v, const std::string & name) {
    if (v.IsFunction()) {
        job.callback = std::make_unique<Napi::FunctionReference>(Napi::Persistent(v.As<Napi::Function>()));
    } else if (!v.IsUndefined() && !v.IsNull()) {
        throw expected(v.Env(), "a function", name);
    }
}

template <typename T> Napi::TypedArrayOf<T> to_array(Napi::Env env, const std::vector<T> & v) {
    Napi::TypedArrayOf<T> out = Napi::TypedArrayOf<T>::New(env, v.size());
    std::copy(v.begin(), v.end(), out.Data());
    return out;
}

} // namespace args
