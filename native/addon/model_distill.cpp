// class Model, the jobs of self-distillation: what the model looks at while it answers.

#include "model_job.h"

#include "args.h"
#include "distill/label.h"
#include "error.h"

#include "ggml.h"

struct clock_ms {
    int64_t start = ggml_time_us();
    double lap() {
        const int64_t now = ggml_time_us();
        const double ms = double(now - start) / 1000;
        start = now;
        return ms;
    }
};

sd_attention_context & model_wrap::core::attention_context() {
    if (!attention) {
        attention = sd_attention_context_init(*model);
    }
    return *attention;
}

// the context with the session's picture in front of it
sd_attention_context & model_wrap::core::attention_on(int id, sd_timings & t) {
    sd_session & s = session(id);
    sd_attention_context & ctx = attention_context();
    if (attention_session != id) {
        attention_session = 0;
        const std::vector<float> & features = sd_session_features(s, t);
        clock_ms clock;
        sd_attention_set_image(ctx, s.system, features);
        t.prefill += clock.lap();
        attention_session = id;
    }
    return ctx;
}

static std::vector<sd_head_id> read_heads(const Napi::Value & v, const std::string & name) {
    const std::vector<int32_t> flat = args::int32s(v, name);
    if (flat.size() % 2 != 0) {
        throw args::expected(v.Env(), "pairs of layer and head", name);
    }
    std::vector<sd_head_id> out;
    for (size_t i = 0; i < flat.size(); i += 2) {
        out.push_back({ flat[i], flat[i + 1] });
    }
    return out;
}

// attention(session, question, parseSpecial, { layers, maxTokens, question }) ->
// { heads, cells, output, question, text, tokens, logLikelihood, timings }
Napi::Value model_wrap::attention(const Napi::CallbackInfo & info) {
    const int id               = args::integer(info[0], "session");
    const std::string question = args::string(info[1], "question");
    const bool parse_special   = args::boolean(info[2], "parseSpecial");
    Napi::Object o = args::object(info[3], "params");
    sd_attention_params p;
    p.layers     = args::int32s(o.Get("layers"), "layers");
    p.max_tokens = args::integer(o.Get("maxTokens"), "maxTokens", 1);
    p.question   = args::boolean(o.Get("question"), "question");

    struct out_t { sd_attention a; sd_timings t; };
    auto out  = std::make_shared<out_t>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        cancel_scope scope(m, j.cancel);
        sd_attention_context & ctx = core->attention_on(id, out->t);
        clock_ms clock;
        out->a = sd_attention_capture(ctx, {}, sd_tokenize(m, question, false, parse_special), p);
        out->t.generate = clock.lap();
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        const sd_attention & a = out->a;
        Napi::Object o = Napi::Object::New(env);
        o.Set("heads", a.n_head);
        o.Set("cells", a.n_img);
        o.Set("output", args::to_float32(env, a.output));
        o.Set("question", a.question.empty() ? env.Null() : Napi::Value(args::to_float32(env, a.question)));
        o.Set("text", a.text);
        Napi::Array tokens = Napi::Array::New(env, a.tokens.size());
        for (size_t i = 0; i < a.tokens.size(); i++) {
            tokens.Set(uint32_t(i), Napi::Number::New(env, a.tokens[i]));
        }
        o.Set("tokens", tokens);
        o.Set("logLikelihood", a.log_likelihood);
        o.Set("timings", timings_object(env, out->t));
        return o;
    };
    return w->submit(job);
}

// labelMaps(session, question, parseSpecial, { grounding, sink, maxTokens }) -> { grounding, sink, text, tokens, logLikelihood, timings };
// heads are Int32Arrays of layer, head, layer, head ...
Napi::Value model_wrap::label_maps(const Napi::CallbackInfo & info) {
    const int id               = args::integer(info[0], "session");
    const std::string question = args::string(info[1], "question");
    const bool parse_special   = args::boolean(info[2], "parseSpecial");
    Napi::Object o = args::object(info[3], "params");
    sd_label_params p;
    p.grounding  = read_heads(o.Get("grounding"), "grounding");
    p.sink       = read_heads(o.Get("sink"), "sink");
    p.max_tokens = args::integer(o.Get("maxTokens"), "maxTokens", 1);

    struct out_t { sd_label_maps maps; sd_timings t; };
    auto out  = std::make_shared<out_t>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        cancel_scope scope(m, j.cancel);
        sd_attention_context & ctx = core->attention_on(id, out->t);
        clock_ms clock;
        out->maps = sd_label_capture(ctx, sd_tokenize(m, question, false, parse_special), p);
        out->t.generate = clock.lap();
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        const sd_label_maps & maps = out->maps;
        Napi::Object o = Napi::Object::New(env);
        o.Set("grounding", args::to_float32(env, maps.grounding));
        o.Set("sink", args::to_float32(env, maps.sink));
        o.Set("text", maps.text);
        o.Set("tokens", maps.n_tokens);
        o.Set("logLikelihood", maps.log_likelihood);
        o.Set("timings", timings_object(env, out->t));
        return o;
    };
    return w->submit(job);
}

