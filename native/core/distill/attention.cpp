#include "attention.h"

#include "attention-tap.h"
#include "error.h"
#include "family/layout.h"
#include "generate.h"
#include "log.h"
#include "logprobs.h"

#include <algorithm>
#include <cmath>

// logits of that many tokens at a time: at 32,000 pieces of vocabulary a token's logits are 128 KB
static const int N_OUTPUTS = 64;

struct sd_attention_context {
    sd_model & model;
    llama_context * ctx = nullptr;
    int n_ctx = 0;
    int n_ubatch = 0;
    sd_layout prefix;   // ends with the image's cells; empty: no image
    int n_cells = 0;    // that are filled
    llama_pos next = 0; // position of the next token
    sd_attention_tap tap;

    explicit sd_attention_context(sd_model & model) : model(model) {}
    ~sd_attention_context() { llama_free(ctx); }
};

void sd_attention_context_deleter::operator()(sd_attention_context * c) const {
    delete c;
}

const sd_model & sd_attention_model(const sd_attention_context & c) {
    return c.model;
}

sd_attention_context_ptr sd_attention_context_init(sd_model & model, int n_ctx, int n_ubatch) {
    if (n_ctx < 0 || n_ubatch < 1) {
        throw sd_error(
            "INVALID_ARGUMENT", sd_format("Expected a context of at least 0 tokens in pieces of at least 1 but received %d and %d", n_ctx, n_ubatch));
    }
    sd_attention_context_ptr c(new sd_attention_context(model));
    c->n_ctx = n_ctx > 0 ? n_ctx : model.info.context_size;
    c->n_ubatch = std::min(n_ubatch, c->n_ctx);
    c->tap.n_head = model.info.n_head;

    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = c->n_ctx;
    cp.n_batch = c->n_ubatch;
    cp.n_ubatch = c->n_ubatch;
    cp.n_seq_max = 1;
    cp.n_outputs_max = std::min(N_OUTPUTS, c->n_ubatch);
    cp.n_threads = model.info.n_threads;
    cp.n_threads_batch = model.info.n_threads;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    cp.no_perf = true;
    cp.rope_freq_scale = model.family->rope_freq_scale(model.lm);
    cp.offload_kqv = model.gpu != nullptr;
    cp.op_offload = model.gpu != nullptr;
    cp.abort_callback_data = &model;
    cp.abort_callback = sd_abort_callback;
    sd_log_take_error();
    c->ctx = llama_init_from_model(model.lm, cp);
    if (!c->ctx) {
        throw sd_error("OUT_OF_MEMORY",
            sd_format("A context of %d tokens without flash attention could not be made (%s): use a smaller one", c->n_ctx, sd_log_take_error().c_str()));
    }
    return c;
}

enum outputs { OUTPUTS_NONE, OUTPUTS_LAST, OUTPUTS_ALL };

// How many cells each token of a layout sees that begins at cell `first`. Where a family has one position a cell, those that share
// one see each other; of cells with several positions each sees those before it.
static std::vector<int> visible(const sd_layout & l, int first, int n_pos) {
    std::vector<int> n(l.size());
    for (int i = l.size() - 1; i >= 0; i--) {
        const bool shared = n_pos == 1 && i + 1 < l.size() && l.cells[i + 1].pos[0] == l.cells[i].pos[0];
        n[i] = shared ? n[i + 1] : first + i + 1;
    }
    return n;
}

// appends a layout, in pieces of the ubatch; the tap sees the last token's pass, or with all_rows every one
static void decode(sd_attention_context & c, const sd_layout & l, const float * embd, outputs out) {
    const int n_pos = c.model.family->n_pos;
    const std::vector<int> n_visible = visible(l, c.n_cells, n_pos);
    llama_seq_id seq = 0;
    std::vector<llama_token> token(c.n_ubatch);
    std::vector<llama_pos> pos(size_t(c.n_ubatch) * n_pos);
    std::vector<int32_t> n_seq(c.n_ubatch, 1);
    std::vector<llama_seq_id *> seqs(c.n_ubatch, &seq);
    std::vector<int8_t> logits(c.n_ubatch);

    for (int first = 0; first < l.size();) {
        sd_check_cancel(c.model);
        const bool tokens = l.cells[first].picture < 0;
        int count = 0;
        while (count < c.n_ubatch && first + count < l.size() && (l.cells[first + count].picture < 0) == tokens) {
            count++;
        }
        for (int i = 0; i < count; i++) {
            const sd_cell & cell = l.cells[first + i];
            token[i] = cell.token;
            logits[i] = out == OUTPUTS_ALL || (out == OUTPUTS_LAST && first + i == l.size() - 1);
            for (int r = 0; r < n_pos; r++) {
                pos[size_t(r) * count + i] = cell.pos[r];
            }
        }
        llama_batch batch = {};
        batch.n_tokens = count;
        batch.token = tokens ? token.data() : nullptr;
        batch.embd = tokens ? nullptr : const_cast<float *>(embd + size_t(l.cells[first].row) * c.model.family->n_embd_row);
        batch.pos = pos.data();
        batch.n_seq_id = n_seq.data();
        batch.seq_id = seqs.data();
        batch.logits = logits.data();
        sd_attention_tap_begin(c.tap, c.n_cells, { n_visible.begin() + first, n_visible.begin() + first + count });
        sd_log_take_error();
        const int rc = llama_decode(c.ctx, batch);
        if (rc == 2) {
            throw sd_error("ABORTED", "The operation was aborted");
        }
        if (rc != 0) {
            throw sd_error(rc == -2 ? "OUT_OF_MEMORY" : "INTERNAL", sd_format("llama_decode failed with %d: %s", rc, sd_log_take_error().c_str()));
        }
        sd_attention_tap_end(c.tap);
        c.n_cells += count;
        first += count;
    }
    c.next = l.next;
}

