// class Model, the jobs of pictures, regions and answers.

#include "model_job.h"

#include "args.h"
#include "joined.h"
#include "logprobs_wrap.h"

namespace {

struct opened {
    int id = 0, tokens = 0;
    size_t bytes = 0;
    sd_timings t;
};

} // namespace

static Napi::Value opened_object(Napi::Env env, const opened & out) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("session", out.id);
    o.Set("tokens", out.tokens);
    o.Set("bytes", double(out.bytes));
    o.Set("timings", timings_object(env, out.t));
    return o;
}

static void check_room(const sd_session & s) {
    if (s.n_prefix() >= s.model.info.context_size) {
        throw sd_error("CONTEXT_OVERFLOW",
            sd_format("The image%s and the text before it take %d tokens but the context holds %d: use a larger contextSize",
                s.prefix.pictures.size() > 1 ? "s" : "", s.n_prefix(), s.model.info.context_size));
    }
}

// open(tokens, view) -> { session, tokens, bytes, timings }; tokens are those before the image
Napi::Value model_wrap::open(const Napi::CallbackInfo & info) {
    auto run = [tokens = args::int32s(info[0], "tokens"), view = read_view(info[1])](core & c, worker_job & j) mutable {
        auto s = sd_session_open(*c.cells, c.checked(tokens), std::move(view));
        check_room(*s);
        opened out;
        sd_session_features(*s, out.t);
        check_cancel(j); // nobody would drop this session
        out.id = c.add(std::move(s), out.tokens, out.bytes);
        return out;
    };
    return on_model(std::move(run), opened_object);
}

// prune(session, keep) -> as open: a session of the same picture of which only these cells are fed
Napi::Value model_wrap::prune(const Napi::CallbackInfo & info) {
    auto run = [id = args::integer(info[0], "session"), keep = args::int32s(info[1], "keep")](core & c, worker_job & j) {
        opened out;
        auto s = sd_session_pruned(c.session(id), keep, out.t);
        check_cancel(j);
        out.id = c.add(std::move(s), out.tokens, out.bytes);
        return out;
    };
    return on_model(std::move(run), opened_object);
}

// join(tokens, sessions, between) -> as open: a session of all their pictures, for answers; `tokens` are those before the first one, `between`
// those between one and the next
Napi::Value model_wrap::join(const Napi::CallbackInfo & info) {
    std::vector<std::vector<llama_token>> between;
    args::for_each(info[2], "between", [&](const Napi::Value & tokens) { between.push_back(args::int32s(tokens, "tokens")); });
    auto run = [tokens = args::int32s(info[0], "tokens"), ids = args::int32s(info[1], "sessions"), between = std::move(between)](core & c, worker_job & j) {
        std::vector<sd_session *> pictures;
        for (int32_t id : ids) {
            pictures.push_back(&c.session(id));
        }
        for (const auto & text : between) {
            c.checked(text);
        }
        opened out;
        auto s = sd_session_joined(pictures, c.checked(tokens), between, out.t);
        check_room(*s);
        check_cancel(j);
        out.id = c.add(std::move(s), out.tokens, out.bytes);
        return out;
    };
    return on_model(std::move(run), opened_object);
}

// drop(session): frees it after the jobs before
Napi::Value model_wrap::drop(const Napi::CallbackInfo & info) {
    return on_model([id = args::integer(info[0], "session")](core & c, worker_job &) { c.sessions.erase(id); });
}

// encode(view) -> Float32Array [tokens * n_embd]
Napi::Value model_wrap::encode(const Napi::CallbackInfo & info) {
    auto run = [view = read_view(info[0])](core & c, worker_job & j) {
        std::vector<float> features = c.model->vision->encode(view);
        check_cancel(j);
        return features;
    };
    return on_model(std::move(run), args::to_array<float>);
}

