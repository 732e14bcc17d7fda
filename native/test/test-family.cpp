// The seam between a model family and everything else: two families that share nothing with LLaVA-1.5 but the code. Their views are
// 24 x 12 cells, tokens stand around pictures, and the cells of a picture share one position, or have four of them. Prefix at the
// branch, region, completion, answers and second looks go through the session's code, and are compared with the same tokens in a
// context of the test's own, whose positions are written down here once more.

#include "demo-model.h"
#include "error.h"
#include "generate.h"
#include "joined.h"
#include "test.h"
#include "tiny-model.h"

#include <algorithm>
#include <cstring>

static const sd_size GRID = { 24, 12 };
static const sd_size PIXELS = { 48, 24 };

// --- the families

struct family_wide : sd_family {
    // one position for all cells of a picture; or time, row, column and an unused one
    llama_pos place(llama_pos first, sd_size grid, const std::vector<int32_t> & kept, sd_cell * cells) const override {
        for (size_t i = 0; i < kept.size(); i++) {
            cells[i].pos[0] = first;
            if (n_pos == 4) {
                cells[i].pos[1] = first + kept[i] / grid.width;
                cells[i].pos[2] = first + kept[i] % grid.width;
            }
        }
        return first + (n_pos == 4 ? std::max(grid.width, grid.height) : 1);
    }
    // where the picture begins
    llama_pos place_aligned(
        llama_pos first, sd_size, const std::vector<int32_t> & kept, const sd_placed & picture, const sd_cell_box &, sd_cell * cells) const override {
        for (size_t i = 0; i < kept.size(); i++) {
            cells[i].pos[0] = picture.first;
        }
        return first;
    }
    void check_rpn(const rpn_hparams &, const std::string &) const override {}
};

static void set_family(sd_model & m, int n_pos, sd_look_place look) {
    auto f = std::make_unique<family_wide>();
    f->name = "wide";
    f->pixels = PIXELS;
    f->grid = GRID;
    f->n_pos = n_pos;
    f->n_embd_row = llama_model_n_embd_inp(m.lm);
    f->before = { 11, 12 };
    f->after = { 13 };
    f->look_before = { 14 };
    f->look_after = { 15, 16 };
    f->look = look;
    m.family = std::move(f);
}

// numbers that depend on the first byte of the view
struct vision_made_up : sd_vision {
    std::vector<float> encode(const sd_view & view) override {
        std::vector<float> out(size_t(GRID.area()) * n_embd);
        uint32_t x = 12345u + view.rgb[0];
        for (float & v : out) {
            x = x * 1664525u + 1013904223u;
            v = float(x >> 8) / float(1 << 24) - 0.5f;
        }
        return out;
    }
};

static sd_view view(int seed) {
    sd_view v;
    v.width = PIXELS.width;
    v.height = PIXELS.height;
    v.rgb.assign(size_t(PIXELS.area()) * 3, uint8_t(seed));
    return v;
}

// --- the same prompt in a context of its own

struct plain {
    sd_model & m;
    int n_pos;
    llama_context * ctx;
    llama_pos next = 0;
    std::vector<float> hidden;     // after layer K-1
    std::vector<float> logits;     // of the last token
    std::vector<llama_pos> pos[3]; // of all tokens, time, row and column

    plain(sd_model & m, int n_pos) : m(m), n_pos(n_pos) {
        llama_context_params cp = llama_context_default_params();
        cp.n_ctx = 1024;
        cp.n_batch = cp.n_ubatch = 512;
        cp.n_threads = cp.n_threads_batch = 1;
        cp.kv_unified = true;
        if (n_pos > 1) { // as the pool of a small model with such positions has it
            cp.type_k = cp.type_v = GGML_TYPE_F32;
            cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        }
        cp.cb_eval_user_data = this;
        cp.cb_eval = [](ggml_tensor * t, bool ask, void * user_data) {
            plain & p = *static_cast<plain *>(user_data);
            if (p.m.tap.name != t->name) {
                return !ask;
            }
            if (!ask) {
                const size_t n = p.hidden.size();
                p.hidden.resize(n + size_t(ggml_nelements(t)));
                memcpy(p.hidden.data() + n, t->data, ggml_nbytes(t));
            }
            return true;
        };
        ctx = llama_init_from_model(m.lm, cp);
    }
    ~plain() { llama_free(ctx); }

    int n_tokens() const { return int(hidden.size()) / m.info.n_embd; }