static int rows_of(const sd_attention_context & c, const std::vector<float> & embd, const char * what) {
    const size_t n_embd = c.model.family->n_embd_row;
    if (embd.size() % n_embd != 0) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected rows of %zu numbers for %s but received %zu numbers", n_embd, what, embd.size()));
    }
    return int(embd.size() / n_embd);
}

static void check_tokens(const sd_attention_context & c, const std::vector<llama_token> & tokens, const char * what) {
    for (llama_token t : tokens) {
        if (t < 0 || t >= c.model.info.n_vocab) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected tokens between 0 and %d in %s but received %d", c.model.info.n_vocab - 1, what, t));
        }
    }
}

static void check_fits(const sd_attention_context & c, size_t n, const char * what) {
    if (n > size_t(c.n_ctx)) {
        throw sd_error("CONTEXT_OVERFLOW", sd_format("%s %zu tokens but the context holds %d: use a larger context or a shorter question", what, n, c.n_ctx));
    }
}

void sd_attention_set_image(sd_attention_context & c, const std::vector<llama_token> & system, const std::vector<float> & features) {
    const sd_family & family = *c.model.family;
    const int n_img = rows_of(c, features, "features"), expected = family.grid.area();
    if (n_img != expected) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected features of %d tokens but received %d", expected, n_img));
    }
    check_tokens(c, system, "system");
    check_fits(c, system.size() + family.before.size() + n_img, "The text before the image and the image are");

    sd_layout prefix = sd_layout_prefix(family, system, sd_part{ family.grid, false, {}, false, {}, 0 });
    c.prefix = sd_layout(); // until all of it is there
    c.n_cells = 0;
    llama_memory_clear(llama_get_memory(c.ctx), false);
    sd_attention_tap_scope verify(c.tap, c.ctx, { 0 }, true, nullptr);
    decode(c, prefix, features.data(), OUTPUTS_NONE);
    c.prefix = std::move(prefix);
}

// what stands behind the image before the first generated token
struct asked_layout {
    sd_layout look; // up to the question's own tokens, with whatever an earlier question left there removed
    sd_layout question;
};

// The cells behind the image: second look, the family's own tokens, question. Those of the question's own are split off, since their
// attention is what is asked for.
static asked_layout lay_out(const sd_attention_context & c, const std::vector<float> & extra, const std::vector<llama_token> & question, size_t n_answer) {
    if (c.prefix.size() == 0) {
        throw sd_error("INVALID_ARGUMENT", "Expected an image before a question: call sd_attention_set_image first");
    }
    if (question.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected a question of at least one token");
    }
    const int n_extra = rows_of(c, extra, "extra views");
    check_tokens(c, question, "question");
    std::vector<sd_part> looks;
    if (n_extra > 0) {
        looks.push_back({ { n_extra, 1 }, false, {} });
    }
    check_fits(c, c.prefix.size() + size_t(sd_layout_question_size(*c.model.family, looks, question.size())) + n_answer, "Prompt and answer have at least");
    asked_layout out;
    out.look = sd_layout_question(*c.model.family, c.prefix, looks, question);
    const auto first = out.look.cells.end() - std::ptrdiff_t(question.size());
    out.question.cells.assign(first, out.look.cells.end());
    out.question.next = out.look.next;
    out.look.cells.erase(first, out.look.cells.end());
    out.look.next = out.question.cells[0].pos[0];
    return out;
}

static void rewind(sd_attention_context & c) {
    if (!llama_memory_seq_rm(llama_get_memory(c.ctx), 0, c.prefix.next, -1)) {
        throw sd_error("INTERNAL", "The memory of this model cannot be rewound");
    }
    c.n_cells = c.prefix.size();
}

static double log_probability(const float * logits, int n_vocab, llama_token token) {
    return logits[token] - sd_log_sum_exp(logits, n_vocab);
}

static const float * logits_at(const sd_attention_context & c, int i) {
    const float * logits = llama_get_logits_ith(c.ctx, i);
    if (!logits) {
        throw sd_error("INTERNAL", "No logits came of the last token");
    }
    return logits;
}

