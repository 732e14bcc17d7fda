#include "generate.h"

#include "error.h"

#include "ggml.h"

#include <algorithm>

static double ms_since(int64_t start) {
    return double(ggml_time_us() - start) / 1000.0;
}

sd_answer::~sd_answer() {
    if (seq >= 0) {
        sd_seq_release(model, seq);
    }
    if (sampler) {
        llama_sampler_free(sampler);
    }
}

static llama_sampler * make_sampler(const sd_generate_params & p) {
    llama_sampler_chain_params cp = llama_sampler_chain_default_params();
    cp.no_perf = true;
    llama_sampler * chain = llama_sampler_chain_init(cp);
    if (p.temperature <= 0) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return chain;
    }
    if (p.top_k > 0) {
        llama_sampler_chain_add(chain, llama_sampler_init_top_k(p.top_k));
    }
    if (p.top_p < 1) {
        llama_sampler_chain_add(chain, llama_sampler_init_top_p(p.top_p, 1));
    }
    llama_sampler_chain_add(chain, llama_sampler_init_temp(p.temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(p.seed));
    return chain;
}

// Feeds [views][question] after the session's prefix (as the reference: right after the source image, no separators, positions
// running on; of a masked view just the kept tokens). Logits of the last token are ready afterwards.
static void feed_prompt(sd_answer & a, sd_session & s, const std::vector<llama_token> & question, const std::vector<sd_view> & views) {
    sd_model & m = a.model;
    const int n_tokens = m.vision->n_tokens, n_embd = m.info.n_embd;
    for (const sd_view & v : views) {
        if (!v.masked) {
            a.n_roi += n_tokens;
            continue;
        }
        for (size_t i = 0; i < v.keep.size(); i++) {
            if (v.keep[i] < (i ? v.keep[i - 1] + 1 : 0) || v.keep[i] >= n_tokens) {
                throw sd_error("INVALID_ARGUMENT", sd_format("Expected ascending cells between 0 and %d in keep but received %d", n_tokens - 1, v.keep[i]));
            }
        }
        a.n_roi += int(v.keep.size());
    }
    a.n_prompt = s.n_prefix() + a.n_roi + int(question.size());
    if (question.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected a question of at least one token");
    }
    if (a.n_prompt >= m.info.context_size) {
        throw sd_error("CONTEXT_OVERFLOW", sd_format("The prompt has %d tokens but the context holds %d: use a larger contextSize or a shorter question", a.n_prompt, m.info.context_size));
    }

    a.n_reused = sd_session_prefix(s, SD_PREFIX_FULL, a.timings);

    std::vector<float> embd; // all views in one pass
    embd.reserve(size_t(a.n_roi) * n_embd);
    for (const sd_view & v : views) {
        sd_check_cancel(m);
        const int64_t start = ggml_time_us();
        const std::vector<float> f = sd_vision_encode(*m.vision, v.rgb.data(), v.rgb.size());
        a.timings.vision += ms_since(start);
        if (v.masked) {
            for (int32_t cell : v.keep) {
                embd.insert(embd.end(), f.begin() + size_t(cell) * n_embd, f.begin() + size_t(cell + 1) * n_embd);
            }
        } else {
            embd.insert(embd.end(), f.begin(), f.end());
        }
    }
    const int64_t start = ggml_time_us();
    if (views.empty()) {
        a.seq = sd_session_go_on(s, question);
        if (a.seq >= 0) {
            a.pos = a.n_prompt;
            a.timings.prefill += ms_since(start);
            return;
        }
    }
    sd_session_forget_question(s); // its cells are free for the second look
    a.seq = sd_seq_acquire(m);
    llama_memory_seq_cp(llama_get_memory(m.ctx), s.seq, a.seq, -1, -1);
    a.pos = s.n_prefix();
    sd_decode(m, a.seq, a.pos, nullptr, embd.data(), a.n_roi, false);
    a.pos += a.n_roi;
    sd_decode(m, a.seq, a.pos, question.data(), nullptr, int(question.size()), true);
    a.pos += int(question.size());
    a.timings.prefill += ms_since(start);
}