    void decode(std::vector<llama_token> tokens, const float * embd, std::vector<llama_pos> pos, int n) {
        std::vector<int32_t> n_seq(n, 1);
        llama_seq_id seq = 0;
        std::vector<llama_seq_id *> seqs(n, &seq);
        std::vector<int8_t> out(n);
        out[n - 1] = true;
        llama_batch b = {};
        b.n_tokens = n;
        b.token = embd ? nullptr : tokens.data();
        b.embd = const_cast<float *>(embd);
        b.pos = pos.data();
        b.n_seq_id = n_seq.data();
        b.seq_id = seqs.data();
        b.logits = out.data();
        CHECK(llama_decode(ctx, b) == 0);
        const float * l = llama_get_logits_ith(ctx, -1);
        logits.assign(l, l + m.info.n_vocab);
    }

    void feed(const std::vector<llama_token> & tokens) {
        std::vector<llama_pos> p;
        for (size_t i = 0; i < tokens.size(); i++) {
            for (auto & row : pos) {
                row.push_back(next);
            }
            p.push_back(next++);
        }
        decode(tokens, nullptr, p, int(tokens.size()));
    }

    // cells y0..y1-1 of the grid's rows
    void feed(const std::vector<float> & features, int y0 = 0, int y1 = 12) {
        const int n = 24 * (y1 - y0);
        std::vector<llama_pos> p(size_t(n) * n_pos, next);
        for (int i = 0; i < n && n_pos == 4; i++) {
            p[n + i] = next + y0 + i / 24;
            p[2 * n + i] = next + i % 24;
            p[3 * n + i] = 0;
        }
        for (int r = 0; r < 3; r++) {
            pos[r].insert(pos[r].end(), p.begin() + (r < n_pos ? r * n : 0), p.begin() + (r < n_pos ? r * n : 0) + n);
        }
        decode({}, features.data() + size_t(y0) * 24 * llama_model_n_embd_inp(m.lm), p, n);
        next += n_pos == 4 ? 24 : 1;
    }
};

static std::vector<llama_token> joined_tokens(std::vector<llama_token> a, const std::vector<llama_token> & b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

static const std::vector<llama_token> SYSTEM = { 1, 20, 21, 22, 23 };
static const std::vector<llama_token> QUESTION = { 30, 31, 32, 33, 34, 35, 36 }, OTHER = { 40, 41, 42 };

// the whole prompt, with a second look where y1 > 0, of which just the rows y0..y1-1 are fed
static void feed_prompt(plain & p, const std::vector<llama_token> & question, bool inside, int look_seed = 0, int y0 = 0, int y1 = 0) {
    p.feed(joined_tokens(SYSTEM, { 11, 12 }));
    p.feed(p.m.vision->encode(view(1)));
    if (y1 == 0) {
        p.feed(joined_tokens({ 13 }, question));
        return;
    }
    p.feed(inside ? std::vector<llama_token>{ 14 } : std::vector<llama_token>{ 13, 14 });
    p.feed(p.m.vision->encode(view(look_seed)), y0, y1);
    p.feed(joined_tokens(inside ? std::vector<llama_token>{ 15, 16, 13 } : std::vector<llama_token>{ 15, 16 }, question));
}

static double max_diff(const std::vector<float> & a, const std::vector<float> & b) {
    double d = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        d = std::max(d, double(std::fabs(a[i] - b[i])));
    }
    return d;
}

static std::vector<float> roi(sd_session & s, const std::vector<llama_token> & question) {
    sd_timings t;
    int reused = 0;
    return sd_session_roi(s, question, t, reused);
}

