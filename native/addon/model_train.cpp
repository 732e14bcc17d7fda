// class Model, the jobs of training a region proposal network. A training lives beside the model's sessions, under a number;
// it goes on from job to job, so that answers may come in between.

#include "model_job.h"

#include "args.h"
#include "error.h"
#include "train/schedule.h"

sd_train & model_wrap::core::training(int id) {
    auto it = trainings.find(id);
    if (it == trainings.end()) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a training that was started and not ended but received %d", id));
    }
    return *it->second;
}

namespace {

std::vector<int8_t> read_labels(const Napi::Value & v) {
    if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != napi_int8_array) {
        throw args::expected(v.Env(), "an Int8Array", "labels");
    }
    Napi::Int8Array a = v.As<Napi::Int8Array>();
    return std::vector<int8_t>(a.Data(), a.Data() + a.ElementLength());
}

} // namespace

// trainNote(path) -> the note of a checkpoint
Napi::Value model_wrap::train_note(const Napi::CallbackInfo & info) {
    const std::string path = args::string(info[0], "path");
    auto out = std::make_shared<std::string>();
    auto job = std::make_shared<worker_job>();
    job->run    = [=](worker_job &) { *out = rpn_train_note(path); };
    job->result = [out](Napi::Env env) -> Napi::Value { return Napi::String::New(env, *out); };
    return w->submit(job);
}

// trainStart({ checkpoint, branchLayer, blockCount, beta1, beta2, epsilon, weightDecay, maxGradNorm, workers, threads }) ->
// { training, step }. checkpoint is the path of one to go on from, which has layer and count itself, or an empty text.
Napi::Value model_wrap::train_start(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    const std::string checkpoint = args::string(o.Get("checkpoint"), "checkpoint");
    const int branch  = args::integer(o.Get("branchLayer"), "branchLayer");
    const int n_block = args::integer(o.Get("blockCount"), "blockCount");
    rpn_train_params p;
    p.beta1         = float(args::number(o.Get("beta1"), "beta1"));
    p.beta2         = float(args::number(o.Get("beta2"), "beta2"));
    p.eps           = float(args::number(o.Get("epsilon"), "epsilon"));
    p.weight_decay  = float(args::number(o.Get("weightDecay"), "weightDecay"));
    p.max_grad_norm = float(args::number(o.Get("maxGradNorm"), "maxGradNorm"));
    p.n_workers     = args::integer(o.Get("workers"), "workers");
    p.n_threads     = args::integer(o.Get("threads"), "threads");

    struct out_t { int id = 0; int64_t step = 0; };
    auto out  = std::make_shared<out_t>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) {
        auto t = checkpoint.empty() ? sd_train_start(*core->model, branch, n_block, p) : sd_train_resume(*core->model, checkpoint, p);
        out->step = rpn_train_n_steps(t->trainer.get());
        out->id   = core->next_training++;
        core->trainings[out->id] = std::move(t);
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Object o = Napi::Object::New(env);
        o.Set("training", out->id);
        o.Set("step", double(out->step));
        return o;
    };
    return w->submit(job);
}

// trainAdd(training, system, addBos, parseSpecial, view, [{ id, question, labels }]) -> bytes that they take
Napi::Value model_wrap::train_add(const Napi::CallbackInfo & info) {
    const int id             = args::integer(info[0], "training");
    const std::string system = args::string(info[1], "system");
    const bool add_bos       = args::boolean(info[2], "addBos");
    const bool parse_special = args::boolean(info[3], "parseSpecial");
    auto view = std::make_shared<std::vector<uint8_t>>(args::bytes(info[4], "view"));

    struct pair_t { int id; std::string question; std::vector<int8_t> labels; };
    auto pairs = std::make_shared<std::vector<pair_t>>();
    if (!info[5].IsArray()) {
        throw args::expected(info.Env(), "an array", "pairs");
    }
    Napi::Array a = info[5].As<Napi::Array>();
    for (uint32_t i = 0; i < a.Length(); i++) {
        Napi::Object o = args::object(a.Get(i), "pair");
        pairs->push_back({ args::integer(o.Get("id"), "id", 0), args::string(o.Get("question"), "question"), read_labels(o.Get("labels")) });
    }

    auto out  = std::make_shared<size_t>(0);
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        cancel_scope scope(m, j.cancel);
        std::vector<sd_train_question> questions;
        for (pair_t & p : *pairs) {
            questions.push_back({ p.id, sd_tokenize(m, p.question, false, parse_special), std::move(p.labels) });
        }
        *out = sd_train_add(core->training(id), sd_tokenize(m, system, add_bos, parse_special), *view, std::move(questions));
    };
    job->result = [out](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, double(*out)); };
    return w->submit(job);
}

