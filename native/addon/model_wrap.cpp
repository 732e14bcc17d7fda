#include "model_job.h"

#include "args.h"
#include "backend.h"
#include "error.h"
#include "log.h"
#include "rpn_wrap.h"

#include <algorithm>

static Napi::Object info_object(Napi::Env env, const sd_model & m) {
    const sd_model_info & i = m.info;
    Napi::Object o = Napi::Object::New(env);
    o.Set("architecture", i.architecture);
    o.Set("name", i.name);
    o.Set("chatTemplate", i.chat_template.empty() ? env.Null() : Napi::String::New(env, i.chat_template));
    o.Set("bosText", i.bos_text);
    o.Set("eosText", i.eos_text);
    o.Set("addBos", i.add_bos);
    Napi::Array control = Napi::Array::New(env, i.control_tokens.size());
    for (size_t t = 0; t < i.control_tokens.size(); t++) {
        control.Set(uint32_t(t), Napi::String::New(env, i.control_tokens[t]));
    }
    o.Set("controlTokens", control);
    o.Set("layers", i.n_layer);
    o.Set("embeddingLength", i.n_embd);
    o.Set("headCount", i.n_head);
    o.Set("vocabSize", i.n_vocab);
    o.Set("trainedContext", i.n_ctx_train);
    o.Set("contextSize", i.context_size);
    o.Set("threads", i.n_threads);
    o.Set("parallel", i.parallel);
    o.Set("backend", i.backend);
    o.Set("device", i.device);
    o.Set("llamaVersion", i.llama_version);
    o.Set("ggmlVersion", i.ggml_version);

    Napi::Object v = Napi::Object::New(env);
    v.Set("side", m.vision->side);
    v.Set("grid", m.vision->grid);
    v.Set("projector", m.vision->projector);
    v.Set("name", m.vision->name);
    Napi::Array fill = Napi::Array::New(env, 3);
    for (uint32_t c = 0; c < 3; c++) {
        fill.Set(c, Napi::Number::New(env, m.vision->fill[c]));
    }
    v.Set("fill", fill);
    o.Set("vision", v);
    o.Set("rpn", m.rpn ? Napi::Value(rpn_info_object(env, rpn_get_hparams(m.rpn.get()))) : env.Null());
    return o;
}

sd_session & model_wrap::core::session(int id) {
    auto it = sessions.find(id);
    if (it == sessions.end()) {
        throw sd_error("DISPOSED", "The session was disposed: open the image again");
    }
    return *it->second;
}

Napi::Function model_wrap::define(Napi::Env env) {
    return DefineClass(env, "Model", {
        InstanceMethod<&model_wrap::load>("load"),
        InstanceMethod<&model_wrap::count>("count"),
        InstanceMethod<&model_wrap::open>("open"),
        InstanceMethod<&model_wrap::drop>("drop"),
        InstanceMethod<&model_wrap::encode>("encode"),
        InstanceMethod<&model_wrap::roi>("roi"),
        InstanceMethod<&model_wrap::answer>("answer"),
        InstanceMethod<&model_wrap::attention>("attention"),
        InstanceMethod<&model_wrap::label_maps>("labelMaps"),
        InstanceMethod<&model_wrap::heads_start>("headsStart"),
        InstanceMethod<&model_wrap::heads_add>("headsAdd"),
        InstanceMethod<&model_wrap::heads_rank>("headsRank"),
        InstanceMethod<&model_wrap::heads_drop>("headsDrop"),
        InstanceMethod<&model_wrap::train_note>("trainNote"),
        InstanceMethod<&model_wrap::train_start>("trainStart"),
        InstanceMethod<&model_wrap::train_add>("trainAdd"),
        InstanceMethod<&model_wrap::train_drop>("trainDrop"),
        InstanceMethod<&model_wrap::train_accumulate>("trainAccumulate"),
        InstanceMethod<&model_wrap::train_clear>("trainClear"),
        InstanceMethod<&model_wrap::train_step>("trainStep"),
        InstanceMethod<&model_wrap::train_eval>("trainEval"),
        InstanceMethod<&model_wrap::train_checkpoint>("trainCheckpoint"),
        InstanceMethod<&model_wrap::train_save>("trainSave"),
        InstanceMethod<&model_wrap::train_end>("trainEnd"),
        InstanceMethod<&model_wrap::train_rate>("trainRate"),
        InstanceMethod<&model_wrap::train_order>("trainOrder"),
        InstanceMethod<&model_wrap::cancel>("cancel"),
        InstanceMethod<&model_wrap::close>("close"),
    });
}

