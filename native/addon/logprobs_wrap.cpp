#include "logprobs_wrap.h"

std::vector<named_logprobs> name_logprobs(const sd_answer & a) {
    const auto with_text = [&](const sd_logprob & p) { return named_logprob{ p, sd_token_text(a.model.vocab, p.token, true) }; };
    std::vector<named_logprobs> out;
    out.reserve(a.logprobs.size());
    for (const sd_token_logprobs & t : a.logprobs) {
        out.push_back({ with_text(t.chosen), {} });
        for (const sd_logprob & p : t.top) {
            out.back().top.push_back(with_text(p));
        }
    }
    return out;
}

static Napi::Object logprob_object(Napi::Env env, const named_logprob & p) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("id", p.is.token);
    o.Set("text", p.text);
    o.Set("logprob", p.is.logprob);
    return o;
}

Napi::Array logprobs_array(Napi::Env env, const std::vector<named_logprobs> & tokens) {
    Napi::Array out = Napi::Array::New(env, tokens.size());
    for (uint32_t i = 0; i < tokens.size(); i++) {
        const Napi::HandleScope scope(env);
        Napi::Array top = Napi::Array::New(env, tokens[i].top.size());
        for (uint32_t k = 0; k < tokens[i].top.size(); k++) {
            top.Set(k, logprob_object(env, tokens[i].top[k]));
        }
        Napi::Object o = logprob_object(env, tokens[i].chosen);
        o.Set("top", top);
        out.Set(i, o);
    }
    return out;
}
