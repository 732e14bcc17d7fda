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
    const bool spare = asked.seq >= 0;
    sd_session_forget_question(*this);
    return spare;
}

void sd_session::give_all() {
    if (seq >= 0) {
        sd_session_forget_question(*this);
        sd_seq_release(cells, seq);
        sd_cells_leave(cells, this);
    }
    seq = -1;
    level = SD_PREFIX_NONE;
    hidden.reset();
}

sd_session::~sd_session() {
    give_all();
}

size_t sd_session::bytes() const {
    const size_t h = (hidden ? hidden->bytes() : 0) + asked.hidden.bytes();
    return (rpn ? rpn->bytes() : 0) + h + features.size() * sizeof(float) + view.rgb.size();
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

const std::vector<float> & sd_session_features(sd_session & s, sd_timings & t) {
    if (s.features.empty()) {
        stopwatch w(t.vision);
        s.features = s.model.vision->encode(s.view);
    }
    return s.features;
}

// the prefix into a sequence that has no cells yet, with the tap where the hidden states will be needed
static void decode_prefix(sd_session & s, sd_prefix_level level, sd_timings & t) {
    sd_model & m = s.model;
    stopwatch w(t.prefill);
    if (m.rpn && (level == SD_PREFIX_BRANCH || !s.rpn)) {
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
    if (s.level == SD_PREFIX_FULL && s.rpn) {
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

std::vector<float> sd_session_roi(sd_session & s, const std::vector<llama_token> & question, sd_timings & t, int & reused) {
    sd_model & m = s.model;
    if (!m.rpn) {
        throw sd_error("RPN_NOT_LOADED", "This model was loaded without an RPN: pass the path of one as rpn to loadModel");
    }
    sd_session_forget_question(s);
    reused = sd_session_prefix(s, SD_PREFIX_BRANCH, t);
    if (!s.rpn) {
        stopwatch w(t.rpn);
        auto state = std::make_unique<rpn_state>();
        rpn_prefix(m.rpn.get(), *s.hidden, s.img_start(), s.n_img(), *state, rpn_positions_of(m, s.prefix));
        s.rpn = std::move(state);
        drop_hidden(s);
    }

    {
        // in a sequence that shares the prefix's cells
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
    sd_check_cancel(m);
    stopwatch w(t.rpn);
    return rpn_query(m.rpn.get(), *s.rpn, s.asked.hidden, rpn_positions_of(m, s.asked.layout));
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