// new Model(onLog?: (level, text) => void)
model_wrap::model_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info), c(new core), w(new worker(info.Env())) {
    if (info[0].IsFunction()) {
        on_log = std::make_shared<Napi::FunctionReference>(Napi::Persistent(info[0].As<Napi::Function>()));
    }
    auto core = c;
    worker * wp = w.get();
    const bool logs = on_log != nullptr;
    std::weak_ptr<Napi::FunctionReference> log = on_log;
    w->on_start = [wp, log, logs] {
        sd_backend_init();
        worker::stop_at_exit();
        if (logs) {
            sd_log_set_sink([wp, log](sd_log_level level, const std::string & text) {
                wp->post([log, level, text](Napi::Env env) {
                    static const char * names[] = { "debug", "info", "warn", "error" };
                    if (auto fn = log.lock()) {
                        fn->Call({ Napi::String::New(env, names[level]), Napi::String::New(env, text) });
                    }
                });
            });
        }
    };
    w->on_stop = [core] {
        core->sessions.clear();
        core->heads.clear();
        core->attention.reset();
        core->trainings.clear();
        core->model.reset();
        sd_log_set_sink(nullptr);
    };
    w->on_step = [core, wp](const std::vector<worker_job *> & jobs) {
        std::vector<sd_answer *> answers;
        for (worker_job * j : jobs) {
            answers.push_back(static_cast<std::unique_ptr<sd_answer> *>(j->state.get())->get());
        }
        cancel_scope scope(*core->model, wp->stopping());
        sd_answer_step(*core->model, answers);
    };
}

// load({ model, mmproj, rpn, gpuLayers, threads, contextSize, parallel, memory }, onProgress?) -> info
Napi::Value model_wrap::load(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_model_params p;
    p.model        = args::string(o.Get("model"), "model");
    p.mmproj       = args::string(o.Get("mmproj"), "mmproj");
    p.rpn          = args::string(o.Get("rpn"), "rpn");
    p.gpu_layers   = args::integer(o.Get("gpuLayers"), "gpuLayers", -1);
    p.n_threads    = args::integer(o.Get("threads"), "threads", 0);
    p.context_size = args::integer(o.Get("contextSize"), "contextSize", 0);
    p.parallel     = args::integer(o.Get("parallel"), "parallel", 1);
    p.memory       = uint64_t(std::min(1e18, std::max(0.0, args::number(o.Get("memory"), "memory"))));
    w->max_active  = size_t(p.parallel);

    auto job = std::make_shared<worker_job>();
    args::callback(*job, info[1], "onProgress");
    auto core = c;
    worker * wp = w.get();
    job->run = [core, wp, p](worker_job & j) {
        sd_model_params params = p;
        float last = -1;
        params.progress = [&](float f) {
            if (f - last >= 0.01f || f >= 1.0f) { // a hundred steps are enough for any bar
                last = f;
                wp->emit(j, 0, [f](Napi::Env env) { return std::vector<napi_value>{ Napi::Number::New(env, f) }; });
            }
        };
        core->model = sd_model_load(params, j.cancel);
        core->model->params.progress = nullptr;
    };
    job->result = [this, core](Napi::Env env) {
        loaded = core->model.get();
        return info_object(env, *core->model);
    };
    return w->submit(job);
}

// count(text, addBos, parseSpecial) -> tokens, at once: a vocabulary never changes and may be read from any thread
Napi::Value model_wrap::count(const Napi::CallbackInfo & info) {
    const std::string text   = args::string(info[0], "text");
    const bool add_bos       = args::boolean(info[1], "addBos");
    const bool parse_special = args::boolean(info[2], "parseSpecial");
    if (!loaded || w->stopping()) {
        throw worker_error(info.Env(), "DISPOSED", "The model was disposed: load it again");
    }
    try {
        return Napi::Number::New(info.Env(), double(sd_tokenize(*loaded, text, add_bos, parse_special).size()));
    } catch (const sd_error & e) {
        throw worker_error(info.Env(), e.code, e.what());
    }
}

