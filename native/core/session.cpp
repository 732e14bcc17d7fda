#include "session.h"

#include "error.h"

#include "ggml.h"

#include <algorithm>

struct stopwatch {
    double & ms;
    int64_t start = ggml_time_us();
    explicit stopwatch(double & ms) : ms(ms) {}
    ~stopwatch() { ms += double(ggml_time_us() - start) / 1000.0; }
};

void sd_session_forget_question(sd_session & s) {
    if (s.asked.seq >= 0) {
        sd_seq_release(s.cells, s.asked.seq);
    }
    s.asked = sd_asked();
}

bool sd_session::give_spare() {
    if (asked.seq >= 0) {
        sd_session_forget_question(*this);
        return true;
    }
    return turn && sd_turn_forget(*turn);
}

void sd_session::give_all() {
    if (seq >= 0) {
        sd_session_forget_question(*this);
        sd_seq_release(cells, seq);
        sd_cells_leave(cells, this);
    }
    seq = -1;
    turn.reset();
    level = SD_PREFIX_NONE;
    hidden.reset();
}

sd_session::~sd_session() {
    give_all();
}

size_t sd_session::bytes() const {
    const size_t h = (hidden ? hidden->bytes() : 0) + asked.hidden.bytes();
    return (rpn ? rpn->bytes() : 0) + (gate ? gate->bytes() : 0) + h + features.size() * sizeof(float) + view.rgb.size();
}

std::unique_ptr<sd_session> sd_session_open(sd_cells & cells, std::vector<llama_token> system, sd_view view) {
    auto s = std::make_unique<sd_session>(cells);
    const sd_family & family = *cells.model.family;
    s->view = std::move(view);
    s->grid = family.grid_of(s->view.size());
    s->prefix = sd_layout_prefix(family, system, sd_part_of(s->view, s->grid));
    s->system = std::move(system);
    return s;
}

static std::vector<float> rows_of(const std::vector<float> & all, const std::vector<int32_t> & keep, size_t n_row) {
    std::vector<float> rows(keep.size() * n_row);
    for (size_t i = 0; i < keep.size(); i++) {
        std::copy_n(all.begin() + keep[i] * n_row, n_row, rows.begin() + i * n_row);
    }
    return rows;
}

const std::vector<float> & sd_session_features(sd_session & s, sd_timings & t) {
    if (s.features.empty()) {
        stopwatch w(t.vision);
        std::vector<float> all = s.model.vision->encode(s.view);
        s.features = s.view.masked ? rows_of(all, s.view.keep, s.model.family->n_embd_row) : std::move(all);
    }
    return s.features;
}

std::unique_ptr<sd_session> sd_session_pruned(sd_session & s, const std::vector<int32_t> & keep, sd_timings & t) {
    if (s.view.masked) {
        throw sd_error("INVALID_ARGUMENT", "Expected a session of a whole picture");
    }
    auto p = std::make_unique<sd_session>(s.cells);
    p->system = s.system;
    p->grid = s.grid;
    p->view.masked = true;
    p->view.keep = keep;
    p->prefix = sd_layout_prefix(*s.model.family, s.system, sd_part_of(p->view, p->grid)); // checks the cells
    p->features = rows_of(sd_session_features(s, t), keep, s.model.family->n_embd_row);
    p->answers_only = true;
    return p;
}

// whether something about the prefix is yet to be computed from its hidden states
static bool wants_hidden(const sd_session & s) {
    return !s.rpn || (!s.gate && rpn_get_hparams(s.model.rpn.get()).n_gate_block > 0);
}

// the prefix into a sequence that has no cells yet, with the tap where the hidden states will be needed
static void decode_prefix(sd_session & s, sd_prefix_level level, sd_timings & t) {
    sd_model & m = s.model;
    stopwatch w(t.prefill);
    if (m.rpn && !s.answers_only && (level == SD_PREFIX_BRANCH || wants_hidden(s))) {
        s.hidden = std::make_unique<rpn_hidden>();
        rpn_hidden_reset(m.rpn.get(), *s.hidden, s.n_prefix());
        sd_decode_tapped(s.cells, s.seq, s.prefix, s.features.data(), m.tap, *s.hidden, level == SD_PREFIX_BRANCH);
    } else {
        sd_decode(s.cells, s.seq, s.prefix, s.features.data(), false);
    }
}

// the layers from K on
static void complete_prefix(sd_session & s, sd_timings & t) {
    stopwatch w(t.prefill);
    std::vector<float> h(size_t(s.n_prefix()) * s.model.info.n_embd);
    rpn_hidden_get(*s.hidden, h.data());
    sd_decode_from(s.cells, s.seq, s.model.tap.branch, s.prefix, h.data(), false);
}

static void drop_hidden(sd_session & s) {
    if (s.level == SD_PREFIX_FULL && !wants_hidden(s)) {
        s.hidden.reset();
    }
}