// roi(session, tokens, { reserve, gate, everyToken }) -> { logits, most, sink, gate, reused, promptTokens, bytes, timings }; `gate`: the least
// score of the network's gate, or null where it is not asked; the first three are null where they were not computed
Napi::Value model_wrap::roi(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "session");
    const Napi::Object o = args::object(info[2], "params");
    const int reserve = args::integer(o.Get("reserve"), "reserve", 0);
    sd_region_params params;
    params.every_token = args::boolean(o.Get("everyToken"), "everyToken");
    if (!o.Get("gate").IsNull()) {
        params.gate = true;
        params.gate_least = float(args::number(o.Get("gate"), "gate"));
    }
    struct out_t {
        sd_region region;
        bool gated = false;
        int prompt = 0;
        size_t bytes = 0;
        sd_timings t;
    };
    auto run = [id, tokens = args::int32s(info[1], "tokens"), reserve, params](core & c, worker_job &) {
        sd_session & s = c.session(id);
        const int n_ctx = c.model->info.context_size;
        out_t out;
        out.prompt = s.n_prefix() + int(sd_layout_question_size(*c.model->family, {}, tokens.size()));
        if (int64_t(out.prompt) + reserve >= n_ctx) {
            throw sd_error("CONTEXT_OVERFLOW",
                sd_format(
                    "The prompt has %d tokens, and %d more are kept free for a second look, but the context holds %d: use a larger contextSize or a shorter question",
                    out.prompt, reserve, n_ctx));
        }
        out.region = sd_session_region(s, c.checked(tokens), params, out.t);
        out.gated = params.gate;
        out.bytes = s.bytes();
        return out;
    };
    return on_model(std::move(run), [](Napi::Env env, const out_t & out) {
        Napi::Object o = Napi::Object::New(env);
        auto values = [&](const std::vector<float> & v) { return v.empty() ? env.Null() : Napi::Value(args::to_array(env, v)); };
        o.Set("logits", values(out.region.logits));
        o.Set("most", values(out.region.most));
        o.Set("sink", values(out.region.sink));
        o.Set("gate", out.gated ? Napi::Value(Napi::Number::New(env, out.region.gate)) : env.Null());
        o.Set("reused", out.region.reused);
        o.Set("promptTokens", out.prompt);
        o.Set("bytes", double(out.bytes));
        o.Set("timings", timings_object(env, out.t));
        return o;
    });
}

// checkGrammar(text): rejects with INVALID_ARGUMENT where it is faulty. Runs while answers are being written.
Napi::Value model_wrap::check_grammar(const Napi::CallbackInfo & info) {
    auto job = std::make_shared<worker_job>();
    job->between_steps = true;
    return on_model(job, [text = args::string(info[0], "text")](core & c, worker_job &) { sd_grammar(c.model->vocab, text); });
}

sd_view read_view(const Napi::Value & v) {
    Napi::Object o = args::object(v, "view");
    sd_view view;
    view.rgb = args::bytes(o.Get("rgb"), "rgb");
    view.width = args::integer(o.Get("width"), "width", 1);
    view.height = args::integer(o.Get("height"), "height", 1);
    const Napi::Value keep = o.Get("keep"), box = o.Get("box");
    if (!keep.IsNull() && !keep.IsUndefined()) {
        view.masked = true;
        view.keep = args::int32s(keep, "keep");
    }
    if (!box.IsNull() && !box.IsUndefined()) {
        const std::vector<int32_t> b = args::int32s(box, "box");
        if (b.size() != 4) {
            throw args::expected(v.Env(), "four numbers", "box");
        }
        view.aligned = true;
        view.box = { b[0], b[1], b[2], b[3] };
        view.picture = args::integer(o.Get("picture"), "picture", 0);
    }
    return view;
}

std::vector<sd_view> read_views(const Napi::Value & v) {
    std::vector<sd_view> views;
    args::for_each(v, "views", [&](const Napi::Value & element) { views.push_back(read_view(element)); });
    return views;
}

sd_turn_params read_turn(const Napi::Value & v) {
    Napi::Object o = args::object(v, "turn");
    sd_turn_params p;
    p.keep = args::boolean(o.Get("keep"), "keep");
    p.reuse = args::boolean(o.Get("reuse"), "reuse");
    return p;
}

