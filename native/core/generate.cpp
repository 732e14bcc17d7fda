#include "generate.h"

#include "error.h"

#include "ggml.h"

#include <algorithm>

static double ms_since(int64_t start) {
    return double(ggml_time_us() - start) / 1000.0;
}

sd_answer::~sd_answer() {
    if (seq >= 0) {
        sd_seq_release(cells, seq);
    }
    if (sampler) {
        llama_sampler_free(sampler);
    }
}

struct sampler_deleter {
    void operator()(llama_sampler * s) const { llama_sampler_free(s); }
};

static std::unique_ptr<llama_sampler, sampler_deleter> make_sampler(const sd_generate_params & p) {
    llama_sampler_chain_params cp = llama_sampler_chain_default_params();
    cp.no_perf = true;
    std::unique_ptr<llama_sampler, sampler_deleter> chain(llama_sampler_chain_init(cp));
    if (p.temperature <= 0) {
        llama_sampler_chain_add(chain.get(), llama_sampler_init_greedy());
        return chain;
    }
    if (p.top_k > 0) {
        llama_sampler_chain_add(chain.get(), llama_sampler_init_top_k(p.top_k));
    }
    if (p.top_p < 1) {
        llama_sampler_chain_add(chain.get(), llama_sampler_init_top_p(p.top_p, 1));
    }
    llama_sampler_chain_add(chain.get(), llama_sampler_init_temp(p.temperature));
    llama_sampler_chain_add(chain.get(), llama_sampler_init_dist(p.seed));
    return chain;
}

// the embeddings of all second looks, of masked ones just the kept cells'
static std::vector<float> encode_looks(sd_answer & a, const std::vector<sd_view> & views) {
    sd_model & m = a.model;
    const size_t n_row = m.family->n_embd_row;
    std::vector<float> embd;
    embd.reserve(size_t(a.n_roi) * n_row);
    for (const sd_view & v : views) {
        sd_check_cancel(m);
        const int64_t start = ggml_time_us();
        const std::vector<float> f = m.vision->encode(v);
        a.timings.vision += ms_since(start);
        if (v.masked) {
            for (int32_t cell : v.keep) {
                embd.insert(embd.end(), f.begin() + size_t(cell) * n_row, f.begin() + size_t(cell + 1) * n_row);
            }
        } else {
            embd.insert(embd.end(), f.begin(), f.end());
        }
    }
    return embd;
}

// the rest of a question, behind the n tokens that the last turn left
static void go_on_from_turn(sd_answer & a, sd_session & s, const std::vector<llama_token> & question, size_t n) {
    const sd_family & family = *a.model.family;
    const llama_pos next = s.turn->first + llama_pos(n) * family.pos_step;
    a.n_earlier = s.turn->n_before + int(n);
    sd_session_forget_question(s);
    sd_seq_scope work(a.cells, sd_turn_take(*s.turn, n));
    sd_decode(a.cells, work.seq, sd_layout_tokens(family, { question.begin() + n, question.end() }, next), nullptr, true);
    a.seq = work.keep();
}