// headsStart({ lattice, window, uncertainty, maxTokens }) -> id of a ranking, to be dropped
Napi::Value model_wrap::heads_start(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_heads_params p;
    p.lattice     = args::integer(o.Get("lattice"), "lattice", 0);
    p.window      = args::number(o.Get("window"), "window");
    p.uncertainty = args::number(o.Get("uncertainty"), "uncertainty");
    p.max_tokens  = args::integer(o.Get("maxTokens"), "maxTokens", 1);

    auto id   = std::make_shared<int>(0);
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) {
        auto heads = std::make_unique<sd_heads>(*core->model, p);
        *id = core->next_heads++;
        core->heads[*id] = std::move(heads);
    };
    job->result = [id](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *id); };
    return w->submit(job);
}

static sd_heads & find_heads(const std::map<int, std::unique_ptr<sd_heads>> & heads, int id) {
    auto it = heads.find(id);
    if (it == heads.end()) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a ranking of heads that was started and not dropped but received %d", id));
    }
    return *it->second;
}

// headsAdd(ranking, rgb, width, height, system, addBos, question, other, parseSpecial) -> whether the pair was of use. rgb is
// read in place and must not change before the promise settles; other is a different question, or an empty text.
Napi::Value model_wrap::heads_add(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "ranking");
    if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        throw args::expected(info.Env(), "a Uint8Array", "rgb");
    }
    Napi::Uint8Array rgb = info[1].As<Napi::Uint8Array>();
    const int width  = args::integer(info[2], "width", 1);
    const int height = args::integer(info[3], "height", 1);
    if (double(width) * height * 3 != double(rgb.ElementLength())) {
        throw args::expected(info.Env(), "width * height * 3 bytes", "rgb");
    }
    const std::string system   = args::string(info[4], "system");
    const bool add_bos         = args::boolean(info[5], "addBos");
    const std::string question = args::string(info[6], "question");
    const std::string other    = args::string(info[7], "other");
    const bool parse_special   = args::boolean(info[8], "parseSpecial");

    const sd_picture picture = { rgb.Data(), width, height };
    auto used = std::make_shared<bool>(false);
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->held.push_back(Napi::Persistent(info[1].As<Napi::Object>()));
    job->run = [=](worker_job & j) {
        sd_model & m = *core->model;
        cancel_scope scope(m, j.cancel);
        sd_heads & heads = find_heads(core->heads, id);
        core->attention_session = 0; // the pair's picture takes the place of a session's
        *used = sd_heads_add(heads, core->attention_context(), picture, sd_tokenize(m, system, add_bos, parse_special),
            sd_tokenize(m, question, false, parse_special), other.empty() ? std::vector<llama_token>() : sd_tokenize(m, other, false, parse_special));
    };
    job->result = [used](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, *used); };
    return w->submit(job);
}

// headsRank(ranking) -> { used, passed, heads: [{ layer, head, grounding, sink }] }, best grounding first
Napi::Value model_wrap::heads_rank(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "ranking");
    struct out_t { int used = 0, passed = 0; std::vector<sd_head> rank; };
    auto out  = std::make_shared<out_t>();
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [=](worker_job &) {
        const sd_heads & heads = find_heads(core->heads, id);
        out->rank   = sd_heads_rank(heads);
        out->used   = heads.n_used;
        out->passed = heads.n_passed;
    };
    job->result = [out](Napi::Env env) -> Napi::Value {
        Napi::Array heads = Napi::Array::New(env, out->rank.size());
        for (size_t i = 0; i < out->rank.size(); i++) {
            const sd_head & h = out->rank[i];
            Napi::Object o = Napi::Object::New(env);
            o.Set("layer", h.layer);
            o.Set("head", h.head);
            o.Set("grounding", h.grounding);
            o.Set("sink", h.sink);
            heads.Set(uint32_t(i), o);
        }
        Napi::Object o = Napi::Object::New(env);
        o.Set("used", out->used);
        o.Set("passed", out->passed);
        o.Set("heads", heads);
        return o;
    };
    return w->submit(job);
}

// headsDrop(ranking): frees it after the jobs before
Napi::Value model_wrap::heads_drop(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "ranking");
    auto core = c;
    auto job  = std::make_shared<worker_job>();
    job->run = [core, id](worker_job &) { core->heads.erase(id); };
    return w->submit(job);
}