static void check(sd_model & m, int n_pos, sd_look_place look) {
    set_family(m, n_pos, look);
    const bool inside = look == SD_LOOK_INSIDE;
    auto cells = sd_cells_init(m);
    auto s = sd_session_open(*cells, SYSTEM, view(1));
    CHECK(s->n_prefix() == 5 + 2 + 288 && s->img_start() == 7);
    CHECK_CODE(sd_session_open(*cells, SYSTEM, sd_view()), "INVALID_ARGUMENT");

    plain p(m, n_pos);
    feed_prompt(p, QUESTION, inside);
    CHECK(p.n_tokens() == 5 + 2 + 288 + 1 + 7);
    CHECK(s->prefix.next == 7 + (n_pos == 4 ? 24 : 1));

    // region: no layer from K on has run
    rpn_hidden whole;
    rpn_hidden_reset(m.rpn.get(), whole, p.n_tokens());
    rpn_hidden_set(whole, p.hidden.data(), p.n_tokens());
    rpn_positions pos = p.pos[0];
    for (int r = 1; r < rpn_get_hparams(m.rpn.get()).n_pos_rows(); r++) {
        pos.insert(pos.end(), p.pos[r].begin(), p.pos[r].end());
    }
    const auto map = roi(*s, QUESTION);
    CHECK(s->level == SD_PREFIX_BRANCH);
    CHECK_LE(rel_l2(map, rpn_score(m.rpn.get(), whole, 7, 288, p.n_tokens() - 1, pos)), 1e-3);

    // prefix completed, question gone on
    const auto logits = sd_next_logits(*s, QUESTION, {});
    CHECK(s->level == SD_PREFIX_FULL);
    CHECK_LE(max_diff(logits, p.logits), 0);

    // second looks, whole and masked; another question; and the region of the first one once more
    plain q(m, n_pos);
    feed_prompt(q, QUESTION, inside, 2, 0, 12);
    CHECK_LE(max_diff(sd_next_logits(*s, QUESTION, { view(2) }), q.logits), 2e-2);
    sd_view masked = view(3);
    masked.masked = true;
    for (int i = 4 * 24; i < 7 * 24; i++) {
        masked.keep.push_back(i);
    }
    plain r(m, n_pos);
    feed_prompt(r, QUESTION, inside, 3, 4, 7);
    CHECK_LE(max_diff(sd_next_logits(*s, QUESTION, { masked }), r.logits), 2e-2);
    CHECK(max_diff(q.logits, r.logits) > 0.1 && max_diff(p.logits, r.logits) > 0.1); // or any of them would do above
    plain o(m, n_pos);
    feed_prompt(o, OTHER, inside);
    CHECK_LE(max_diff(sd_next_logits(*s, OTHER, {}), o.logits), 2e-2);
    CHECK_LE(rel_l2(roi(*s, QUESTION), map), 1e-3);

    // tokens that follow: their positions go on from the prompt's last one
    sd_generate_params gp;
    gp.max_tokens = 6;
    gp.ignore_eos = true;
    auto a = sd_answer_start(*s, QUESTION, {}, gp, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(*cells, { a.get() });
    }
    for (llama_token t : a->tokens) {
        for (llama_token e = 0; e < m.info.n_vocab; e++) {
            p.logits[e] = llama_vocab_is_eog(m.vocab, e) ? -INFINITY : p.logits[e]; // as the answer passes over them
        }
        const llama_token best = llama_token(std::max_element(p.logits.begin(), p.logits.end()) - p.logits.begin());
        CHECK(p.logits[best] - p.logits[t] < 1e-2); // the same, or as good
        p.feed(std::vector<llama_token>{ t });
    }
    CHECK(a->tokens.size() == 6 && a->n_prompt == 303);

    // the next turn goes on where the last one ended, second looks included
    for (const std::vector<sd_view> & looks : { std::vector<sd_view>(), std::vector<sd_view>{ masked } }) {
        gp.turn = { true, false };
        auto first = sd_answer_start(*s, QUESTION, looks, gp, nullptr);
        while (first->finish == SD_FINISH_NONE) {
            sd_answer_step(*cells, { first.get() });
        }
        const std::vector<llama_token> said(first->tokens.begin(), first->tokens.end() - 1);
        const auto both = joined_tokens(joined_tokens(QUESTION, said), OTHER);
        sd_answer second(*cells);
        second.params.turn = { true, true };
        sd_answer_prompt(second, *s, both, looks);
        const std::vector<float> went_on(llama_get_logits_ith(cells->ctx, -1), llama_get_logits_ith(cells->ctx, -1) + m.info.n_vocab);
        CHECK(second.n_earlier == int(both.size() - OTHER.size()) + (looks.empty() ? 1 : 3 * 24 + 4));
        CHECK_LE(max_diff(sd_next_logits(*s, both, looks), went_on), 2e-2);
        CHECK(second.pos == s->turn->first + int(both.size()));
    }

    // evicted, and rebuilt in one go
    sd_cells_evict_all(*cells);
    CHECK_LE(max_diff(sd_next_logits(*s, QUESTION, {}), logits), 0);
}