void sd_answer_prompt(sd_answer & a, sd_session & s, const std::vector<llama_token> & question, const std::vector<sd_view> & views, size_t reserve) {
    sd_model & m = a.model;
    std::vector<sd_part> looks;
    for (const sd_view & v : views) {
        looks.push_back(sd_part_of(v, m.family->grid_of(v.size())));
        a.n_roi += looks.back().n_cells();
    }
    if (question.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected a question of at least one token");
    }
    const int64_t n_prompt = s.n_prefix() + sd_layout_question_size(*m.family, looks, question.size());
    if (n_prompt + int64_t(reserve) > m.info.context_size) {
        const std::string more = reserve > 1 ? sd_format(", and the answer may take %zu,", reserve) : "";
        throw sd_error("CONTEXT_OVERFLOW",
            sd_format("The prompt has %lld tokens%s but the context holds %d: use a larger contextSize or a shorter question", (long long) n_prompt,
                more.c_str(), m.info.context_size));
    }
    const sd_layout layout = sd_layout_question(*m.family, s.prefix, looks, question);
    a.n_prompt = int(n_prompt);
    a.n_reused = sd_session_prefix(s, SD_PREFIX_FULL, a.timings);

    const size_t n_earlier = a.params.turn.reuse && s.turn ? sd_turn_common(*s.turn, views, question) : 0;
    std::vector<float> embd;
    if (n_earlier == 0) {
        embd = encode_looks(a, views);
    }
    const int64_t start = ggml_time_us();
    if (views.empty() && n_earlier == 0) {
        a.seq = sd_session_go_on(s, question);
    }
    if (n_earlier > 0) {
        go_on_from_turn(a, s, question, n_earlier);
    } else if (a.seq < 0) {
        sd_session_forget_question(s); // its cells are free for the second look
        sd_seq_scope work(a.cells);
        sd_seq_share(a.cells, s.seq, work.seq);
        sd_decode(a.cells, work.seq, layout, embd.data(), true);
        a.seq = work.keep();
    }
    a.n_cells = a.n_prompt;
    a.pos = layout.next;
    if (a.params.turn.keep) {
        const int n_question = int(question.size());
        a.own = std::make_unique<sd_turn>(a.cells);
        a.own->looks = views;
        a.own->tokens.reserve(question.size() + size_t(std::min(a.params.max_tokens, m.info.context_size - a.n_prompt))); // leaving must not fail
        a.own->tokens = question;
        a.own->first = layout.next - n_question * m.family->pos_step;
        a.own->n_before = layout.size() - n_question;
        if (!s.turn) {
            s.turn = std::make_shared<sd_turn>(a.cells);
        }
        a.turn = s.turn;
    }
    a.timings.prefill += ms_since(start);
}

void sd_answer_leave(sd_answer & a) {
    const auto turn = a.turn.lock();
    if (turn && a.own) {
        a.own->tokens.insert(a.own->tokens.end(), a.tokens.begin(), a.tokens.begin() + (a.n_cells - a.n_prompt));
        sd_turn_forget(*turn);
        turn->looks = std::move(a.own->looks);
        turn->tokens = std::move(a.own->tokens);
        turn->first = a.own->first;
        turn->n_before = a.own->n_before;
        turn->seq = a.seq;
        a.own.reset();
    } else {
        sd_seq_release(a.cells, a.seq); // the cells are free for others while the result travels
    }
    a.seq = -1;
}

std::string sd_token_text(const llama_vocab * vocab, llama_token token, bool special) {
    std::string s(64, '\0');
    int n = llama_token_to_piece(vocab, token, &s[0], int(s.size()), 0, special);
    if (n < 0) {
        s.resize(-n);
        n = llama_token_to_piece(vocab, token, &s[0], int(s.size()), 0, special);
    }
    s.resize(std::max(0, n));
    return s;
}

static void end(sd_answer & a) {
    const std::string rest = a.text.finish();
    if (!rest.empty() && a.on_text) {
        a.on_text(rest);
    }
    sd_answer_leave(a);
}

// The sampler's choice from the logits at index i of the last batch. Only where the grammar does not allow it are all tokens tried
// against the grammar, and the sampler chooses from those that it allows.
static llama_token next_token(sd_answer & a, int i) {
    const llama_token token = llama_sampler_sample(a.sampler, a.cells.ctx, i);
    if (!a.grammar || a.grammar->allows(token)) {
        return token;
    }
    const float * logits = llama_get_logits_ith(a.cells.ctx, i);
    std::vector<llama_token_data> candidates;
    for (llama_token t = 0; t < a.model.info.n_vocab; t++) {
        candidates.push_back({ t, logits[t], 0.0f });
    }
    a.grammar->keep_allowed(candidates);
    if (candidates.empty()) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("The answer cannot go on under its grammar: after %zu tokens the model has none for what may follow", a.tokens.size()));
    }
    llama_token_data_array allowed = { candidates.data(), candidates.size(), -1, false };
    llama_sampler_apply(a.sampler, &allowed);
    return allowed.data[allowed.selected].id;
}