// open(system, addBos, parseSpecial, view) -> { session, tokens, bytes, timings }
Napi::Value model_wrap::open(const Napi::CallbackInfo & info) {
    const std::string system = args::string(info[0], "system");
    const bool add_bos       = args::boolean(info[1], "addBos");
    const bool parse_special = args::boolean(info[2], "parseSpecial");
    auto view = std::make_shared<std::vector<uint8_t>>(args::bytes(info[3], "view"));

    struct out_t { int id = 0, tokens = 0; size_t bytes = 0; sd_timings t; };
    auto out = std::make_shared<out_t>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        auto s = sd_session_open(m, sd_tokenize(m, system, add_bos, parse_special), std::move(*view));
        if (s->n_prefix() >= m.info.context_size) {
            throw sd_error("CONTEXT_OVERFLOW", sd_format("The image and the text before it take %d tokens but the context holds %d: use a larger contextSize", s->n_prefix(), m.info.context_size));
        }
        sd_session_features(*s, out->t);
        if (j.cancel) { // the tower cannot be stopped half way; nobody would drop this session
            throw sd_error("ABORTED", "The operation was aborted");
        }
        out->id     = core->next_session++;
        out->tokens = s->n_prefix();
        out->bytes  = s->bytes();
        core->sessions[out->id] = std::move(s);
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Object o = Napi::Object::New(env);
        o.Set("session", out->id);
        o.Set("tokens", out->tokens);
        o.Set("bytes", double(out->bytes));
        o.Set("timings", timings_object(env, out->t));
        return o;
    };
    return w->submit(job);
}

// drop(session): frees it after the jobs before
Napi::Value model_wrap::drop(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "session");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [core, id](worker_job &) { core->sessions.erase(id); };
    return w->submit(job);
}

// encode(view) -> Float32Array [tokens * n_embd]
Napi::Value model_wrap::encode(const Napi::CallbackInfo & info) {
    auto view = std::make_shared<std::vector<uint8_t>>(args::bytes(info[0], "view"));
    auto out  = std::make_shared<std::vector<float>>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run    = [=](worker_job & j) {
        *out = sd_vision_encode(*core->model->vision, view->data(), view->size());
        if (j.cancel) {
            throw sd_error("ABORTED", "The operation was aborted");
        }
    };
    job->result = [out](Napi::Env env) -> Napi::Value { return args::to_float32(env, *out); };
    return w->submit(job);
}

// roi(session, question, parseSpecial, reserve) -> { logits, reused, promptTokens, bytes, timings }
Napi::Value model_wrap::roi(const Napi::CallbackInfo & info) {
    const int id               = args::integer(info[0], "session");
    const std::string question = args::string(info[1], "question");
    const bool parse_special   = args::boolean(info[2], "parseSpecial");
    const int  reserve         = args::integer(info[3], "reserve", 0);

    struct out_t { std::vector<float> logits; int reused = 0, prompt = 0; size_t bytes = 0; sd_timings t; };
    auto out  = std::make_shared<out_t>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        sd_session & s = core->session(id);
        const auto tokens = sd_tokenize(m, question, false, parse_special);
        out->prompt = s.n_prefix() + int(tokens.size());
        if (out->prompt + reserve >= m.info.context_size) {
            throw sd_error("CONTEXT_OVERFLOW", sd_format("The prompt has %d tokens, and %d more are kept free for a second look, but the context holds %d: use a larger contextSize or a shorter question",
                out->prompt, reserve, m.info.context_size));
        }
        cancel_scope scope(m, j.cancel);
        out->logits = sd_session_roi(s, tokens, out->t, out->reused);
        out->bytes  = s.bytes();
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Object o = Napi::Object::New(env);
        o.Set("logits", args::to_float32(env, out->logits));
        o.Set("reused", out->reused);
        o.Set("promptTokens", out->prompt);
        o.Set("bytes", double(out->bytes));
        o.Set("timings", timings_object(env, out->t));
        return o;
    };
    return w->submit(job);
}

static std::vector<sd_view> read_views(const Napi::Value & v) {
    if (!v.IsArray()) {
        throw args::expected(v.Env(), "an array", "views");
    }
    std::vector<sd_view> views;
    Napi::Array a = v.As<Napi::Array>();
    for (uint32_t i = 0; i < a.Length(); i++) {
        Napi::Object o = args::object(a.Get(i), "view");
        sd_view view;
        view.rgb = args::bytes(o.Get("rgb"), "rgb");
        if (!o.Get("keep").IsNull() && !o.Get("keep").IsUndefined()) {
            view.masked = true;
            view.keep   = args::int32s(o.Get("keep"), "keep");
        }
        views.push_back(std::move(view));
    }
    return views;
}