int sd_session_prefix(sd_session & s, sd_prefix_level level, sd_timings & t) {
    sd_model & m = s.model;
    const int reused = s.level != SD_PREFIX_NONE ? s.n_prefix() : 0;
    if (s.level == SD_PREFIX_NONE) {
        sd_session_features(s, t);
        sd_check_cancel(m);
        s.seq = sd_seq_acquire(s.cells);
    }
    sd_cells_use(s.cells, &s);
    if (s.level >= level) {
        return reused;
    }
    try {
        if (s.level == SD_PREFIX_NONE) {
            decode_prefix(s, level, t);
        } else {
            complete_prefix(s, t);
        }
    } catch (...) {
        s.give_all();
        throw;
    }
    s.level = level;
    drop_hidden(s);
    return reused;
}

static rpn_positions rpn_positions_of(const sd_model & m, const sd_layout & layout) {
    return sd_layout_positions(*m.family, layout, rpn_get_hparams(m.rpn.get()).n_pos_rows());
}

// the question's cells in a sequence that shares the prefix's, up to layer K
static void ask(sd_session & s, const std::vector<llama_token> & question, sd_timings & t) {
    sd_model & m = s.model;
    stopwatch w(t.prefill);
    sd_asked asked;
    asked.tokens = question;
    asked.layout = sd_layout_question(*m.family, s.prefix, {}, question);
    rpn_hidden_reset(m.rpn.get(), asked.hidden, asked.layout.size());
    sd_seq_scope work(s.cells);
    sd_seq_share(s.cells, s.seq, work.seq);
    sd_decode_tapped(s.cells, work.seq, asked.layout, nullptr, m.tap, asked.hidden, true);
    asked.seq = work.keep();
    s.asked = std::move(asked);
}

sd_region sd_session_region(sd_session & s, const std::vector<llama_token> & question, const sd_region_params & params, sd_timings & t) {
    sd_model & m = s.model;
    if (!m.rpn) {
        throw sd_error("RPN_NOT_LOADED", "This model was loaded without an RPN: pass the path of one as rpn to loadModel");
    }
    if (s.answers_only) {
        throw sd_error("INVALID_ARGUMENT", "Expected a session of a whole picture");
    }
    rpn_net * net = m.rpn.get();
    if (params.gate && rpn_get_hparams(net).n_gate_block == 0) {
        throw sd_error("INVALID_ARGUMENT", "This region proposal network has no gate");
    }
    sd_region r;
    sd_session_forget_question(s);
    r.reused = sd_session_prefix(s, SD_PREFIX_BRANCH, t);
    const rpn_positions pos = rpn_positions_of(m, s.prefix);
    if (params.gate && !s.gate) {
        stopwatch w(t.rpn);
        auto state = std::make_unique<rpn_state>();
        rpn_gate_prefix(net, *s.hidden, *state, pos);
        s.gate = std::move(state);
        drop_hidden(s);
    }
    auto network = [&] {
        if (s.rpn) {
            return;
        }
        stopwatch w(t.rpn);
        auto state = std::make_unique<rpn_state>();
        rpn_prefix(net, *s.hidden, s.img_start(), s.n_img(), *state, pos);
        s.rpn = std::move(state);
        drop_hidden(s);
    };
    if (!params.gate) {
        network();
    }
    ask(s, question, t);
    sd_check_cancel(m);
    const rpn_positions asked = rpn_positions_of(m, s.asked.layout);
    if (params.gate) {
        {
            stopwatch w(t.rpn);
            r.gate = rpn_gate_score(net, *s.gate, s.asked.hidden, asked);
        }
        if (r.gate < params.gate_least) {
            return r;
        }
        network();
    }
    stopwatch w(t.rpn);
    r.logits = rpn_query(net, *s.rpn, s.asked.hidden, asked, params.every_token ? &r.most : nullptr);
    r.sink = s.rpn->sink;
    return r;
}

std::vector<float> sd_session_roi(sd_session & s, const std::vector<llama_token> & question, sd_timings & t, int & reused) {
    sd_region r = sd_session_region(s, question, {}, t);
    reused = r.reused;
    return std::move(r.logits);
}

llama_seq_id sd_session_go_on(sd_session & s, const std::vector<llama_token> & question) {
    if (s.asked.seq < 0 || s.asked.tokens != question) {
        sd_session_forget_question(s);
        return -1;
    }
    const sd_asked asked = std::move(s.asked);
    s.asked = sd_asked();
    sd_seq_scope work(s.cells, asked.seq);
    // llama.cpp takes embeddings from host memory only
    std::vector<float> hidden(size_t(asked.layout.size()) * s.model.info.n_embd);
    rpn_hidden_get(asked.hidden, hidden.data());
    sd_decode_from(s.cells, work.seq, s.model.tap.branch, asked.layout, hidden.data(), true);
    return work.keep();
}
