// The ranking of attention heads without annotations and the maps that labels are made of, on the demo model and pictures; the boxes of demo/questions.jsonl
// check what was chosen, and choose nothing.

#include "demo-model.h"
#include "distill/heads.h"
#include "distill/label.h"
#include "resample.h"
#include "test.h"

#include "nlohmann/json.hpp"

#include <algorithm>
#include <fstream>
#include <map>

using json = nlohmann::json;

struct item {
    std::vector<uint8_t> rgb;
    int width = 0, height = 0;
    std::vector<llama_token> question;
    std::string kind;
    std::vector<double> box;

    sd_picture picture() const { return { rgb.data(), width, height }; }
};

static std::vector<item> items(const sd_model & m, const std::map<std::string, int> & counts) {
    std::map<std::string, int> left = counts;
    std::vector<item> out;
    std::ifstream in(test_demo("questions.jsonl"));
    for (std::string line; std::getline(in, line);) {
        const json q = json::parse(line);
        item it;
        it.kind = q["kind"];
        if (left[it.kind]-- <= 0) {
            continue;
        }
        it.box = q["box"].get<std::vector<double>>();
        it.rgb = test_load_rgb(test_demo(q["image"]), it.width, it.height);
        it.question = demo_question(m, q["question"]);
        out.push_back(std::move(it));
    }
    return out;
}

// the place's part of the picture and the box have a part in common, when both are cut into n x n places
static bool on_box(const item & it, int n, int place) {
    const double w = double(it.width) / n, h = double(it.height) / n, x = place % n * w, y = place / n * h;
    return x + w > it.box[0] && x < it.box[2] && y + h > it.box[1] && y < it.box[3];
}

static void check_rank(sd_model & m) {
    const std::vector<llama_token> system = demo_system(m);
    const std::vector<item> data = items(m, { { "object", 3 }, { "form", 3 }, { "coarse", 1 } });
    CHECK(data.size() == 7);
    auto c = sd_attention_context_init(m);
    sd_heads heads(m, {});
    CHECK(heads.params.lattice == 6);
    CHECK_CODE(sd_heads_rank(heads), "DATA_INVALID");

    std::vector<double> share(size_t(m.info.n_layer) * m.info.n_head); // on the asked thing's cells: what the boxes say
    double on = 0, off = 0;
    int n_on = 0, n_off = 0;
    for (size_t i = 0; i < data.size(); i++) {
        const item & it = data[i];
        const bool used = sd_heads_add(heads, *c, it.picture(), system, it.question, data[(i + 1) % data.size()].question);
        CHECK(used == (it.kind != "coarse")); // shapes are seen without a second look
        if (!used) {
            continue;
        }
        CHECK(heads.usefulness.size() == 36);
        for (int k = 0; k < 36; k++) {
            (on_box(it, 6, k) ? on : off) += heads.usefulness[k];
            (on_box(it, 6, k) ? n_on : n_off)++;
        }
        sd_attention_params ap;
        ap.layers = { 0, 1, 2, 3, 4, 5 };
        const sd_attention a = sd_attention_capture(*c, {}, it.question, ap); // the image is still the pair's
        for (size_t k = 0; k < share.size(); k++) {
            double here = 0, all = 0;
            for (int j = 0; j < a.n_img; j++) {
                all += a.output[k * a.n_img + j];
                here += on_box(it, m.family->grid.width, j) ? a.output[k * a.n_img + j] : 0;
            }
            share[k] += here / all / 6;
        }
    }
    CHECK(heads.n_used == 6 && heads.n_passed == 1 && heads.n_sink == 6);
    printf("  usefulness of a look on the asked thing %.3f, elsewhere %.3f\n", on / n_on, off / n_off);
    CHECK(on / n_on > 5 * (off / n_off));

    const std::vector<sd_head> rank = sd_heads_rank(heads);
    CHECK(rank.size() == share.size());
    double best = *std::max_element(share.begin(), share.end()), chosen = 0;
    for (size_t i = 0; i < rank.size(); i++) {
        const double s = share[rank[i].layer * m.info.n_head + rank[i].head];
        printf("  head (%d, %d): grounding %.3f, sink %.4f; share on the asked thing %.3f\n", rank[i].layer, rank[i].head, rank[i].grounding, rank[i].sink, s);
        CHECK(rank[i].grounding >= 0 && rank[i].grounding <= 1 && rank[i].sink >= 0 && rank[i].sink <= 1);
        CHECK(i == 0 || rank[i].grounding <= rank[i - 1].grounding);
        chosen += i < 3 ? s / 3 : 0;
    }
    printf("  the three best: %.3f of their attention on the asked thing, the best single head %.3f\n", chosen, best);
    CHECK(chosen >= 0.9 * best);
    CHECK(rank.front().grounding > 3 * rank[rank.size() / 2].grounding);
}

