// Attention capture on the demo model: against a plain recomputation token by token in a context of the test's own,
// and against the answers of the flash-attention path.

#include "demo-model.h"
#include "distill/attention.h"
#include "generate.h"
#include "resample.h"
#include "test.h"

#include "nlohmann/json.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>

using json = nlohmann::json;

static sd_cancel no_cancel{ false };

struct sample {
    sd_view view, crop;
    std::vector<float> features, extra;
    std::vector<llama_token> question;
};

static std::vector<sample> parity_samples(sd_model & m) {
    std::ifstream in(test_fixture("pico/parity/cases.json"));
    std::vector<sample> out;
    for (const json & c : json::parse(in)) {
        sample s;
        int w = 0, h = 0;
        s.view = demo_view(test_load_rgb(test_fixture("pico/parity/" + c["images"][0].get<std::string>()), w, h));
        s.crop = demo_view(test_load_rgb(test_fixture("pico/parity/" + c["images"][1].get<std::string>()), w, h));
        s.features = m.vision->encode(s.view);
        s.extra = m.vision->encode(s.crop);
        s.question = demo_question(m, c["question"]);
        out.push_back(std::move(s));
    }
    return out;
}

static double max_diff(const std::vector<float> & a, const std::vector<float> & b) {
    double d = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        d = std::max(d, double(std::fabs(a[i] - b[i])));
    }
    return d;
}

// --- a plain recomputation: one token a pass, every attention row of every layer kept

struct plain {
    sd_model & m;
    llama_context * ctx;
    std::vector<std::map<int, std::vector<float>>> steps; // [position][layer]: [n_head][n_kv]

    explicit plain(sd_model & m) : m(m) {
        llama_context_params cp = llama_context_default_params();
        cp.n_ctx = cp.n_batch = cp.n_ubatch = 512;
        cp.n_threads = cp.n_threads_batch = 1;
        cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        cp.cb_eval_user_data = this;
        cp.cb_eval = [](ggml_tensor * t, bool ask, void * user_data) {
            int layer = 0;
            if (sscanf(t->name, "kq_soft_max-%d", &layer) != 1) {
                return !ask;
            }
            if (!ask) {
                std::vector<float> & to = static_cast<plain *>(user_data)->steps.back()[layer];
                to.resize(ggml_nelements(t));
                memcpy(to.data(), t->data, ggml_nbytes(t));
            }
            return true;
        };
        ctx = llama_init_from_model(m.lm, cp);
    }
    ~plain() { llama_free(ctx); }

    // feeds one token and gives the log-probabilities of the next one
    std::vector<double> feed(llama_token token, const float * embd) {
        llama_pos pos = llama_pos(steps.size());
        int32_t n_seq = 1;
        llama_seq_id seq = 0, *seqs = &seq;
        int8_t logits = 1;
        llama_batch b = {};
        b.n_tokens = 1;
        b.token = embd ? nullptr : &token;
        b.embd = const_cast<float *>(embd);
        b.pos = &pos;
        b.n_seq_id = &n_seq;
        b.seq_id = &seqs;
        b.logits = &logits;
        steps.emplace_back();
        CHECK(llama_decode(ctx, b) == 0);
        const float * l = llama_get_logits_ith(ctx, -1);
        std::vector<double> p(l, l + m.info.n_vocab);
        double sum = 0;
        for (double v : p) {
            sum += std::exp(v);
        }
        for (double & v : p) {
            v -= std::log(sum);
        }
        return p;
    }

    // mean attention to the image over the positions from .. to-1, [n_layer][n_head][n_img], as the capture lays it out
    std::vector<float> mean(int from, int to, int img_start, int n_img) const {
        std::vector<float> out;
        for (int il = 0; il < m.info.n_layer; il++) {
            for (int h = 0; h < m.info.n_head; h++) {
                for (int j = 0; j < n_img; j++) {
                    double sum = 0;
                    for (int pos = from; pos < to; pos++) {
                        const std::vector<float> & w = steps[pos].at(il);
                        sum += w[w.size() / m.info.n_head * h + img_start + j];
                    }
                    out.push_back(float(sum / (to - from)));
                }
            }
        }
        return out;
    }