static void check_params(const sd_attention_context & c, const sd_attention_params & p) {
    if (p.layers.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected at least one layer");
    }
    for (size_t i = 0; i < p.layers.size(); i++) {
        const int il = p.layers[i];
        if (il < 0 || il >= c.model.info.n_layer) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected layers between 0 and %d but received %d", c.model.info.n_layer - 1, il));
        }
        if (std::find(p.layers.begin(), p.layers.begin() + i, il) != p.layers.begin() + i) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected each layer once but received %d twice", il));
        }
    }
    if (p.max_tokens < 1) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected at least 1 for maxTokens but received %d", p.max_tokens));
    }
}

// sums of the image's columns, [n_layer][n_head][n_img]; in double, so that the mean does not depend on the number of steps
struct attention_sum {
    int n_head, img_start, n_img, n = 0;
    std::vector<double> sum;

    attention_sum(const sd_attention_context & c, int n_layer)
        : n_head(c.model.info.n_head), img_start(c.prefix.size() - c.prefix.n_rows), n_img(c.prefix.n_rows), sum(size_t(n_layer) * n_head * n_img) {}

    void add(int i_layer, int head, const float * row) {
        double * to = sum.data() + (size_t(i_layer) * n_head + head) * n_img;
        for (int j = 0; j < n_img; j++) {
            to[j] += row[img_start + j];
        }
    }

    std::vector<float> mean(int n_rows) const {
        std::vector<float> out(sum.size());
        std::transform(sum.begin(), sum.end(), out.begin(), [&](double v) { return float(v / n_rows); });
        return out;
    }
};

sd_attention sd_attention_capture(
    sd_attention_context & c, const std::vector<float> & extra, const std::vector<llama_token> & question, const sd_attention_params & params) {
    check_params(c, params);
    const asked_layout asked_for = lay_out(c, extra, question, 1);
    rewind(c);
    decode(c, asked_for.look, extra.data(), OUTPUTS_NONE);

    const int n_layer = int(params.layers.size());
    attention_sum prompt(c, n_layer), asked(c, n_layer), output(c, n_layer);
    {
        const int last = c.n_cells + int(question.size()) - 1;
        sd_attention_tap_scope tap(c.tap, c.ctx, params.layers, params.question, [&](int il, int head, int cell, const float * row) {
            if (cell == last) {
                prompt.add(il, head, row);
            }
            if (params.question) {
                asked.add(il, head, row);
            }
        });
        decode(c, asked_for.question, nullptr, OUTPUTS_LAST);
    }

    sd_attention out;
    sd_text_stream text;
    double sum = 0;
    {
        const llama_vocab * vocab = c.model.vocab;
        const int n_vocab = c.model.info.n_vocab;
        sd_attention_tap_scope tap(c.tap, c.ctx, params.layers, false, [&](int il, int head, int, const float * row) { output.add(il, head, row); });
        for (;;) {
            const float * logits = logits_at(c, -1);
            const llama_token token = llama_token(std::max_element(logits, logits + n_vocab) - logits);
            sum += log_probability(logits, n_vocab, token);
            out.tokens.push_back(token);
            if (llama_vocab_is_eog(vocab, token)) {
                break;
            }
            text.push(sd_token_text(vocab, token));
            if (int(out.tokens.size()) >= params.max_tokens || c.n_cells >= c.n_ctx) {
                break;
            }
            decode(c, sd_layout_tokens(*c.model.family, { token }, c.next), nullptr, OUTPUTS_LAST);
        }
    }
    text.finish();
    const int n = int(out.tokens.size());
    out.n_layer = n_layer;
    out.n_head = output.n_head;
    out.n_img = output.n_img;
    out.output = n > 1 ? output.mean(n - 1) : prompt.mean(1);
    if (params.question) {
        out.question = asked.mean(int(question.size()));
    }
    out.text = text.text;
    out.log_likelihood = sum / n;
    return out;
}

double sd_answer_log_likelihood(
    sd_attention_context & c, const std::vector<float> & extra, const std::vector<llama_token> & question, const std::vector<llama_token> & answer) {
    if (answer.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected an answer of at least one token");
    }
    check_tokens(c, answer, "answer");
    const asked_layout asked_for = lay_out(c, extra, question, answer.size() - 1);
    rewind(c);
    decode(c, asked_for.look, extra.data(), OUTPUTS_NONE);
    decode(c, asked_for.question, nullptr, OUTPUTS_LAST);
    const int n = int(answer.size()), n_vocab = c.model.info.n_vocab, n_piece = std::min(N_OUTPUTS, c.n_ubatch);
    double sum = log_probability(logits_at(c, -1), n_vocab, answer[0]);
    for (int first = 0; first < n - 1; first += n_piece) { // the last token is never an input
        const int count = std::min(n_piece, n - 1 - first);
        decode(c, sd_layout_tokens(*c.model.family, { answer.begin() + first, answer.begin() + first + count }, c.next), nullptr, OUTPUTS_ALL);
        for (int i = 0; i < count; i++) {
            sum += log_probability(logits_at(c, i), n_vocab, answer[first + i + 1]);
        }
    }
    return sum / n;
}
