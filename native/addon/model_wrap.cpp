#include "model_job.h"

#include "args.h"
#include "backend.h"
#include "log.h"
#include "prompt.h"
#include "rpn_wrap.h"

#include <algorithm>

Napi::Function model_wrap::define(Napi::Env env) {
    return define_class(env, "Model",
        {
            method_of<&model_wrap::load>("load"),
            method_of<&model_wrap::tokenize>("tokenize"),
            method_of<&model_wrap::check_grammar>("checkGrammar"),
            method_of<&model_wrap::tokenize_answers>("tokenizeAnswers"),
            method_of<&model_wrap::open>("open"),
            method_of<&model_wrap::drop>("drop"),
            method_of<&model_wrap::prune>("prune"),
            method_of<&model_wrap::join>("join"),
            method_of<&model_wrap::encode>("encode"),
            method_of<&model_wrap::roi>("roi"),
            method_of<&model_wrap::answer>("answer"),
            method_of<&model_wrap::choose>("choose"),
            method_of<&model_wrap::attention>("attention"),
            method_of<&model_wrap::label_maps>("labelMaps"),
            method_of<&model_wrap::heads_start>("headsStart"),
            method_of<&model_wrap::heads_add>("headsAdd"),
            method_of<&model_wrap::heads_rank>("headsRank"),
            method_of<&model_wrap::heads_drop>("headsDrop"),
            method_of<&model_wrap::train_note>("trainNote"),
            method_of<&model_wrap::train_start>("trainStart"),
            method_of<&model_wrap::train_add>("trainAdd"),
            method_of<&model_wrap::train_drop>("trainDrop"),
            method_of<&model_wrap::train_accumulate>("trainAccumulate"),
            method_of<&model_wrap::train_clear>("trainClear"),
            method_of<&model_wrap::train_step>("trainStep"),
            method_of<&model_wrap::train_eval>("trainEval"),
            method_of<&model_wrap::train_checkpoint>("trainCheckpoint"),
            method_of<&model_wrap::train_save>("trainSave"),
            method_of<&model_wrap::train_end>("trainEnd"),
            method_of<&model_wrap::train_rate>("trainRate"),
            method_of<&model_wrap::train_order>("trainOrder"),
        });
}

// new Model(onLog?: (level, text) => void)
model_wrap::model_wrap(const Napi::CallbackInfo & info) : worker_wrap(info), c(new core) {
    if (info[0].IsFunction()) {
        on_log = std::make_shared<Napi::FunctionReference>(Napi::Persistent(info[0].As<Napi::Function>()));
    }
    auto core = c;
    worker * wp = w.get();
    const bool logs = on_log != nullptr;
    std::weak_ptr<Napi::FunctionReference> log = on_log;
    w->queue.on_start = [wp, log, logs] {
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
    w->queue.on_stop = [core] {
        core->sessions.clear();
        core->heads.clear();
        core->attention.reset();
        core->trainings.clear();
        core->cells.reset();
        core->model.reset();
        sd_log_set_sink(nullptr);
    };
    w->queue.on_step = [core, wp](const std::vector<queue_job *> & jobs) {
        std::vector<sd_answer *> answers;
        for (queue_job * j : jobs) {
            answers.push_back(static_cast<std::unique_ptr<sd_answer> *>(j->state.get())->get());
        }
        cancel_scope scope(*core->model, wp->queue.stopping());
        sd_answer_step(*core->cells, answers);
    };
}

int model_wrap::core::add(std::unique_ptr<sd_session> s, int & tokens, size_t & bytes) {
    tokens = s->n_prefix();
    bytes = s->bytes();
    const int id = next_session++;
    sessions[id] = std::move(s);
    return id;
}

sd_session & model_wrap::core::session(int id) {
    const auto it = sessions.find(id);
    if (it == sessions.end()) {
        throw sd_error("DISPOSED", "The session was disposed: open the image again");
    }
    return *it->second;
}

const std::vector<llama_token> & model_wrap::core::checked(const std::vector<llama_token> & tokens) const {
    for (llama_token t : tokens) {
        if (t < 0 || t >= model->info.n_vocab) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected tokens from 0 to %d but received %d", model->info.n_vocab - 1, t));
        }
    }
    return tokens;
}

