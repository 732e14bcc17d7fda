#pragma once

// class Rpn: the region proposal network alone, for research on given hidden states.

#include "worker_wrap.h"

#include "rpn/rpn.h"

class rpn_wrap : public worker_wrap<rpn_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    explicit rpn_wrap(const Napi::CallbackInfo & info);

private:
    struct core {
        rpn_ptr net;
        std::unique_ptr<rpn_hidden> hidden;
    };

    std::shared_ptr<core> c;

    Napi::Value load(const Napi::CallbackInfo & info);
    Napi::Value score(const Napi::CallbackInfo & info);
};

// what a file says about its network, for info
Napi::Object rpn_info_object(Napi::Env env, const rpn_hparams & hp);