// several pictures, each with the family's tokens around it
static void check_joined(sd_model & m, int n_pos, sd_look_place look) {
    const bool inside = look == SD_LOOK_INSIDE;
    auto cells = sd_cells_init(m);
    auto a = sd_session_open(*cells, SYSTEM, view(1)), b = sd_session_open(*cells, SYSTEM, view(2));
    const auto map = roi(*a, QUESTION);
    sd_timings t;
    auto joined = sd_session_joined({ a.get(), b.get() }, SYSTEM, { { 50, 51 } }, t);
    CHECK(joined->n_prefix() == 5 + 2 * (2 + 288) + 1 + 2);

    auto prefix = [&](plain & p) {
        p.feed(joined_tokens(SYSTEM, { 11, 12 }));
        p.feed(m.vision->encode(view(1)));
        p.feed(std::vector<llama_token>{ 13, 50, 51, 11, 12 });
        p.feed(m.vision->encode(view(2)));
    };
    plain p(m, n_pos);
    prefix(p);
    p.feed(joined_tokens({ 13 }, QUESTION));
    CHECK_LE(max_diff(sd_next_logits(*joined, QUESTION, {}), p.logits), 2e-2);
    CHECK(joined->n_prefix() + 8 == p.n_tokens());

    // second looks come behind the last picture, whichever they are of
    plain q(m, n_pos);
    prefix(q);
    q.feed(inside ? std::vector<llama_token>{ 14 } : std::vector<llama_token>{ 13, 14 });
    q.feed(m.vision->encode(view(3)));
    q.feed(std::vector<llama_token>{ 15, 16, 14 });
    q.feed(m.vision->encode(view(4)), 2, 5);
    q.feed(joined_tokens(inside ? std::vector<llama_token>{ 15, 16, 13 } : std::vector<llama_token>{ 15, 16 }, QUESTION));
    sd_view masked = view(4);
    masked.masked = true;
    for (int i = 2 * 24; i < 5 * 24; i++) {
        masked.keep.push_back(i);
    }
    CHECK_LE(max_diff(sd_next_logits(*joined, QUESTION, { view(3), masked }), q.logits), 2e-2);
    CHECK(max_diff(p.logits, q.logits) > 0.1);

    // in the other order they are another prompt; one alone is the same as its own session; the regions stay those of each
    auto turned = sd_session_joined({ b.get(), a.get() }, SYSTEM, { { 50, 51 } }, t);
    CHECK(max_diff(sd_next_logits(*turned, QUESTION, {}), p.logits) > 0.1);
    auto single = sd_session_joined({ b.get() }, SYSTEM, {}, t);
    CHECK_LE(max_diff(sd_next_logits(*single, QUESTION, {}), sd_next_logits(*b, QUESTION, {})), 2e-2);
    CHECK_LE(rel_l2(roi(*a, QUESTION), map), 1e-3);
    sd_cells_evict_all(*cells);
    CHECK_LE(max_diff(sd_next_logits(*joined, QUESTION, {}), p.logits), 2e-2);

    // a second look may share positions with any of them
    sd_view aligned = view(3);
    aligned.aligned = true;
    aligned.picture = 1;
    const sd_layout l = sd_layout_question(*m.family, joined->prefix, { sd_part_of(aligned, GRID) }, QUESTION);
    const auto cell = std::find_if(l.cells.begin(), l.cells.end(), [](const sd_cell & c) { return c.picture >= 0; });
    CHECK(cell->picture == 2 && cell->pos[0] == joined->prefix.pictures[1].first);
    aligned.picture = 2;
    CHECK_CODE(sd_layout_question(*m.family, joined->prefix, { sd_part_of(aligned, GRID) }, QUESTION), "INVALID_ARGUMENT");

    CHECK_CODE(roi(*joined, QUESTION), "INVALID_ARGUMENT");
    CHECK_CODE(sd_session_joined({ a.get(), joined.get() }, SYSTEM, { {} }, t), "INVALID_ARGUMENT");
    CHECK_CODE(sd_session_joined({ a.get(), b.get() }, SYSTEM, {}, t), "INVALID_ARGUMENT");
    CHECK_CODE(sd_session_joined({}, SYSTEM, {}, t), "INVALID_ARGUMENT");
}

int main() {
    return test_main("family", [] {
        for (const sd_look_place look : { SD_LOOK_INSIDE, SD_LOOK_BEHIND }) {
            printf(" one position a picture, second look %s\n", look == SD_LOOK_INSIDE ? "inside" : "behind");
            auto m = demo_model(true);
            auto vision = std::make_unique<vision_made_up>();
            vision->n_embd = llama_model_n_embd_inp(m->lm);
            m->vision = std::move(vision);
            check(*m, 1, look);
            check_joined(*m, 1, look);
        }
        for (const char * arch : { "qwen2vl", "qwen3vl" }) {
            printf(" four positions a cell, architecture %s\n", arch);
            auto m = tiny_model(arch);
            auto vision = std::make_unique<vision_made_up>();
            vision->n_embd = llama_model_n_embd_inp(m->lm);
            m->vision = std::move(vision);
            check(*m, 4, SD_LOOK_BEHIND);
            check_joined(*m, 4, SD_LOOK_BEHIND);
        }
    });
}