static Napi::Object size_object(Napi::Env env, sd_size size) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("width", size.width);
    o.Set("height", size.height);
    return o;
}

static Napi::Object info_object(Napi::Env env, const sd_model & m) {
    const sd_model_info & i = m.info;
    Napi::Object o = Napi::Object::New(env);
    o.Set("architecture", i.architecture);
    o.Set("name", i.name);
    o.Set("chatTemplate", i.chat_template.empty() ? env.Null() : Napi::String::New(env, i.chat_template));
    o.Set("bosText", i.bos_text);
    o.Set("eosText", i.eos_text);
    o.Set("addBos", i.add_bos);
    o.Set("longestToken", m.tokenizer.longest);
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
    static const char * kinds[] = { "llava", "qwen2.5-vl", "qwen3-vl" };
    v.Set("family", kinds[m.vision->kind]);
    v.Set("cell", m.vision->cell);
    v.Set("featureLength", m.vision->n_row());
    v.Set("view", size_object(env, m.family->pixels));
    v.Set("grid", size_object(env, m.family->grid));
    v.Set("patchBytes", m.vision->patch_bytes);
    v.Set("pairBytes", m.vision->pair_bytes);
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

// load({ model, mmproj, rpn, gpuLayers, threads, contextSize, parallel, memory }, onProgress?) -> info
Napi::Value model_wrap::load(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_model_params p;
    p.model = args::string(o.Get("model"), "model");
    p.mmproj = args::string(o.Get("mmproj"), "mmproj");
    p.rpn = args::string(o.Get("rpn"), "rpn");
    p.gpu_layers = args::integer(o.Get("gpuLayers"), "gpuLayers", -1);
    p.n_threads = args::integer(o.Get("threads"), "threads", 0);
    p.context_size = args::integer(o.Get("contextSize"), "contextSize", 0);
    p.parallel = args::integer(o.Get("parallel"), "parallel", 1);
    p.memory = uint64_t(std::min(1e18, std::max(0.0, args::number(o.Get("memory"), "memory"))));

    auto job = std::make_shared<worker_job>();
    args::callback(*job, info[1], "onProgress");
    auto run = [core = c, wp = w.get(), p](worker_job & j) {
        if (core->model) { // sessions refer to it
            throw sd_error("INVALID_ARGUMENT", "The model was loaded already: make another object");
        }
        sd_model_params params = p;
        float last = -1;
        params.progress = [&](float f) {
            if (f - last >= 0.01f || f >= 1.0f) { // a hundred steps are enough for any bar
                last = f;
                wp->emit(j, double(f));
            }
        };
        auto model = sd_model_load(params, j.cancel);
        model->params.progress = nullptr;
        auto cells = sd_cells_init(*model);
        params.progress(1.0f);
        core->model = std::move(model);
        core->cells = std::move(cells);
        wp->queue.max_active = size_t(p.parallel);
    };
    return w->submit(job, run, [core = c](Napi::Env env) { return info_object(env, *core->model); });
}

// tokenize([{ kind: "markup" | "text", text }], addBos) -> Int32Array. Runs while answers are being written.
Napi::Value model_wrap::tokenize(const Napi::CallbackInfo & info) {
    std::vector<sd_segment> segments;
    args::for_each(info[0], "segments", [&](const Napi::Value & v) {
        Napi::Object o = args::object(v, "segment");
        const std::string kind = args::string(o.Get("kind"), "kind");
        if (kind != "markup" && kind != "text") {
            throw args::expected(v.Env(), "\"markup\" or \"text\"", "kind");
        }
        segments.push_back({ kind == "markup" ? SD_SEGMENT_MARKUP : SD_SEGMENT_TEXT, args::string(o.Get("text"), "text") });
    });
    const bool add_bos = args::boolean(info[1], "addBos");
    auto job = std::make_shared<worker_job>();
    job->between_steps = true;
    return on_model(job, [segments = std::move(segments), add_bos](core & c, worker_job &) { return sd_tokenize(c.model->tokenizer, segments, add_bos); },
        args::to_array<llama_token>);
}
