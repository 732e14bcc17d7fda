#pragma once

// Shared by the jobs of class Model.

#include "model_wrap.h"

// the job's cancel flag is the model's while in scope
struct cancel_scope {
    sd_model & m;
    cancel_scope(sd_model & m, const sd_cancel & cancel) : m(m) { m.cancel = &cancel; }
    ~cancel_scope() { m.cancel = nullptr; }
};

template <typename Run, typename... Convert>
Napi::Value model_wrap::on_model(worker_job_ptr job, Run run, Convert... convert) {
    auto body = [c = c, run = std::move(run)](worker_job & j) mutable {
        if (!c->model) {
            throw sd_error("INVALID_ARGUMENT", "The model was not loaded: call load first, once");
        }
        cancel_scope scope(*c->model, j.cancel);
        return run(*c, j);
    };
    return w->submit(std::move(job), std::move(body), std::move(convert)...);
}

template <typename Run, typename... Convert>
Napi::Value model_wrap::on_model(Run run, Convert... convert) {
    return on_model(std::make_shared<worker_job>(), std::move(run), std::move(convert)...);
}

// throws ABORTED where the job was cancelled during work that could not be stopped half way
inline void check_cancel(const worker_job & job) {
    if (job.cancel) {
        throw sd_error("ABORTED", "The operation was aborted");
    }
}

// what stands under a number in one of the core's maps
template <typename T>
T & find_by_id(const std::map<int, std::unique_ptr<T>> & all, int id, const char * code, const char * expected) {
    const auto it = all.find(id);
    if (it == all.end()) {
        throw sd_error(code, sd_format("%s but received %d", expected, id));
    }
    return *it->second;
}

// milliseconds
inline Napi::Object timings_object(Napi::Env env, const sd_timings & t) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("vision", t.vision);
    o.Set("prefill", t.prefill);
    o.Set("rpn", t.rpn);
    o.Set("generate", t.generate);
    return o;
}

// { rgb, width, height, keep, box, picture }: `keep` are the cells that are fed, null for all, `box` the cells [x0, y0, x1, y1] of the
// picture that a second look is aligned with, null for none
sd_view read_view(const Napi::Value & v);
std::vector<sd_view> read_views(const Napi::Value & v);

// { keep, reuse }
sd_turn_params read_turn(const Napi::Value & v);