std::string sd_token_text(const llama_vocab * vocab, llama_token token) {
    std::string s(64, '\0');
    int n = llama_token_to_piece(vocab, token, &s[0], int(s.size()), 0, false);
    if (n < 0) {
        s.resize(-n);
        n = llama_token_to_piece(vocab, token, &s[0], int(s.size()), 0, false);
    }
    s.resize(std::max(0, n));
    return s;
}

static void end(sd_answer & a) {
    const std::string rest = a.text.finish();
    if (!rest.empty() && a.on_text) {
        a.on_text(rest);
    }
    sd_seq_release(a.model, a.seq); // the cells are free for others while the result travels
    a.seq = -1;
}

// takes the next token from the logits at index i of the last batch
static void sample(sd_answer & a, int i) {
    sd_model & m = a.model;
    if (a.params.ignore_eos) { // for measurements: an answer of exactly max_tokens
        float * logits = llama_get_logits_ith(m.ctx, i);
        for (llama_token t = 0; t < m.info.n_vocab; t++) {
            if (llama_vocab_is_eog(m.vocab, t)) {
                logits[t] = -1e30f;
            }
        }
    }
    const llama_token token = llama_sampler_sample(a.sampler, m.ctx, i);
    if (llama_vocab_is_eog(m.vocab, token)) {
        a.finish = SD_FINISH_STOP;
    } else {
        a.tokens.push_back(token);
        a.next = token;
        const std::string out = a.text.push(sd_token_text(m.vocab, token));
        if (!out.empty() && a.on_text) {
            a.on_text(out);
        }
        if (a.text.stopped) {
            a.finish = SD_FINISH_STOP;
        } else if (int(a.tokens.size()) >= a.params.max_tokens || a.pos >= m.info.context_size) {
            a.finish = SD_FINISH_LENGTH;
        }
    }
    if (a.finish != SD_FINISH_NONE) {
        end(a);
    }
}

void sd_answer_abort(sd_answer & a) {
    a.finish = SD_FINISH_ABORTED;
    end(a);
}

std::unique_ptr<sd_answer> sd_answer_start(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views,
        const sd_generate_params & params, std::function<void(const std::string &)> on_text) {
    auto a = std::make_unique<sd_answer>(session.model);
    a->params    = params;
    a->text.stop = params.stop;
    a->on_text   = std::move(on_text);
    a->sampler   = make_sampler(params);
    feed_prompt(*a, session, question, views);
    const int64_t start = ggml_time_us();
    sample(*a, -1);
    a->timings.generate += ms_since(start);
    return a;
}

void sd_answer_step(sd_model & m, const std::vector<sd_answer *> & answers) {
    const int n = int(answers.size());
    std::vector<llama_token>    tokens(n);
    std::vector<llama_pos>      pos(n);
    std::vector<int32_t>        n_seq(n, 1);
    std::vector<llama_seq_id *> seqs(n);
    std::vector<int8_t>         out(n, 1);
    for (int i = 0; i < n; i++) {
        tokens[i] = answers[i]->next;
        pos[i]    = answers[i]->pos;
        seqs[i]   = &answers[i]->seq;
    }
    llama_batch batch = {};
    batch.n_tokens = n;
    batch.token    = tokens.data();
    batch.pos      = pos.data();
    batch.n_seq_id = n_seq.data();
    batch.seq_id   = seqs.data();
    batch.logits   = out.data();

    const int64_t start = ggml_time_us();
    sd_decode_batch(m, batch);
    for (int i = 0; i < n; i++) {
        answers[i]->pos++;
        sample(*answers[i], i);
    }
    const double ms = ms_since(start);
    for (sd_answer * a : answers) {
        a->timings.generate += ms;
    }
}

std::vector<float> sd_next_logits(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views) {
    sd_answer a(session.model);
    feed_prompt(a, session, question, views);
    const float * logits = llama_get_logits_ith(session.model.ctx, -1);
    return std::vector<float>(logits, logits + session.model.info.n_vocab);
}
