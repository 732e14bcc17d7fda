#pragma once

// What the addon's classes have in common: each object has a worker, with cancel(id) and close().

#include "args.h"
#include "error.h"
#include "worker.h"

#include <new>

template <typename Self> class worker_wrap : public Napi::ObjectWrap<Self> {
protected:
    std::unique_ptr<worker> w;

    explicit worker_wrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Self>(info), w(new worker(info.Env())) {}

    // a method of the class by its JavaScript name; what it throws has a code
    template <auto method> static Napi::ClassPropertyDescriptor<Self> method_of(const char * name) {
        using callback = Napi::Value (Self::*)(const Napi::CallbackInfo &);
        return Napi::ObjectWrap<Self>::InstanceMethod(name, static_cast<callback>(&worker_wrap::template guarded<method>));
    }

    // the class with its methods and those of every worker
    static Napi::Function define_class(Napi::Env env, const char * name, std::vector<Napi::ClassPropertyDescriptor<Self>> methods) {
        methods.push_back(method_of<&worker_wrap::cancel>("cancel"));
        methods.push_back(method_of<&worker_wrap::close>("close"));
        return Napi::ObjectWrap<Self>::DefineClass(env, name, methods);
    }

private:
    template <auto method> Napi::Value guarded(const Napi::CallbackInfo & info) {
        try {
            return (static_cast<Self *>(this)->*method)(info);
        } catch (const sd_error & e) {
            throw worker_error(info.Env(), e.code, e.what());
        } catch (const std::bad_alloc &) {
            throw worker_error(info.Env(), "OUT_OF_MEMORY", "There is not enough memory for this call");
        }
    }

    Napi::Value cancel(const Napi::CallbackInfo & info) {
        w->cancel(args::id(info[0], "id"));
        return info.Env().Undefined();
    }

    Napi::Value close(const Napi::CallbackInfo &) { return w->close(); }
};