// takes the next token from the logits at index i of the last batch
static void sample(sd_answer & a, int i) {
    sd_model & m = a.model;
    if (a.params.ignore_eos) { // for measurements: an answer of exactly max_tokens
        float * logits = llama_get_logits_ith(a.cells.ctx, i);
        for (llama_token t = 0; t < m.info.n_vocab; t++) {
            if (llama_vocab_is_eog(m.vocab, t)) {
                logits[t] = -1e30f;
            }
        }
    }
    const llama_token token = next_token(a, i);
    if (llama_vocab_is_eog(m.vocab, token)) {
        a.finish = SD_FINISH_STOP;
    } else {
        a.tokens.push_back(token);
        if (a.params.logprobs) {
            a.logprobs.push_back(sd_logprobs_of(llama_get_logits_ith(a.cells.ctx, i), m.info.n_vocab, token, a.params.n_top));
        }
        a.next = token;
        if (a.grammar) {
            a.grammar->accept(token);
        }
        const std::string out = a.text.push(sd_token_text(m.vocab, token));
        if (!out.empty() && a.on_text) {
            a.on_text(out);
        }
        if (a.text.stopped || (a.grammar && a.grammar->is_complete())) {
            a.finish = SD_FINISH_STOP;
        } else if (int(a.tokens.size()) >= a.params.max_tokens || a.n_cells >= m.info.context_size) {
            a.finish = SD_FINISH_LENGTH;
        }
    }
    if (a.finish != SD_FINISH_NONE) {
        end(a);
    }
}

// A fault of one answer, such as its grammar's, is not one of those beside it.
static void sample_alone(sd_answer & a, int i) {
    try {
        sample(a, i);
    } catch (const sd_error &) {
        a.error = std::current_exception();
        a.finish = SD_FINISH_FAILED;
        end(a);
    }
}

void sd_answer_abort(sd_answer & a) {
    a.finish = SD_FINISH_ABORTED;
    end(a);
}

std::unique_ptr<sd_answer> sd_answer_start(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views,
    const sd_generate_params & params, std::function<void(const std::string &)> on_text) {
    auto a = std::make_unique<sd_answer>(session.cells);
    a->params = params;
    a->text.stop = params.stop;
    a->on_text = std::move(on_text);
    a->sampler = make_sampler(params).release();
    if (!params.grammar.empty()) {
        a->grammar = std::make_unique<sd_grammar>(a->model.vocab, params.grammar);
    }
    sd_answer_prompt(*a, session, question, views);
    const int64_t start = ggml_time_us();
    sample(*a, -1);
    a->timings.generate += ms_since(start);
    return a;
}

void sd_answer_step(sd_cells & c, const std::vector<sd_answer *> & answers) {
    const int n = int(answers.size());
    std::vector<llama_token> tokens(n);
    std::vector<llama_pos> pos(n);
    std::vector<int32_t> n_seq(n, 1);
    std::vector<llama_seq_id *> seqs(n);
    std::vector<int8_t> out(n, 1);
    for (int i = 0; i < n; i++) {
        tokens[i] = answers[i]->next;
        pos[i] = answers[i]->pos;
        seqs[i] = &answers[i]->seq;
    }
    llama_batch batch = {};
    batch.n_tokens = n;
    batch.token = tokens.data();
    batch.pos = pos.data();
    batch.n_seq_id = n_seq.data();
    batch.seq_id = seqs.data();
    batch.logits = out.data();

    const int64_t start = ggml_time_us();
    sd_decode_batch(c, batch);
    for (int i = 0; i < n; i++) {
        answers[i]->pos += c.model.family->pos_step;
        answers[i]->n_cells++;
        sample_alone(*answers[i], i);
    }
    const double ms = ms_since(start);
    for (sd_answer * a : answers) {
        a->timings.generate += ms;
    }
}

std::vector<float> sd_next_logits(sd_session & session, const std::vector<llama_token> & question, const std::vector<sd_view> & views) {
    sd_answer a(session.cells);
    sd_answer_prompt(a, session, question, views);
    const float * logits = llama_get_logits_ith(session.cells.ctx, -1);
    return std::vector<float>(logits, logits + session.model.info.n_vocab);
}
