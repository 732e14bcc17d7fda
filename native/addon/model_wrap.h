#pragma once

// class Model: a loaded model on its own thread.

#include "worker_wrap.h"

#include "distill/heads.h"
#include "generate.h"
#include "train/distill-train.h"

#include <map>

class model_wrap : public worker_wrap<model_wrap> {
public:
    static Napi::Function define(Napi::Env env);
    explicit model_wrap(const Napi::CallbackInfo & info);

private:
    // lives on the worker thread
    struct core {
        std::unique_ptr<sd_model> model;
        std::unique_ptr<sd_cells> cells;                     // freed before the model
        std::map<int, std::unique_ptr<sd_session>> sessions; // freed before the cells
        int next_session = 1;
        sd_session & session(int id);
        int add(std::unique_ptr<sd_session> session, int & tokens, size_t & bytes);              // its id; how long its prefix is, and what it costs
        const std::vector<llama_token> & checked(const std::vector<llama_token> & tokens) const; // throws INVALID_ARGUMENT

        // --- model_distill.cpp
        sd_attention_context_ptr attention; // made when first needed; freed before the model
        int attention_session = 0;          // whose picture is in it; 0: nobody's
        std::map<int, std::unique_ptr<sd_heads>> heads;
        int next_heads = 1;
        sd_attention_context & attention_context();
        sd_attention_context & attention_on(int session, sd_timings & t);

        // --- model_train.cpp
        std::map<int, std::unique_ptr<sd_train>> trainings; // freed before the cells
        int next_training = 1;
        sd_train & training(int id);
    };

    std::shared_ptr<core> c;
    std::shared_ptr<Napi::FunctionReference> on_log;

    // enqueues run(core, job) with the job's cancel flag as the model's; see worker::submit
    template <typename Run, typename... Convert> Napi::Value on_model(worker_job_ptr job, Run run, Convert... convert);
    template <typename Run, typename... Convert> Napi::Value on_model(Run run, Convert... convert);

    Napi::Value load(const Napi::CallbackInfo & info);
    Napi::Value tokenize(const Napi::CallbackInfo & info);

    // --- model_answer.cpp
    Napi::Value check_grammar(const Napi::CallbackInfo & info);
    Napi::Value open(const Napi::CallbackInfo & info);
    Napi::Value drop(const Napi::CallbackInfo & info);
    Napi::Value prune(const Napi::CallbackInfo & info);
    Napi::Value join(const Napi::CallbackInfo & info);
    Napi::Value encode(const Napi::CallbackInfo & info);
    Napi::Value roi(const Napi::CallbackInfo & info);
    Napi::Value answer(const Napi::CallbackInfo & info);

    // --- model_choose.cpp
    Napi::Value tokenize_answers(const Napi::CallbackInfo & info);
    Napi::Value choose(const Napi::CallbackInfo & info);

    // --- model_distill.cpp
    Napi::Value attention(const Napi::CallbackInfo & info);
    Napi::Value label_maps(const Napi::CallbackInfo & info);
    Napi::Value heads_start(const Napi::CallbackInfo & info);
    Napi::Value heads_add(const Napi::CallbackInfo & info);
    Napi::Value heads_rank(const Napi::CallbackInfo & info);
    Napi::Value heads_drop(const Napi::CallbackInfo & info);

    // --- model_train.cpp
    Napi::Value train_note(const Napi::CallbackInfo & info);
    Napi::Value train_start(const Napi::CallbackInfo & info);
    Napi::Value train_add(const Napi::CallbackInfo & info);
    Napi::Value train_drop(const Napi::CallbackInfo & info);
    Napi::Value train_accumulate(const Napi::CallbackInfo & info);
    Napi::Value train_clear(const Napi::CallbackInfo & info);
    Napi::Value train_step(const Napi::CallbackInfo & info);
    Napi::Value train_eval(const Napi::CallbackInfo & info);
    Napi::Value train_checkpoint(const Napi::CallbackInfo & info);
    Napi::Value train_save(const Napi::CallbackInfo & info);
    Napi::Value train_end(const Napi::CallbackInfo & info);
    Napi::Value train_rate(const Napi::CallbackInfo & info);
    Napi::Value train_order(const Napi::CallbackInfo & info);
};