// trainDrop(training, ids)
Napi::Value model_wrap::train_drop(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::vector<int32_t> ids = args::int32s(info[1], "ids");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) { sd_train_drop(core->training(id), ids); };
    return w->submit(job);
}

// trainAccumulate(training, ids)
Napi::Value model_wrap::train_accumulate(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::vector<int32_t> ids = args::int32s(info[1], "ids");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        cancel_scope scope(*core->model, j.cancel);
        sd_train_accumulate(core->training(id), ids);
    };
    return w->submit(job);
}

// trainClear(training): forgets what has been accumulated
Napi::Value model_wrap::train_clear(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) { rpn_train_clear(core->training(id).trainer.get()); };
    return w->submit(job);
}

// trainStep(training, rate) -> { loss, gradNorm, cells }
Napi::Value model_wrap::train_step(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const double rate = args::number(info[1], "rate");
    auto out  = std::make_shared<rpn_train_result>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) { *out = rpn_train_step(core->training(id).trainer.get(), rate); };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Object o = Napi::Object::New(env);
        o.Set("loss", out->loss);
        o.Set("gradNorm", out->grad_norm);
        o.Set("cells", double(out->n_cells));
        return o;
    };
    return w->submit(job);
}

// trainEval(training, ids) -> { lossSum, cells, truePositives, falsePositives, falseNegatives }
Napi::Value model_wrap::train_eval(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::vector<int32_t> ids = args::int32s(info[1], "ids");
    auto out  = std::make_shared<rpn_train_metrics>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        cancel_scope scope(*core->model, j.cancel);
        sd_train_eval(core->training(id), ids, *out);
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Object o = Napi::Object::New(env);
        o.Set("lossSum", out->loss_sum);
        o.Set("cells", double(out->n_cells));
        o.Set("truePositives", double(out->n_true_pos));
        o.Set("falsePositives", double(out->n_false_pos));
        o.Set("falseNegatives", double(out->n_false_neg));
        return o;
    };
    return w->submit(job);
}

// trainCheckpoint(training, path, note)
Napi::Value model_wrap::train_checkpoint(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::string path = args::string(info[1], "path");
    const std::string note = args::string(info[2], "note");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) { rpn_train_checkpoint(core->training(id).trainer.get(), path, note); };
    return w->submit(job);
}

// trainSave(training, path, type, threshold): the RPN file
Napi::Value model_wrap::train_save(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::string path = args::string(info[1], "path");
    const std::string type = args::string(info[2], "type");
    const float threshold  = float(args::number(info[3], "threshold"));
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) { rpn_train_save(core->training(id).trainer.get(), path, type, threshold); };
    return w->submit(job);
}

// trainEnd(training): frees it after the jobs before
Napi::Value model_wrap::train_end(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) { core->trainings.erase(id); };
    return w->submit(job);
}

// trainRate(peak, step, steps, warmup) -> learning rate of a step, at once
Napi::Value model_wrap::train_rate(const Napi::CallbackInfo & info) {
    const int step = args::integer(info[1], "step", 0), n_steps = args::integer(info[2], "steps", 1);
    return Napi::Number::New(info.Env(), rpn_train_lr(args::number(info[0], "peak"), step, n_steps, args::number(info[3], "warmup")));
}

// trainOrder(n, seed, epoch) -> Int32Array, a permutation of 0..n-1, at once
Napi::Value model_wrap::train_order(const Napi::CallbackInfo & info) {
    const int n = args::integer(info[0], "n", 0);
    const double seed = args::number(info[1], "seed"), epoch = args::number(info[2], "epoch");
    if (!(seed >= 0 && seed <= 4294967295.0 && epoch >= 0 && epoch <= 4294967295.0)) {
        throw args::expected(info.Env(), "integers from 0 to 4294967295", "seed and epoch");
    }
    const std::vector<int32_t> order = rpn_train_order(n, uint32_t(seed), uint32_t(epoch));
    Napi::Int32Array out = Napi::Int32Array::New(info.Env(), order.size());
    std::copy(order.begin(), order.end(), out.Data());
    return out;
}
