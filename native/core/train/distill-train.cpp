#include "distill-train.h"

#include "backend.h"
#include "error.h"
#include "session.h"

#include "ggml-backend.h"

#include <algorithm>
#include <cmath>

static ggml_backend_dev_t device_of(const sd_model & m) {
    return m.params.gpu_layers == 0 ? nullptr : sd_backend_gpu(); // as sd_model_load has it
}

static std::unique_ptr<sd_train> make(sd_model & m, rpn_trainer_ptr trainer) {
    auto t = std::make_unique<sd_train>(m);
    t->trainer = std::move(trainer);
    sd_tap_init(t->tap, rpn_train_hparams(t->trainer.get()).branch);
    return t;
}

std::unique_ptr<sd_train> sd_train_start(sd_model & m, int branch, int n_block, const rpn_train_params & params) {
    return make(m, rpn_train_init(rpn_weights_from_base(m.params.model, branch, n_block), params, device_of(m)));
}

std::unique_ptr<sd_train> sd_train_resume(sd_model & m, const std::string & path, const rpn_train_params & params) {
    std::string note;
    auto t = make(m, rpn_train_resume(path, params, device_of(m), note));
    const rpn_hparams & hp = rpn_train_hparams(t->trainer.get());
    if (hp.n_embd != m.info.n_embd || hp.base_n_layer != m.info.n_layer || hp.branch + hp.n_block > m.info.n_layer) {
        throw sd_error("RPN_MISMATCH", sd_format("The training checkpoint %s was made for a model of width %d with %d layers, but this model's width is %d and it has %d layers",
            path.c_str(), hp.n_embd, hp.base_n_layer, m.info.n_embd, m.info.n_layer));
    }
    return t;
}

// n tokens or embeddings from position pos on, to layer K; their hidden states
static std::vector<float> run(sd_train & t, llama_seq_id seq, int pos, const llama_token * tokens, const float * embd, int n) {
    sd_model & m = t.model;
    rpn_hidden_reset(sd_backend_cpu(), m.info.n_embd, t.hidden, n);
    {
        sd_tap_scope tap(t.tap, m.ctx, &t.hidden, true);
        sd_decode(m, seq, pos, tokens, embd, n, false);
    }
    if (t.tap.failed || t.hidden.n != n) {
        throw sd_error("INTERNAL", "The hidden state " + t.tap.name + " has an unexpected shape");
    }
    std::vector<float> out(size_t(n) * m.info.n_embd);
    ggml_backend_tensor_get(t.hidden.x, out.data(), 0, out.size() * sizeof(float));
    if (!std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); })) {
        throw sd_error("MODEL_INVALID", sd_format("The model returned hidden states that are not finite before layer %d: its file may be damaged",
            rpn_train_hparams(t.trainer.get()).branch));
    }
    return out;
}

size_t sd_train_add(sd_train & t, const std::vector<llama_token> & system, const std::vector<uint8_t> & view, std::vector<sd_train_question> questions) {
    sd_model & m = t.model;
    const int n_img = m.vision->n_tokens, n_prefix = int(system.size()) + n_img;
    for (const sd_train_question & q : questions) {
        if (q.tokens.empty() || int(q.labels.size()) != n_img) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected a question of at least one token and %d labels but received %zu tokens and %zu labels",
                n_img, q.tokens.size(), q.labels.size()));
        }
        if (n_prefix + int(q.tokens.size()) > m.info.context_size) {
            throw sd_error("CONTEXT_OVERFLOW", sd_format("The prompt has %zu tokens but the context holds %d: use a larger contextSize or a shorter question",
                size_t(n_prefix) + q.tokens.size(), m.info.context_size));
        }
    }
    sd_session_evict_all(m); // their cells would be missing here where the context is small
    const std::vector<float> features = sd_vision_encode(*m.vision, view.data(), view.size());

    sd_seq_scope seq(m);
    auto prefix = std::make_shared<std::vector<float>>(run(t, seq.seq, 0, system.data(), nullptr, int(system.size())));
    const std::vector<float> image = run(t, seq.seq, int(system.size()), nullptr, features.data(), n_img);
    prefix->insert(prefix->end(), image.begin(), image.end());

    size_t bytes = prefix->size() * sizeof(float);
    std::map<int, sd_train_pair> pairs;
    for (sd_train_question & q : questions) {
        sd_seq_scope work(m);
        llama_memory_seq_cp(llama_get_memory(m.ctx), seq.seq, work.seq, -1, -1);
        sd_train_pair & p = pairs[q.id];
        p.question = run(t, work.seq, n_prefix, q.tokens.data(), nullptr, int(q.tokens.size()));
        p.prefix   = prefix;
        p.labels   = std::move(q.labels);
        bytes += p.question.size() * sizeof(float) + p.labels.size();
    }
    // nothing fails from here on: nodes move from one map to the other
    for (const auto & [id, _] : pairs) {
        t.pairs.erase(id);
    }
    t.pairs.merge(pairs);
    return bytes;
}

void sd_train_drop(sd_train & t, const std::vector<int> & ids) {
    for (int id : ids) {
        t.pairs.erase(id);
    }
}

// The pairs as samples. The trainer wants each prompt in one piece, put together in `prompts`.
static std::vector<rpn_train_sample> samples_of(const sd_train & t, const std::vector<int> & ids, std::vector<std::vector<float>> & prompts) {
    const size_t n_embd = size_t(t.model.info.n_embd);
    std::vector<rpn_train_sample> samples;
    for (int id : ids) {
        const auto it = t.pairs.find(id);
        if (it == t.pairs.end()) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected pairs that were added but received %d, which was not", id));
        }
        const sd_train_pair & p = it->second;
        std::vector<float> h = *p.prefix;
        h.insert(h.end(), p.question.begin(), p.question.end());
        prompts.push_back(std::move(h));

        rpn_train_sample s;
        s.hidden    = prompts.back().data(); // stays where it is when the list grows
        s.n_tokens  = int(prompts.back().size() / n_embd);
        s.n_img     = int(p.labels.size());
        s.img_start = int(p.prefix->size() / n_embd) - s.n_img;
        s.i_query   = s.n_tokens - 1;
        s.labels    = p.labels.data();
        samples.push_back(s);
    }
    return samples;
}

namespace {

// the model's job can be cancelled before each sample while in scope
struct sample_cancel_scope {
    rpn_trainer * t;
    explicit sample_cancel_scope(sd_train & train) : t(train.trainer.get()) { rpn_train_set_cancel(t, train.model.cancel); }
    ~sample_cancel_scope() { rpn_train_set_cancel(t, nullptr); }
};

} // namespace

void sd_train_accumulate(sd_train & t, const std::vector<int> & ids) {
    sample_cancel_scope cancel(t);
    try {
        std::vector<std::vector<float>> prompts;
        rpn_train_accumulate(t.trainer.get(), samples_of(t, ids, prompts));
    } catch (...) {
        rpn_train_clear(t.trainer.get());
        throw;
    }
}

void sd_train_eval(sd_train & t, const std::vector<int> & ids, rpn_train_metrics & metrics) {
    sample_cancel_scope cancel(t);
    std::vector<std::vector<float>> prompts;
    rpn_train_eval(t.trainer.get(), samples_of(t, ids, prompts), metrics);
}
