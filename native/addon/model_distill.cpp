// class Model, the jobs of self-distillation: attention of the model while it answers.

#include "model_job.h"

#include "args.h"
#include "distill/label.h"

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

// attention(session, tokens, { layers, maxTokens, question }) ->
// { heads, cells, output, question, text, tokens, logLikelihood, timings }
Napi::Value model_wrap::attention(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "session");
    Napi::Object o = args::object(info[2], "params");
    sd_attention_params p;
    p.layers = args::int32s(o.Get("layers"), "layers");
    p.max_tokens = args::integer(o.Get("maxTokens"), "maxTokens", 1);
    p.question = args::boolean(o.Get("question"), "question");

    struct out_t {
        sd_attention a;
        sd_timings t;
    };
    auto run = [id, tokens = args::int32s(info[1], "tokens"), p](core & c, worker_job &) {
        out_t out;
        sd_attention_context & ctx = c.attention_on(id, out.t);
        clock_ms clock;
        out.a = sd_attention_capture(ctx, {}, c.checked(tokens), p);
        out.t.generate = clock.lap();
        return out;
    };
    return on_model(std::move(run), [](Napi::Env env, const out_t & out) {
        const sd_attention & a = out.a;
        Napi::Object o = Napi::Object::New(env);
        o.Set("heads", a.n_head);
        o.Set("cells", a.n_img);
        o.Set("output", args::to_array(env, a.output));
        o.Set("question", a.question.empty() ? env.Null() : Napi::Value(args::to_array(env, a.question)));
        o.Set("text", a.text);
        Napi::Array tokens = Napi::Array::New(env, a.tokens.size());
        for (size_t i = 0; i < a.tokens.size(); i++) {
            tokens.Set(uint32_t(i), Napi::Number::New(env, a.tokens[i]));
        }
        o.Set("tokens", tokens);
        o.Set("logLikelihood", a.log_likelihood);
        o.Set("timings", timings_object(env, out.t));
        return o;
    });
}

// labelMaps(session, tokens, { grounding, sink, maxTokens }) -> { grounding, sink, text, tokens, logLikelihood, timings };
// heads are Int32Arrays of layer, head, layer, head ...
Napi::Value model_wrap::label_maps(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "session");
    Napi::Object o = args::object(info[2], "params");
    sd_label_params p;
    p.grounding = read_heads(o.Get("grounding"), "grounding");
    p.sink = read_heads(o.Get("sink"), "sink");
    p.max_tokens = args::integer(o.Get("maxTokens"), "maxTokens", 1);

    struct out_t {
        sd_label_maps maps;
        sd_timings t;
    };
    auto run = [id, tokens = args::int32s(info[1], "tokens"), p](core & c, worker_job &) {
        out_t out;
        sd_attention_context & ctx = c.attention_on(id, out.t);
        clock_ms clock;
        out.maps = sd_label_capture(ctx, c.checked(tokens), p);
        out.t.generate = clock.lap();
        return out;
    };
    return on_model(std::move(run), [](Napi::Env env, const out_t & out) {
        const sd_label_maps & maps = out.maps;
        Napi::Object o = Napi::Object::New(env);
        o.Set("grounding", args::to_array(env, maps.grounding));
        o.Set("sink", args::to_array(env, maps.sink));
        o.Set("text", maps.text);
        o.Set("tokens", maps.n_tokens);
        o.Set("logLikelihood", maps.log_likelihood);
        o.Set("timings", timings_object(env, out.t));
        return o;
    });
}

// headsStart({ lattice, window, uncertainty, maxTokens }) -> id of a ranking, to be dropped
Napi::Value model_wrap::heads_start(const Napi::CallbackInfo & info) {
    Napi::Object o = args::object(info[0], "params");
    sd_heads_params p;
    p.lattice = args::integer(o.Get("lattice"), "lattice", 0);
    p.window = args::number(o.Get("window"), "window");
    p.uncertainty = args::number(o.Get("uncertainty"), "uncertainty");
    p.max_tokens = args::integer(o.Get("maxTokens"), "maxTokens", 1);
    auto run = [p](core & c, worker_job &) {
        auto heads = std::make_unique<sd_heads>(*c.model, p);
        const int id = c.next_heads++;
        c.heads[id] = std::move(heads);
        return id;
    };
    return on_model(run, [](Napi::Env env, int id) { return Napi::Number::New(env, id); });
}

static sd_heads & find_heads(const std::map<int, std::unique_ptr<sd_heads>> & heads, int id) {
    return find_by_id(heads, id, "INVALID_ARGUMENT", "Expected a ranking of heads that was started and not dropped");
}

// headsAdd(ranking, rgb, width, height, system, question, other) -> whether the pair was useful. rgb is read in place and must
// not change before the promise settles; the last three are tokens, other those of a different question, or none.
Napi::Value model_wrap::heads_add(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "ranking");
    const Napi::Uint8Array rgb = args::array<uint8_t>(info[1], "rgb");
    const int width = args::integer(info[2], "width", 1);
    const int height = args::integer(info[3], "height", 1);
    if (double(width) * height * 3 != double(rgb.ElementLength())) {
        throw args::expected(info.Env(), "width * height * 3 bytes", "rgb");
    }
    const sd_picture picture = { rgb.Data(), width, height };
    auto run = [id, picture, system = args::int32s(info[4], "system"), question = args::int32s(info[5], "question"), other = args::int32s(info[6], "other")](
                   core & c, worker_job &) {
        sd_heads & heads = find_heads(c.heads, id);
        c.attention_session = 0; // the pair's picture takes the place of a session's
        return sd_heads_add(heads, c.attention_context(), picture, c.checked(system), c.checked(question), c.checked(other));
    };
    auto job = std::make_shared<worker_job>();
    job->held.push_back(Napi::Persistent(rgb.As<Napi::Object>()));
    return on_model(job, std::move(run), Napi::Boolean::New);
}

// headsRank(ranking) -> { used, passed, heads: [{ layer, head, grounding, sink }] }, best grounding first
Napi::Value model_wrap::heads_rank(const Napi::CallbackInfo & info) {
    struct out_t {
        int used = 0, passed = 0;
        std::vector<sd_head> rank;
    };
    auto run = [id = args::integer(info[0], "ranking")](core & c, worker_job &) {
        const sd_heads & heads = find_heads(c.heads, id);
        return out_t{ heads.n_used, heads.n_passed, sd_heads_rank(heads) };
    };
    return on_model(run, [](Napi::Env env, const out_t & out) {
        Napi::Array heads = Napi::Array::New(env, out.rank.size());
        for (size_t i = 0; i < out.rank.size(); i++) {
            const sd_head & h = out.rank[i];
            Napi::Object o = Napi::Object::New(env);
            o.Set("layer", h.layer);
            o.Set("head", h.head);
            o.Set("grounding", h.grounding);
            o.Set("sink", h.sink);
            heads.Set(uint32_t(i), o);
        }
        Napi::Object o = Napi::Object::New(env);
        o.Set("used", out.used);
        o.Set("passed", out.passed);
        o.Set("heads", heads);
        return o;
    });
}

// headsDrop(ranking): frees it after the jobs before
Napi::Value model_wrap::heads_drop(const Napi::CallbackInfo & info) {
    return on_model([id = args::integer(info[0], "ranking")](core & c, worker_job &) { c.heads.erase(id); });
}