static sd_generate_params read_params(const Napi::Value & v) {
    Napi::Object o = args::object(v, "params");
    sd_generate_params p;
    p.max_tokens  = args::integer(o.Get("maxTokens"), "maxTokens", 1);
    p.temperature = float(args::number(o.Get("temperature"), "temperature"));
    p.top_p       = float(args::number(o.Get("topP"), "topP"));
    p.top_k       = args::integer(o.Get("topK"), "topK", 0);
    p.seed        = uint32_t(int64_t(args::number(o.Get("seed"), "seed")));
    p.ignore_eos  = args::boolean(o.Get("ignoreEos"), "ignoreEos");
    Napi::Value stop = o.Get("stop");
    if (!stop.IsArray()) {
        throw args::expected(v.Env(), "an array", "stop");
    }
    Napi::Array a = stop.As<Napi::Array>();
    for (uint32_t i = 0; i < a.Length(); i++) {
        const std::string word = args::string(a.Get(i), "stop");
        if (word.empty()) {
            throw args::expected(v.Env(), "non-empty strings", "stop");
        }
        p.stop.push_back(word);
    }
    return p;
}

// answer(session, question, parseSpecial, views, params, onText?) -> { text, finish, usage, timings }
Napi::Value model_wrap::answer(const Napi::CallbackInfo & info) {
    const int id               = args::integer(info[0], "session");
    const std::string question = args::string(info[1], "question");
    const bool parse_special   = args::boolean(info[2], "parseSpecial");
    auto views = std::make_shared<std::vector<sd_view>>(read_views(info[3]));
    const sd_generate_params params = read_params(info[4]);

    struct out_t { std::string text; sd_finish finish = SD_FINISH_NONE; int prompt = 0, roi = 0, reused = 0, completion = 0; size_t bytes = 0; sd_timings t; };
    auto out    = std::make_shared<out_t>();
    auto answer = std::make_shared<std::unique_ptr<sd_answer>>();
    auto core   = c;
    worker * wp = w.get();
    auto job    = std::make_shared<worker_job>();
    args::callback(*job, info[5], "onText");

    job->state = answer;
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        sd_session & s = core->session(id);
        const auto tokens = sd_tokenize(m, question, false, parse_special);
        cancel_scope scope(m, j.cancel);
        worker_job * jp = &j;
        *answer = sd_answer_start(s, tokens, *views, params, [wp, jp](const std::string & text) {
            wp->emit(*jp, 0, [text](Napi::Env env) { return std::vector<napi_value>{ Napi::String::New(env, text) }; });
        });
        views->clear();
        out->bytes = s.bytes();
    };
    job->on_cancel = [answer](worker_job &) { sd_answer_abort(**answer); };
    job->active = [answer, out](worker_job &) {
        sd_answer & a = **answer;
        if (a.finish == SD_FINISH_NONE) {
            return true;
        }
        out->text       = a.text.text;
        out->finish     = a.finish;
        out->prompt     = a.n_prompt;
        out->roi        = a.n_roi;
        out->reused     = a.n_reused;
        out->completion = int(a.tokens.size());
        out->t          = a.timings;
        answer->reset(); // on the thread that made it
        return false;
    };
    job->result = [core, out](Napi::Env env) -> Napi::Value {
        Napi::Object o = Napi::Object::New(env);
        o.Set("text", out->text);
        o.Set("finishReason", out->finish == SD_FINISH_STOP ? "stop" : out->finish == SD_FINISH_LENGTH ? "length" : "aborted");
        o.Set("promptTokens", out->prompt);
        o.Set("roiTokens", out->roi);
        o.Set("reusedTokens", out->reused);
        o.Set("completionTokens", out->completion);
        o.Set("bytes", double(out->bytes));
        o.Set("timings", timings_object(env, out->t));
        return o;
    };
    return w->submit(job);
}

Napi::Value model_wrap::cancel(const Napi::CallbackInfo & info) {
    w->cancel(uint64_t(args::number(info[0], "id")));
    return info.Env().Undefined();
}

Napi::Value model_wrap::close(const Napi::CallbackInfo &) {
    loaded = nullptr; // the thread frees the model from here on
    return w->close();
}
