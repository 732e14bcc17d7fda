// class Model, the jobs of choices.

#include "model_job.h"

#include "args.h"
#include "choose.h"

// tokenizeAnswers(markup, texts) -> Int32Array[]: as the model writes them behind a prompt that ends with the markup. Runs while
// answers are being written.
Napi::Value model_wrap::tokenize_answers(const Napi::CallbackInfo & info) {
    std::vector<std::string> texts;
    args::for_each(info[1], "texts", [&](const Napi::Value & text) { texts.push_back(args::string(text, "text")); });
    auto job = std::make_shared<worker_job>();
    job->between_steps = true;
    auto run = [markup = args::string(info[0], "markup"), texts = std::move(texts)](core & c, worker_job & j) {
        std::vector<std::vector<llama_token>> out;
        for (const std::string & text : texts) {
            check_cancel(j);
            out.push_back(sd_answer_tokens(c.model->tokenizer, markup, text));
        }
        return out;
    };
    return on_model(job, std::move(run), [](Napi::Env env, const std::vector<std::vector<llama_token>> & all) {
        Napi::Array out = Napi::Array::New(env, all.size());
        for (uint32_t i = 0; i < all.size(); i++) {
            out.Set(i, args::to_array(env, all[i]));
        }
        return out;
    });
}

// choose(session, tokens, views, choices, turn) -> { logprobs, promptTokens, roiTokens, reusedTokens, earlierTokens, bytes, timings }; choices
// are tokens
Napi::Value model_wrap::choose(const Napi::CallbackInfo & info) {
    struct out_t {
        sd_choices is;
        size_t bytes = 0;
    };
    std::vector<std::vector<llama_token>> choices;
    args::for_each(info[3], "choices", [&](const Napi::Value & tokens) { choices.push_back(args::int32s(tokens, "tokens")); });
    auto run = [id = args::integer(info[0], "session"), tokens = args::int32s(info[1], "tokens"), views = read_views(info[2]), choices = std::move(choices),
                   turn = read_turn(info[4])](core & c, worker_job &) mutable {
        sd_session & s = c.session(id);
        for (const auto & choice : choices) {
            c.checked(choice);
        }
        out_t out;
        out.is = sd_choose(s, c.checked(tokens), views, choices, turn);
        out.bytes = s.bytes();
        return out;
    };
    return on_model(std::move(run), [](Napi::Env env, const out_t & out) {
        Napi::Object o = Napi::Object::New(env);
        o.Set("logprobs", args::to_array(env, out.is.logprobs));
        o.Set("promptTokens", out.is.n_prompt);
        o.Set("roiTokens", out.is.n_roi);
        o.Set("reusedTokens", out.is.n_reused);
        o.Set("earlierTokens", out.is.n_earlier);
        o.Set("bytes", double(out.bytes));
        o.Set("timings", timings_object(env, out.is.timings));
        return o;
    });
}