    // every row of every step sums to 1 over the cells used so far, and is 0 over the others
    double worst_row() const {
        double worst = 0;
        for (size_t pos = 0; pos < steps.size(); pos++) {
            CHECK(int(steps[pos].size()) == m.info.n_layer);
            for (const auto & layer : steps[pos]) {
                const size_t n_kv = layer.second.size() / m.info.n_head;
                for (int h = 0; h < m.info.n_head; h++) {
                    double sum = 0, rest = 0;
                    for (size_t i = 0; i < n_kv; i++) {
                        (i <= pos ? sum : rest) += layer.second[h * n_kv + i];
                    }
                    worst = std::max({ worst, std::fabs(sum - 1), rest });
                }
            }
        }
        return worst;
    }
};

static void check_against_plain(sd_model & m, const sample & s, bool extra, int max_tokens, bool small_pieces) {
    const std::vector<llama_token> system = demo_system(m);
    const int n_img = m.family->grid.area(), n_embd = m.info.n_embd, img_start = int(system.size());
    const std::vector<float> views = extra ? s.extra : std::vector<float>();

    // 50 divides neither the views nor their sum, and 5 not the question
    auto c = sd_attention_context_init(m, 0, small_pieces ? (extra ? 50 : 5) : 256);
    sd_attention_set_image(*c, system, s.features);
    sd_attention_params p;
    p.layers = { 0, 1, 2, 3, 4, 5 };
    p.max_tokens = max_tokens;
    p.question = true;
    const sd_attention a = sd_attention_capture(*c, views, s.question, p);
    CHECK(a.n_layer == 6 && a.n_head == 4 && a.n_img == 144 && a.output.size() == 6u * 4 * 144);

    plain r(m);
    for (llama_token t : system) {
        r.feed(t, nullptr);
    }
    for (int j = 0; j < n_img; j++) {
        r.feed(0, s.features.data() + size_t(j) * n_embd);
    }
    for (size_t j = 0; j < views.size() / n_embd; j++) {
        r.feed(0, views.data() + j * n_embd);
    }
    std::vector<double> next;
    const int q0 = int(r.steps.size());
    for (llama_token t : s.question) {
        next = r.feed(t, nullptr);
    }
    const int q1 = int(r.steps.size());
    double sum = 0;
    for (size_t i = 0; i < a.tokens.size(); i++) {
        CHECK(std::max_element(next.begin(), next.end()) - next.begin() == a.tokens[i]);
        sum += next[a.tokens[i]];
        next = r.feed(a.tokens[i], nullptr);
    }
    const int n = int(a.tokens.size()); // the last one was fed above, and does not count
    CHECK_LE(r.worst_row(), 1e-5);
    CHECK_LE(max_diff(a.output, n > 1 ? r.mean(q1, q1 + n - 1, img_start, n_img) : r.mean(q1 - 1, q1, img_start, n_img)), 2e-3);
    CHECK_LE(max_diff(a.question, r.mean(q0, q1, img_start, n_img)), 2e-3);
    CHECK_LE(std::fabs(a.log_likelihood - sum / n), 1e-2);
    // what must not be in the mean would show: the row after the last token, and that of the prompt's last token
    CHECK(max_diff(a.output, r.mean(q1, q1 + n, img_start, n_img)) > 5e-3);
    if (n > 1) {
        CHECK(max_diff(a.output, r.mean(q1 - 1, q1 + n - 1, img_start, n_img)) > 5e-3);
    }
}

static void check_recomputation(sd_model & m, const std::vector<sample> & samples) {
    check_against_plain(m, samples[0], false, 16, false);
    check_against_plain(m, samples[1], true, 16, false);
    check_against_plain(m, samples[2], false, 2, true);
    check_against_plain(m, samples[3], true, 3, true);
    check_against_plain(m, samples[4], false, 1, false); // one token: the prompt's row
}

// --- the same answers as with flash attention, and likelihoods that fit them