static void check_errors(sd_model & m) {
    auto with = [](int lattice, double window, double uncertainty, int max_tokens) {
        sd_heads_params p;
        p.lattice = lattice;
        p.window = window;
        p.uncertainty = uncertainty;
        p.max_tokens = max_tokens;
        return p;
    };
    CHECK_CODE(sd_heads(m, with(13, 0.25, 0.1, 32)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads(m, with(-1, 0.25, 0.1, 32)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads(m, with(6, 0, 0.1, 32)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads(m, with(6, 1.5, 0.1, 32)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads(m, with(6, 0.25, 0, 32)), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads(m, with(6, 0.25, 0.1, 0)), "INVALID_ARGUMENT");

    const std::vector<llama_token> system = demo_system(m);
    const item it = items(m, { { "form", 1 } })[0];
    auto c = sd_attention_context_init(m);
    sd_heads heads(m, with(1, 0.25, 0.1, 8));
    CHECK_CODE(sd_heads_add(heads, *c, { nullptr, 10, 10 }, system, it.question, {}), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads_add(heads, *c, it.picture(), system, {}, it.question), "INVALID_ARGUMENT");
    CHECK_CODE(sd_heads_add(heads, *c, it.picture(), system, it.question, it.question), "INVALID_ARGUMENT");
    sd_cancel cancel{ true };
    m.cancel = &cancel;
    CHECK_CODE(sd_heads_add(heads, *c, it.picture(), system, it.question, {}), "ABORTED");
    m.cancel = nullptr;
    CHECK(heads.n_used == 0 && heads.n_passed == 0);
}

// a picture seven times as wide as high: its view is mostly padding, where nothing is probed, and the asked place is found
static void check_strip(sd_model & m) {
    const item it = items(m, { { "form", 1 } })[0];
    const int first = 680, height = 144; // holds the form of the box
    CHECK(it.box[1] > first && it.box[3] < first + height && it.width == 1008);
    sd_heads_params p;
    p.lattice = 7;
    sd_heads heads(m, p);
    auto c = sd_attention_context_init(m);
    CHECK(sd_heads_add(heads, *c, { it.rgb.data() + size_t(first) * it.width * 3, it.width, height }, demo_system(m), it.question, {}));
    CHECK(heads.n_sink == 0 && sd_heads_rank(heads)[0].sink == 0);
    CHECK(heads.usefulness.size() == 49);
    for (int k = 0; k < 49; k++) {
        CHECK((k / 7 >= 2 && k / 7 <= 4) || heads.usefulness[k] == 0);
    }
    const auto best = std::max_element(heads.usefulness.begin(), heads.usefulness.end());
    CHECK(*best > 0.5f);
    const double x = ((best - heads.usefulness.begin()) % 7 + 0.5) / 7 * it.width;
    printf("  strip: best place at x %.0f with %.3f, box %.0f .. %.0f\n", x, *best, it.box[0], it.box[2]);
    CHECK(x > it.box[0] - 72 && x < it.box[2] + 72);
}

// maps of chosen heads: plain means of the capture, and their peak on the asked thing
static void check_label(sd_model & m) {
    auto c = sd_attention_context_init(m);
    const std::vector<item> data = items(m, { { "object", 4 }, { "form", 4 } });
    sd_label_params p;
    p.grounding = { { 4, 0 }, { 3, 2 }, { 4, 1 } };
    p.sink = { { 1, 2 }, { 1, 2 }, { 0, 3 } }; // one twice
    p.max_tokens = 16;
    int hits = 0;
    for (const item & it : data) {
        sd_resample_params r;
        r.width = r.window_width = it.width;
        r.height = r.window_height = it.height;
        r.out_width = m.family->pixels.width;
        r.out_height = m.family->pixels.height;
        std::vector<uint8_t> view(size_t(r.out_width) * r.out_height * 3);
        sd_resample(r, it.rgb.data(), view.data());
        sd_attention_set_image(*c, demo_system(m), m.vision->encode(demo_view(view)));
        const sd_label_maps l = sd_label_capture(*c, it.question, p);

        sd_attention_params ap;
        ap.layers = { 0, 1, 2, 3, 4, 5 };
        ap.max_tokens = 16;
        const sd_attention a = sd_attention_capture(*c, {}, it.question, ap);
        CHECK(int(l.grounding.size()) == a.n_img && int(l.sink.size()) == a.n_img);
        double worst = 0;
        for (int j = 0; j < a.n_img; j++) {
            worst = std::max(worst, std::fabs(l.grounding[j] - (double(a.output_map(4, 0)[j]) + a.output_map(3, 2)[j] + a.output_map(4, 1)[j]) / 3));
            worst = std::max(worst, std::fabs(l.sink[j] - (2.0 * a.output_map(1, 2)[j] + a.output_map(0, 3)[j]) / 3));
        }
        CHECK(worst < 1e-7);
        CHECK(l.text == a.text && l.n_tokens == int(a.tokens.size()) && l.log_likelihood == a.log_likelihood);
        hits += on_box(it, m.family->grid.width, int(std::max_element(l.grounding.begin(), l.grounding.end()) - l.grounding.begin()));

        sd_label_params without = p;
        without.sink.clear();
        const sd_label_maps w = sd_label_capture(*c, it.question, without);
        CHECK(w.grounding == l.grounding && w.sink == std::vector<float>(a.n_img, 0.0f));
    }
    CHECK(data.size() == 8 && hits == 8);

    auto with = [](std::vector<sd_head_id> grounding, std::vector<sd_head_id> sink) {
        sd_label_params q;
        q.grounding = std::move(grounding);
        q.sink = std::move(sink);
        return q;
    };
    CHECK_CODE(sd_label_capture(*c, data[0].question, with({}, { { 1, 2 } })), "INVALID_ARGUMENT");
    CHECK_CODE(sd_label_capture(*c, data[0].question, with({ { 6, 0 } }, {})), "INVALID_ARGUMENT");
    CHECK_CODE(sd_label_capture(*c, data[0].question, with({ { 3, 4 } }, {})), "INVALID_ARGUMENT");
    CHECK_CODE(sd_label_capture(*c, data[0].question, with({ { 3, 0 } }, { { -1, 0 } })), "INVALID_ARGUMENT");
}

// What is known of the demo model (demo/README.md): mean share of a head's image attention that lies on the asked thing's cells, over the demo's questions for codes
static void check_shares(sd_model & m) {
    const int grid = m.family->grid.width, n_head = m.info.n_head, n_layer = m.info.n_layer;
    auto c = sd_attention_context_init(m);
    std::vector<double> share(size_t(n_layer) * n_head);
    int n = 0;
    std::ifstream in(test_demo("questions.jsonl"));
    for (std::string line; std::getline(in, line);) {
        const json q = json::parse(line);
        if (q["kind"] == "coarse") {
            continue; // one-word answers about shapes need no pointing
        }
        sd_resample_params r;
        const std::vector<uint8_t> rgb = test_load_rgb(test_demo(q["image"]), r.width, r.height);
        r.window_width = r.width;
        r.window_height = r.height;
        r.out_width = m.family->pixels.width;
        r.out_height = m.family->pixels.height;
        r.filter = SD_FILTER_BICUBIC;
        std::vector<uint8_t> view(size_t(r.out_width) * r.out_height * 3);
        sd_resample(r, rgb.data(), view.data());

        sd_attention_set_image(*c, demo_system(m), m.vision->encode(demo_view(view)));
        sd_attention_params p;
        p.layers = { 0, 1, 2, 3, 4, 5 };
        const sd_attention a = sd_attention_capture(*c, {}, demo_question(m, q["question"]), p);
        const double cell_w = double(r.width) / grid, cell_h = double(r.height) / grid;
        for (int k = 0; k < n_layer * n_head; k++) {
            double on = 0, all = 0;
            for (int j = 0; j < grid * grid; j++) {
                const double x = j % grid * cell_w, y = j / grid * cell_h;
                const double v = a.output[size_t(k) * grid * grid + j];
                all += v;
                if (x + cell_w > q["box"][0] && x < q["box"][2] && y + cell_h > q["box"][1] && y < q["box"][3]) {
                    on += v;
                }
            }
            share[k] += on / all;
        }
        n++;
    }
    printf("  share of the image attention on the asked thing, %d questions, layer x head\n", n);
    for (int il = 0; il < n_layer; il++) {
        printf("   ");
        for (int h = 0; h < n_head; h++) {
            share[il * n_head + h] /= n;
            printf(" %.3f", share[il * n_head + h]);
        }
        printf("\n");
    }
    CHECK(n == 24);
    auto is = [&](int il, int h, double from, double to) {
        const double v = share[il * n_head + h];
        if (v < from || v > to) {
            fprintf(stderr, "  head (%d, %d): %.3f is not in %.2f .. %.2f\n", il, h, v, from, to);
            CHECK(!"share");
        }
    };
    for (int il = 0; il < n_layer; il++) {
        for (int h = 0; h < n_head; h++) {
            const bool pointer = (il == 3 && (h == 0 || h == 2)) || (il == 4 && h < 2);
            is(il, h, pointer ? 0.97 : il == 4 ? 0.88 : 0, pointer || il == 4 ? 1.0 : 0.87);
        }
    }
}

int main() {
    return test_main("heads", [] {
        auto m = demo_model();
        check_shares(*m);
        check_rank(*m);
        check_strip(*m);
        check_label(*m);
        check_errors(*m);
    });
}
