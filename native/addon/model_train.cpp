// class Model, the jobs of training a region proposal network. A training is kept beside the model's sessions, under a number;
// each step is a job, so that answers can run in between.

#include "model_job.h"

#include "args.h"
#include "train/schedule.h"

sd_train & model_wrap::core::training(int id) {
    return find_by_id(trainings, id, "INVALID_ARGUMENT", "Expected a training that was started and not ended");
}

static Napi::Value to_string(Napi::Env env, const std::string & text) {
    return Napi::String::New(env, text);
}

// trainNote(path) -> the note of a checkpoint
Napi::Value model_wrap::train_note(const Napi::CallbackInfo & info) {
    return on_model([path = args::string(info[0], "path")](core &, worker_job &) { return rpn_train_note(path); }, to_string);
}

// trainStart({ checkpoint, branchLayer, blockCount, beta1, beta2, epsilon, weightDecay, maxGradNorm, workers, threads }) ->
// { training, step }. checkpoint is the path of one to resume from, which contains layer and count itself, or an empty text.
Napi::Value model_wrap::train_start(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    const std::string checkpoint = args::string(o.Get("checkpoint"), "checkpoint");
    const int branch = args::integer(o.Get("branchLayer"), "branchLayer");
    const int n_block = args::integer(o.Get("blockCount"), "blockCount");
    rpn_train_params p;
    p.beta1 = float(args::number(o.Get("beta1"), "beta1"));
    p.beta2 = float(args::number(o.Get("beta2"), "beta2"));
    p.eps = float(args::number(o.Get("epsilon"), "epsilon"));
    p.weight_decay = float(args::number(o.Get("weightDecay"), "weightDecay"));
    p.max_grad_norm = float(args::number(o.Get("maxGradNorm"), "maxGradNorm"));
    p.n_workers = args::integer(o.Get("workers"), "workers");
    p.n_threads = args::integer(o.Get("threads"), "threads");

    struct out_t {
        int id = 0;
        int64_t step = 0;
    };
    auto run = [=](core & c, worker_job &) {
        auto t = checkpoint.empty() ? sd_train_start(*c.cells, branch, n_block, p) : sd_train_resume(*c.cells, checkpoint, p);
        const out_t out = { c.next_training++, rpn_train_n_steps(t->trainer.get()) };
        c.trainings[out.id] = std::move(t);
        return out;
    };
    return on_model(run, [](Napi::Env env, const out_t & out) {
        Napi::Object o = Napi::Object::New(env);
        o.Set("training", out.id);
        o.Set("step", double(out.step));
        return o;
    });
}

// trainAdd(training, system, view, [{ id, tokens, labels }]) -> bytes that they take; system and tokens are tokens
Napi::Value model_wrap::train_add(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    std::vector<sd_train_question> questions;
    args::for_each(info[3], "pairs", [&](const Napi::Value & v) {
        Napi::Object o = args::object(v, "pair");
        questions.push_back({ args::integer(o.Get("id"), "id", 0), args::int32s(o.Get("tokens"), "tokens"), args::copy<int8_t>(o.Get("labels"), "labels") });
    });
    auto run = [id, system = args::int32s(info[1], "system"), view = read_view(info[2]), questions = std::move(questions)](core & c, worker_job &) mutable {
        for (const sd_train_question & q : questions) {
            c.checked(q.tokens);
        }
        return sd_train_add(c.training(id), c.checked(system), view, std::move(questions));
    };
    return on_model(std::move(run), [](Napi::Env env, size_t bytes) { return Napi::Number::New(env, double(bytes)); });
}

// trainDrop(training, ids)
Napi::Value model_wrap::train_drop(const Napi::CallbackInfo & info) {
    return on_model(
        [id = args::integer(info[0], "training"), ids = args::int32s(info[1], "ids")](core & c, worker_job &) { sd_train_drop(c.training(id), ids); });
}