static sd_generate_params read_params(const Napi::Value & v) {
    Napi::Object o = args::object(v, "params");
    sd_generate_params p;
    p.max_tokens = args::integer(o.Get("maxTokens"), "maxTokens", 1);
    p.temperature = float(args::number(o.Get("temperature"), "temperature"));
    p.top_p = float(args::number(o.Get("topP"), "topP"));
    p.top_k = args::integer(o.Get("topK"), "topK", 0);
    p.seed = uint32_t(args::id(o.Get("seed"), "seed", 4294967295.0));
    p.ignore_eos = args::boolean(o.Get("ignoreEos"), "ignoreEos");
    p.grammar = args::string(o.Get("grammar"), "grammar");
    p.logprobs = args::boolean(o.Get("logprobs"), "logprobs");
    p.n_top = args::integer(o.Get("topLogprobs"), "topLogprobs", 0);
    p.turn = read_turn(o.Get("turn"));
    args::for_each(o.Get("stop"), "stop", [&](const Napi::Value & word) {
        p.stop.push_back(args::string(word, "stop"));
        if (p.stop.back().empty()) {
            throw args::expected(v.Env(), "non-empty strings", "stop");
        }
    });
    return p;
}

// answer(session, tokens, views, params, onText?) -> { text, finish, usage, timings, logprobs }; params are those of NativeGenerateParams (src/native/binding.ts)
Napi::Value model_wrap::answer(const Napi::CallbackInfo & info) {
    const int id = args::integer(info[0], "session");
    const sd_generate_params params = read_params(info[3]);

    struct out_t {
        std::string text;
        sd_finish finish = SD_FINISH_NONE;
        int prompt = 0, roi = 0, reused = 0, earlier = 0, completion = 0;
        size_t bytes = 0;
        sd_timings t;
        std::vector<named_logprobs> logprobs;
    };
    auto out = std::make_shared<out_t>();
    auto answer = std::make_shared<std::unique_ptr<sd_answer>>();
    auto job = std::make_shared<worker_job>();
    args::callback(*job, info[4], "onText");

    job->state = answer;
    job->on_cancel = [answer](queue_job &) { sd_answer_abort(**answer); };
    job->active = [answer, out](queue_job &) {
        sd_answer & a = **answer;
        if (a.finish == SD_FINISH_NONE) {
            return true;
        }
        if (a.error) {
            std::rethrow_exception(a.error);
        }
        out->text = a.text.text;
        out->finish = a.finish;
        out->prompt = a.n_prompt;
        out->roi = a.n_roi;
        out->reused = a.n_reused;
        out->earlier = a.n_earlier;
        out->completion = int(a.tokens.size());
        out->t = a.timings;
        out->logprobs = name_logprobs(a);
        answer->reset(); // on the thread that made it
        return false;
    };
    auto run = [id, tokens = args::int32s(info[1], "tokens"), views = read_views(info[2]), params, answer, out, wp = w.get()](
                   core & c, worker_job & j) mutable {
        sd_session & s = c.session(id);
        std::function<void(const std::string &)> on_text;
        if (j.callback) {
            on_text = [wp, jp = &j](const std::string & text) { wp->emit(*jp, text); };
        }
        *answer = sd_answer_start(s, c.checked(tokens), views, params, on_text);
        views.clear(); // the job lives as long as the answer
        out->bytes = s.bytes();
    };
    return on_model(job, std::move(run), [out, logprobs = params.logprobs](Napi::Env env) {
        Napi::Object o = Napi::Object::New(env);
        o.Set("text", out->text);
        o.Set("finishReason", out->finish == SD_FINISH_STOP ? "stop" : out->finish == SD_FINISH_LENGTH ? "length" : "aborted");
        o.Set("promptTokens", out->prompt);
        o.Set("roiTokens", out->roi);
        o.Set("reusedTokens", out->reused);
        o.Set("earlierTokens", out->earlier);
        o.Set("completionTokens", out->completion);
        o.Set("bytes", double(out->bytes));
        o.Set("timings", timings_object(env, out->t));
        o.Set("logprobs", logprobs ? Napi::Value(logprobs_array(env, out->logprobs)) : env.Null());
        return o;
    });
}
