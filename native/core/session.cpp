#include "session.h"

#include "error.h"

#include "ggml.h"

#include <algorithm>

struct stopwatch {
    double & ms;
    int64_t  start = ggml_time_us();
    explicit stopwatch(double & ms) : ms(ms) {}
    ~stopwatch() { ms += double(ggml_time_us() - start) / 1000.0; }
};

static void evict(sd_session & s) {
    if (s.seq >= 0) {
        sd_seq_release(s.model, s.seq);
        s.model.resident.remove(&s);
    }
    s.seq   = -1;
    s.level = SD_PREFIX_NONE;
}

sd_session::~sd_session() {
    evict(*this);
}

size_t sd_session::bytes() const {
    const sd_model_info & i = model.info;
    const size_t kv = size_t(n_prefix()) * i.n_layer * 2 * (i.n_embd / i.n_head * i.n_head_kv) * sizeof(ggml_fp16_t);
    return kv + (rpn ? rpn->bytes() : 0) + features.size() * sizeof(float) + view.size();
}

bool sd_session_evict_one(sd_model & m) {
    if (m.resident.empty()) {
        return false;
    }
    // The session that is being worked on stands in front, and taking its cells away would undo the work.
    sd_session * last = m.resident.back();
    if (last == m.resident.front()) {
        return false;
    }
    evict(*last);
    return true;
}

void sd_session_evict_all(sd_model & m) {
    while (!m.resident.empty()) {
        evict(*m.resident.back());
    }
}

std::unique_ptr<sd_session> sd_session_open(sd_model & model, std::vector<llama_token> system, std::vector<uint8_t> view) {
    auto s = std::make_unique<sd_session>(model);
    s->system = std::move(system);
    s->view   = std::move(view);
    return s;
}

const std::vector<float> & sd_session_features(sd_session & s, sd_timings & t) {
    if (s.features.empty()) {
        stopwatch w(t.vision);
        s.features = sd_vision_encode(*s.model.vision, s.view.data(), s.view.size());
    }
    return s.features;
}

// [system][image] through the layers, in a sequence that has no cells yet
static void decode_prefix(sd_session & s, llama_seq_id seq, sd_timings & t) {
    stopwatch w(t.prefill);
    const int n_system = int(s.system.size());
    sd_decode(s.model, seq, 0, s.system.data(), nullptr, n_system, false);
    sd_decode(s.model, seq, n_system, nullptr, s.features.data(), s.model.vision->n_tokens, false);
}

// the same, with the tap filling the RPN's state on the way
static void decode_prefix_tapped(sd_session & s, llama_seq_id seq, bool exit_early, sd_timings & t) {
    sd_model & m = s.model;
    rpn_hidden_reset(m.rpn.get(), m.hidden, s.n_prefix());
    {
        sd_tap_scope tap(m.tap, m.ctx, &m.hidden, exit_early);
        decode_prefix(s, seq, t);
    }
    stopwatch w(t.rpn);
    auto state = std::make_unique<rpn_state>();
    rpn_prefix(m.rpn.get(), m.hidden, int(s.system.size()), m.vision->n_tokens, *state);
    s.rpn = std::move(state);
}

bool sd_session_prefix(sd_session & s, sd_prefix_level level, bool want_rpn, sd_timings & t) {
    sd_model & m = s.model;
    const bool tapped = want_rpn && !s.rpn;
    // a tapped pass beside the session's own cells takes as many again; in a small context they make way for it
    const bool room = !tapped || 2 * s.n_prefix() <= int(llama_n_ctx(m.ctx));
    if (s.seq >= 0 && s.level >= level && room) {
        m.resident.remove(&s);
        m.resident.push_front(&s);
        if (tapped) { // an answer without regions came first: the layers below K once more, beside its cells
            sd_seq_scope work(m);
            decode_prefix_tapped(s, work.seq, true, t);
        }
        return true;
    }
    sd_session_features(s, t);
    sd_check_cancel(m);
    evict(s);
    s.seq = sd_seq_acquire(m);
    m.resident.push_front(&s);
    try {
        if (tapped) {
            decode_prefix_tapped(s, s.seq, level == SD_PREFIX_BRANCH, t);
        } else if (level == SD_PREFIX_BRANCH) {
            // the state was kept when the cells were evicted; only the cells below K are needed, the tap just stops there
            rpn_hidden_reset(m.rpn.get(), m.hidden, s.n_prefix());
            sd_tap_scope tap(m.tap, m.ctx, &m.hidden, true);
            decode_prefix(s, s.seq, t);
        } else {
            decode_prefix(s, s.seq, t);
        }
        s.level = level;
    } catch (...) {
        evict(s);
        throw;
    }
    return false;
}

std::vector<float> sd_session_roi(sd_session & s, const std::vector<llama_token> & question, sd_prefix_level level, sd_timings & t, int & reused) {
    sd_model & m = s.model;
    if (!m.rpn) {
        throw sd_error("RPN_NOT_LOADED", "This model was loaded without an RPN: pass the path of one as rpn to loadModel");
    }
    reused = sd_session_prefix(s, level, true, t) ? s.n_prefix() : 0;

    const int n = int(question.size());
    rpn_hidden_reset(m.rpn.get(), m.hidden, n);
    {
        // the question runs to layer K only, in a sequence that shares the prefix's cells and is dropped afterwards
        stopwatch w(t.prefill);
        sd_seq_scope work(m);
        llama_memory_seq_cp(llama_get_memory(m.ctx), s.seq, work.seq, -1, -1);
        sd_tap_scope tap(m.tap, m.ctx, &m.hidden, true);
        sd_decode(m, work.seq, s.n_prefix(), question.data(), nullptr, n, false);
    }
    sd_check_cancel(m);
    stopwatch w(t.rpn);
    return rpn_query(m.rpn.get(), *s.rpn, m.hidden);
}
