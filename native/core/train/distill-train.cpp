#include "distill-train.h"

#include "backend.h"
#include "error.h"

#include "ggml-backend.h"

#include <algorithm>
#include <cmath>

static std::unique_ptr<sd_train> make(sd_cells & c, rpn_trainer_ptr trainer) {
    auto t = std::make_unique<sd_train>(c);
    t->trainer = std::move(trainer);
    const int branch = rpn_train_hparams(t->trainer.get()).branch;
    sd_tap_init(t->tap, c.model.family->states_after(branch - 1), branch);
    return t;
}

std::unique_ptr<sd_train> sd_train_start(sd_cells & c, int branch, int n_block, const rpn_train_params & params) {
    return make(c, rpn_train_init(rpn_weights_from_base(c.model.params.model, branch, n_block), params, c.model.gpu));
}

std::unique_ptr<sd_train> sd_train_resume(sd_cells & c, const std::string & path, const rpn_train_params & params) {
    const sd_model & m = c.model;
    std::string note;
    auto t = make(c, rpn_train_resume(path, params, m.gpu, note));
    const rpn_hparams & hp = rpn_train_hparams(t->trainer.get());
    if (hp.n_embd != m.info.n_embd || hp.base_n_layer != m.info.n_layer || hp.branch + hp.n_block > m.info.n_layer) {
        throw sd_error("RPN_MISMATCH",
            sd_format("The training checkpoint %s was made for a model of width %d with %d layers, but this model's width is %d and it has %d layers",
                path.c_str(), hp.n_embd, hp.base_n_layer, m.info.n_embd, m.info.n_layer));
    }
    return t;
}

// a layout's cells up to layer K; their hidden states
static std::vector<float> run(sd_train & t, llama_seq_id seq, const sd_layout & layout, const float * embd) {
    sd_model & m = t.model;
    const int n = layout.size();
    rpn_hidden_reset(sd_backend_cpu(), m.info.n_embd, t.hidden, n);
    sd_decode_tapped(t.cells, seq, layout, embd, t.tap, t.hidden, true);
    std::vector<float> out(size_t(n) * m.info.n_embd);
    ggml_backend_tensor_get(t.hidden.x, out.data(), 0, out.size() * sizeof(float));
    if (!std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); })) {
        throw sd_error("MODEL_INVALID",
            sd_format(
                "The model returned hidden states that are not finite before layer %d: its file may be damaged", rpn_train_hparams(t.trainer.get()).branch));
    }
    return out;
}

size_t sd_train_add(sd_train & t, const std::vector<llama_token> & system, const sd_view & view, std::vector<sd_train_question> questions) {
    sd_model & m = t.model;
    const sd_layout layout = sd_layout_prefix(*m.family, system, sd_part_of(view, m.family->grid_of(view.size())));
    const int n_img = layout.n_rows, n_prefix = layout.size();
    for (const sd_train_question & q : questions) {
        if (q.tokens.empty() || int(q.labels.size()) != n_img) {
            throw sd_error("INVALID_ARGUMENT",
                sd_format(
                    "Expected a question of at least one token and %d labels but received %zu tokens and %zu labels", n_img, q.tokens.size(), q.labels.size()));
        }
        const int64_t n = n_prefix + sd_layout_question_size(*m.family, {}, q.tokens.size());
        if (n > m.info.context_size) {
            throw sd_error("CONTEXT_OVERFLOW",
                sd_format(
                    "The prompt has %lld tokens but the context holds %d: use a larger contextSize or a shorter question", (long long) n, m.info.context_size));
        }
    }
    sd_cells_evict_all(t.cells); // their cells would be missing here where the context is small
    const std::vector<float> features = m.vision->encode(view);

    sd_seq_scope seq(t.cells);
    const auto prefix = std::make_shared<std::vector<float>>(run(t, seq.seq, layout, features.data()));

    size_t bytes = prefix->size() * sizeof(float);
    std::map<int, sd_train_pair> pairs;
    for (sd_train_question & q : questions) {
        const sd_layout asked = sd_layout_question(*m.family, layout, {}, q.tokens);
        sd_layout whole = layout;
        whole.cells.insert(whole.cells.end(), asked.cells.begin(), asked.cells.end());
        sd_seq_scope work(t.cells);
        sd_seq_share(t.cells, seq.seq, work.seq);
        sd_train_pair & p = pairs[q.id];
        p.question = run(t, work.seq, asked, nullptr);
        p.positions = sd_layout_positions(*m.family, whole, rpn_train_hparams(t.trainer.get()).n_pos_rows());
        p.prefix = prefix;
        p.labels = std::move(q.labels);
        bytes += p.question.size() * sizeof(float) + p.positions.size() * sizeof(int32_t) + p.labels.size();
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
        s.hidden = prompts.back().data(); // stays where it is when the list grows
        s.n_tokens = int(prompts.back().size() / n_embd);
        s.n_img = int(p.labels.size());
        s.img_start = int(p.prefix->size() / n_embd) - s.n_img;
        s.i_query = s.n_tokens - 1;
        s.labels = p.labels.data();
        s.positions = p.positions.data();
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