static std::unique_ptr<sd_answer> flash_answer(sd_cells & cells, const sample & s, bool extra, int max_tokens) {
    auto session = sd_session_open(cells, demo_system(cells.model), s.view);
    std::vector<sd_view> views;
    if (extra) {
        views.push_back(s.crop);
    }
    sd_generate_params p;
    p.max_tokens = max_tokens;
    auto a = sd_answer_start(*session, s.question, views, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(cells, { a.get() });
    }
    return a;
}

static void check_answers(sd_model & m, const std::vector<sample> & samples) {
    auto cells = sd_cells_init(m);
    auto c = sd_attention_context_init(m);
    for (const sample & s : samples) {
        sd_attention_set_image(*c, demo_system(m), s.features);
        for (const bool extra : { false, true }) {
            for (const int max_tokens : { 2, 16 }) {
                sd_attention_params p;
                p.layers = { 3 };
                p.max_tokens = max_tokens;
                const std::vector<float> views = extra ? s.extra : std::vector<float>();
                const sd_attention a = sd_attention_capture(*c, views, s.question, p);
                const auto flash = flash_answer(*cells, s, extra, max_tokens);
                CHECK(a.text == flash->text.text && !a.text.empty());
                std::vector<llama_token> tokens = a.tokens;
                CHECK(llama_vocab_is_eog(m.vocab, tokens.back()) == (flash->finish == SD_FINISH_STOP));
                if (flash->finish == SD_FINISH_STOP) {
                    tokens.pop_back();
                }
                CHECK(tokens == flash->tokens);
                CHECK_LE(std::fabs(sd_answer_log_likelihood(*c, views, s.question, a.tokens) - a.log_likelihood), 1e-2);
                // greedy: another first token is less likely
                std::vector<llama_token> other = { a.tokens[0] == 5 ? 6 : 5 };
                CHECK(sd_answer_log_likelihood(*c, views, s.question, other) < sd_answer_log_likelihood(*c, views, s.question, { a.tokens[0] }));
            }
        }
    }
    // an answer longer than a piece, whose likelihood does not depend on the pieces
    const sample & s = samples[0];
    const std::vector<llama_token> text =
        sd_tokenize(m.tokenizer, { { SD_SEGMENT_TEXT, "What code is on the red circle? What is the value of TOTAL? What shape is purple?" } }, false);
    std::vector<llama_token> longer;
    while (longer.size() < 80) {
        longer.insert(longer.end(), text.begin(), text.end());
    }
    auto pieces = sd_attention_context_init(m, 0, 1);
    sd_attention_set_image(*c, demo_system(m), s.features);
    sd_attention_set_image(*pieces, demo_system(m), s.features);
    const double whole = sd_answer_log_likelihood(*c, {}, s.question, longer), parts = sd_answer_log_likelihood(*pieces, {}, s.question, longer);
    CHECK(whole < -0.1);
    CHECK_LE(std::fabs(whole - parts), 2e-2);
}

// --- asked layers only, and no trace of the calls before

static void check_layers(sd_model & m, const std::vector<sample> & samples) {
    auto c = sd_attention_context_init(m);
    auto capture = [&](const sample & s, std::vector<int> layers, bool question) {
        sd_attention_set_image(*c, demo_system(m), s.features);
        sd_attention_params p;
        p.layers = std::move(layers);
        p.max_tokens = 8;
        p.question = question;
        return sd_attention_capture(*c, {}, s.question, p);
    };
    const sd_attention all = capture(samples[0], { 0, 1, 2, 3, 4, 5 }, true);
    const sd_attention two = capture(samples[0], { 4, 1 }, false);
    const size_t n = size_t(all.n_head) * all.n_img;
    CHECK(two.n_layer == 2 && two.output.size() == 2 * n && two.question.empty());
    CHECK(std::equal(two.output_map(0, 0), two.output_map(0, 0) + n, all.output_map(4, 0))); // in the order of the request
    CHECK(std::equal(two.output_map(1, 0), two.output_map(1, 0) + n, all.output_map(1, 0)));
    CHECK(two.text == all.text && two.tokens == all.tokens && two.log_likelihood == all.log_likelihood);

    for (const std::vector<float> * maps : { &all.output, &all.question }) {
        CHECK(maps->size() == 6 * n);
        for (size_t head = 0; head < maps->size(); head += all.n_img) {
            double sum = 0;
            for (int j = 0; j < all.n_img; j++) {
                CHECK((*maps)[head + j] >= 0);
                sum += (*maps)[head + j];
            }
            CHECK(sum > 0 && sum <= 1 + 1e-5);
        }
    }
    CHECK(max_diff(all.output, all.question) > 1e-2);

    // another image between, and another question after the same image, leave nothing behind
    const sd_attention other = capture(samples[1], { 0, 1, 2, 3, 4, 5 }, true);
    CHECK(max_diff(other.output, all.output) > 1e-2);
    const sd_attention again = capture(samples[0], { 0, 1, 2, 3, 4, 5 }, true);
    CHECK(again.output == all.output && again.question == all.question && again.tokens == all.tokens);
    sd_attention_params p;
    p.layers = { 0, 1, 2, 3, 4, 5 };
    p.max_tokens = 8;
    p.question = true;
    sd_attention_capture(*c, samples[1].extra, samples[2].question, p);
    const sd_attention same = sd_attention_capture(*c, {}, samples[0].question, p);
    CHECK(same.output == all.output && same.question == all.question && same.log_likelihood == all.log_likelihood);
}