// trainAccumulate(training, ids)
Napi::Value model_wrap::train_accumulate(const Napi::CallbackInfo & info) {
    return on_model(
        [id = args::integer(info[0], "training"), ids = args::int32s(info[1], "ids")](core & c, worker_job &) { sd_train_accumulate(c.training(id), ids); });
}

// trainClear(training): forgets what has been accumulated
Napi::Value model_wrap::train_clear(const Napi::CallbackInfo & info) {
    return on_model([id = args::integer(info[0], "training")](core & c, worker_job &) { rpn_train_clear(c.training(id).trainer.get()); });
}

// trainStep(training, rate) -> { loss, gradNorm, cells }
Napi::Value model_wrap::train_step(const Napi::CallbackInfo & info) {
    auto run = [id = args::integer(info[0], "training"), rate = args::number(info[1], "rate")](core & c, worker_job &) {
        return rpn_train_step(c.training(id).trainer.get(), rate);
    };
    return on_model(run, [](Napi::Env env, const rpn_train_result & out) {
        Napi::Object o = Napi::Object::New(env);
        o.Set("loss", out.loss);
        o.Set("gradNorm", out.grad_norm);
        o.Set("cells", double(out.n_cells));
        return o;
    });
}

// trainEval(training, ids) -> { lossSum, cells, truePositives, falsePositives, falseNegatives }
Napi::Value model_wrap::train_eval(const Napi::CallbackInfo & info) {
    auto run = [id = args::integer(info[0], "training"), ids = args::int32s(info[1], "ids")](core & c, worker_job &) {
        rpn_train_metrics out;
        sd_train_eval(c.training(id), ids, out);
        return out;
    };
    return on_model(run, [](Napi::Env env, const rpn_train_metrics & out) {
        Napi::Object o = Napi::Object::New(env);
        o.Set("lossSum", out.loss_sum);
        o.Set("cells", double(out.n_cells));
        o.Set("truePositives", double(out.n_true_pos));
        o.Set("falsePositives", double(out.n_false_pos));
        o.Set("falseNegatives", double(out.n_false_neg));
        return o;
    });
}

// trainCheckpoint(training, path, note)
Napi::Value model_wrap::train_checkpoint(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::string path = args::string(info[1], "path");
    const std::string note = args::string(info[2], "note");
    return on_model([=](core & c, worker_job &) { rpn_train_checkpoint(c.training(id).trainer.get(), path, note); });
}

// trainSave(training, path, type, threshold): the RPN file
Napi::Value model_wrap::train_save(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "training");
    const std::string path = args::string(info[1], "path");
    const std::string type = args::string(info[2], "type");
    const float threshold = float(args::number(info[3], "threshold"));
    return on_model([=](core & c, worker_job &) { rpn_train_save(c.training(id).trainer.get(), path, type, threshold); });
}

// trainEnd(training): frees it after the jobs before
Napi::Value model_wrap::train_end(const Napi::CallbackInfo & info) {
    return on_model([id = args::integer(info[0], "training")](core & c, worker_job &) { c.trainings.erase(id); });
}

// trainRate(peak, step, steps, warmup) -> learning rate of a step, at once
Napi::Value model_wrap::train_rate(const Napi::CallbackInfo & info) {
    const int step = args::integer(info[1], "step", 0), n_steps = args::integer(info[2], "steps", 1);
    return Napi::Number::New(info.Env(), rpn_train_lr(args::number(info[0], "peak"), step, n_steps, args::number(info[3], "warmup")));
}

// trainOrder(n, seed, epoch) -> Int32Array, a permutation of 0..n-1, at once
Napi::Value model_wrap::train_order(const Napi::CallbackInfo & info) {
    const int n = args::integer(info[0], "n", 0);
    const uint32_t seed = uint32_t(args::id(info[1], "seed", 4294967295.0));
    const uint32_t epoch = uint32_t(args::id(info[2], "epoch", 4294967295.0));
    return args::to_array(info.Env(), rpn_train_order(n, seed, epoch));
}
