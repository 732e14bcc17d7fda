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

void sd_session_forget_question(sd_session & s) {
    if (s.asked.seq >= 0) {
        sd_seq_release(s.model, s.asked.seq);
    }
    s.asked = sd_asked();
}

static void evict(sd_session & s) {
    if (s.seq >= 0) {
        sd_session_forget_question(s);
        sd_seq_release(s.model, s.seq);
        s.model.resident.remove(&s);
    }
    s.seq   = -1;
    s.level = SD_PREFIX_NONE;
    s.hidden.reset();
}

sd_session::~sd_session() {
    evict(*this);
}

size_t sd_session::bytes() const {
    const sd_model_info & i = model.info;
    const size_t kv = size_t(n_prefix()) * i.n_layer * 2 * (i.n_embd / i.n_head * i.n_head_kv) * sizeof(ggml_fp16_t);
    const size_t h  = (hidden ? hidden->bytes() : 0) + asked.hidden.size() * sizeof(float);
    return kv + (rpn ? rpn->bytes() : 0) + h + features.size() * sizeof(float) + view.size();
}

bool sd_session_evict_one(sd_model & m) {
    if (m.resident.empty()) {
        return false;
    }
    // a question that may never be answered goes first
    for (sd_session * s : m.resident) {
        if (s->asked.seq >= 0) {
            sd_session_forget_question(*s);
            return true;
        }
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

// [system][image] into a sequence that has no cells yet, with the tap where the hidden states will be needed
static void decode_prefix(sd_session & s, sd_prefix_level level, sd_timings & t) {
    sd_model & m = s.model;
    const int n_system = int(s.system.size());
    stopwatch w(t.prefill);
    std::unique_ptr<sd_tap_scope> tap;
    if (m.rpn && (level == SD_PREFIX_BRANCH || !s.rpn)) {
        s.hidden = std::make_unique<rpn_hidden>();
        rpn_hidden_reset(m.rpn.get(), *s.hidden, s.n_prefix());
        tap = std::make_unique<sd_tap_scope>(m.tap, m.ctx, s.hidden.get(), level == SD_PREFIX_BRANCH);
    }
    sd_decode(m, s.seq, 0, s.system.data(), nullptr, n_system, false);
    sd_decode(m, s.seq, n_system, nullptr, s.features.data(), m.vision->n_tokens, false);
}

// the layers from K on, in the same pieces as decode_prefix, so that the result is the same to the last bit
static void complete_prefix(sd_session & s, sd_timings & t) {
    sd_model & m = s.model;
    const int n_system = int(s.system.size());
    stopwatch w(t.prefill);
    std::vector<float> h(size_t(s.n_prefix()) * m.info.n_embd);
    rpn_hidden_get(*s.hidden, h.data());
    sd_layers_from layers(m.ctx, m.tap.branch);
    sd_decode(m, s.seq, 0, nullptr, h.data(), n_system, false);
    sd_decode(m, s.seq, n_system, nullptr, h.data() + size_t(n_system) * m.info.n_embd, m.vision->n_tokens, false);
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
        s.seq = sd_seq_acquire(m);
    }
    m.resident.remove(&s);
    m.resident.push_front(&s);
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
        evict(s);
        throw;
    }
    s.level = level;
    drop_hidden(s);
    return reused;
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
        rpn_prefix(m.rpn.get(), *s.hidden, int(s.system.size()), m.vision->n_tokens, *state);
        s.rpn = std::move(state);
        drop_hidden(s);
    }

    const int n = int(question.size());
    rpn_hidden_reset(m.rpn.get(), m.hidden, n);
    {
        // in a sequence that shares the prefix's cells
        stopwatch w(t.prefill);
        sd_seq_scope work(m);
        llama_memory_seq_cp(llama_get_memory(m.ctx), s.seq, work.seq, -1, -1);
        {
            sd_tap_scope tap(m.tap, m.ctx, &m.hidden, true);
            sd_decode(m, work.seq, s.n_prefix(), question.data(), nullptr, n, false);
        }
        s.asked.tokens = question;
        s.asked.hidden.resize(size_t(n) * m.info.n_embd);
        rpn_hidden_get(m.hidden, s.asked.hidden.data());
        s.asked.seq = work.keep();
    }
    sd_check_cancel(m);
    stopwatch w(t.rpn);
    return rpn_query(m.rpn.get(), *s.rpn, m.hidden);
}

llama_seq_id sd_session_go_on(sd_session & s, const std::vector<llama_token> & question) {
    sd_model & m = s.model;
    if (s.asked.seq < 0 || s.asked.tokens != question) {
        sd_session_forget_question(s);
        return -1;
    }
    sd_seq_scope work(m, s.asked.seq);
    const std::vector<float> hidden = std::move(s.asked.hidden);
    s.asked = sd_asked();
    sd_layers_from layers(m.ctx, m.tap.branch);
    sd_decode(m, work.seq, s.n_prefix(), nullptr, hidden.data(), int(question.size()), true);
    return work.keep();
}