static void check_errors(sd_model & m, const sample & s) {
    const auto system = demo_system(m);
    sd_attention_params p;
    p.layers = { 0 };
    auto with = [&](std::vector<int> layers, int max_tokens) {
        sd_attention_params q;
        q.layers = std::move(layers);
        q.max_tokens = max_tokens;
        return q;
    };
    CHECK_CODE(sd_attention_context_init(m, -1), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_context_init(m, 0, 0), "INVALID_ARGUMENT");

    auto c = sd_attention_context_init(m, 192);
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, p), "INVALID_ARGUMENT"); // no image yet
    CHECK_CODE(sd_attention_set_image(*c, system, std::vector<float>(s.features.begin() + 1, s.features.end())), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_set_image(*c, system, std::vector<float>(s.features.begin() + m.info.n_embd, s.features.end())), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_set_image(*c, { -1 }, s.features), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_set_image(*c, std::vector<llama_token>(60, 5), s.features), "CONTEXT_OVERFLOW");
    sd_attention_set_image(*c, system, s.features);
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, with({}, 8)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, with({ 6 }, 8)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, with({ -1 }, 8)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, with({ 1, 1 }, 8)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, with({ 1 }, 0)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, {}, {}, p), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, {}, { m.info.n_vocab }, p), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, { 1, 2, 3 }, s.question, p), "INVALID_ARGUMENT");
    CHECK_CODE(sd_attention_capture(*c, s.extra, s.question, p), "CONTEXT_OVERFLOW");
    CHECK_CODE(sd_answer_log_likelihood(*c, {}, s.question, {}), "INVALID_ARGUMENT");
    CHECK_CODE(sd_answer_log_likelihood(*c, {}, s.question, { -5 }), "INVALID_ARGUMENT");
    CHECK_CODE(sd_answer_log_likelihood(*c, {}, s.question, std::vector<llama_token>(100, 5)), "CONTEXT_OVERFLOW");

    // the end of the context ends the answer
    sd_attention_params last = with({ 2 }, 128);
    const std::vector<llama_token> filling(192 - 1 - 147, s.question[3]);
    CHECK(sd_attention_capture(*c, {}, filling, last).tokens.size() <= 2);

    sd_cancel cancel{ true };
    m.cancel = &cancel;
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, p), "ABORTED");
    CHECK_CODE(sd_attention_set_image(*c, system, s.features), "ABORTED");
    m.cancel = nullptr;
    CHECK_CODE(sd_attention_capture(*c, {}, s.question, p), "INVALID_ARGUMENT"); // its image is gone
    sd_attention_set_image(*c, system, s.features);
    CHECK(!sd_attention_capture(*c, {}, s.question, p).text.empty());
}

int main() {
    return test_main("attention", [] {
        auto m = demo_model();
        const std::vector<sample> samples = parity_samples(*m);
        CHECK(samples.size() == 6);
        check_recomputation(*m, samples);
        check_answers(*m, samples);
        check_layers(*m, samples);
        check_errors(*m, samples[0]);
    });
}
