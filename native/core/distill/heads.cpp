#include "heads.h"

#include "error.h"
#include "resample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

sd_heads::sd_heads(const sd_model & model, const sd_heads_params & params) : params(params), n_layer(model.info.n_layer), n_head(model.info.n_head) {
    const int side = std::min(model.family->grid.width, model.family->grid.height);
    if (params.lattice == 0) {
        this->params.lattice = std::max(1, side / 2);
    }
    if (params.lattice < 0 || params.lattice > side) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected between 1 and %d probes per side but received %d", side, params.lattice));
    }
    if (!(params.window > 0 && params.window <= 1) || !(params.uncertainty > 0) || params.max_tokens < 1) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Expected a window of more than 0 and at most 1, an uncertainty above 0 and at least 1 token but received %g, %g and %d", params.window,
                params.uncertainty, params.max_tokens));
    }
    grounding.resize(size_t(n_layer) * n_head);
    sink.resize(grounding.size());
}

// The frame around the picture, as the first view shows it, in the picture's pixels: the picture in the middle, padded to the
// proportions of a view (LLaVA's expand2square, where views are square).
struct frame {
    int x, y, width, height;
    frame(const sd_picture & p, sd_size view) {
        width = int(std::max(int64_t(p.width), (int64_t(p.height) * view.width + view.height - 1) / view.height));
        height = int(std::max(int64_t(p.height), (int64_t(p.width) * view.height + view.width - 1) / view.width));
        x = -((width - p.width) / 2);
        y = -((height - p.height) / 2);
    }
};

static std::vector<float> encode(const sd_model & m, sd_resample_params p, const sd_picture & picture) {
    p.width = picture.width;
    p.height = picture.height;
    p.out_width = m.family->pixels.width;
    p.out_height = m.family->pixels.height;
    p.cancel = m.cancel;
    std::copy(m.vision->fill.begin(), m.vision->fill.end(), p.fill);
    sd_view view;
    view.width = p.out_width;
    view.height = p.out_height;
    view.rgb.resize(size_t(p.out_width) * p.out_height * 3);
    sd_resample(p, picture.rgb, view.rgb.data());
    return m.vision->encode(view);
}

static std::vector<float> encode_view(const sd_model & m, const sd_picture & picture) {
    const frame f(picture, m.family->pixels);
    sd_resample_params p;
    p.window_x = f.x;
    p.window_y = f.y;
    p.window_width = f.width;
    p.window_height = f.height;
    p.filter = SD_FILTER_BICUBIC;
    return encode(m, p, picture);
}

// The crop around the middle of lattice place (i, j), moved into the frame and clipped to the picture as a region would
// be; false where it covers no picture.
static bool probe_window(const sd_heads_params & hp, const sd_picture & picture, sd_size view, int i, int j, sd_resample_params & p) {
    const frame f(picture, view);
    auto span = [&](int k, int start, int length, int limit, int & from, int & size) {
        const double part = hp.window * length;
        const double first = std::min(std::max((k + 0.5) / hp.lattice * length - part / 2, 0.0), length - part);
        from = std::max(0, start + int(std::floor(first)));
        size = std::min(limit, start + int(std::ceil(first + part))) - from;
        return size > 0;
    };
    p.filter = SD_FILTER_BILINEAR;
    return span(i, f.x, f.width, picture.width, p.window_x, p.window_width) && span(j, f.y, f.height, picture.height, p.window_y, p.window_height);
}

// u of every lattice place; `base` is the log-likelihood of the plain answer
static std::vector<float> probe(
    const sd_heads_params & hp, sd_attention_context & c, const sd_picture & picture, const std::vector<llama_token> & question, double base) {
    sd_attention_params ap;
    ap.layers = { 0 }; // just the answer counts
    ap.max_tokens = hp.max_tokens;
    std::vector<float> u(size_t(hp.lattice) * hp.lattice);
    for (int j = 0; j < hp.lattice; j++) {
        for (int i = 0; i < hp.lattice; i++) {
            sd_resample_params window;
            if (probe_window(hp, picture, sd_attention_model(c).family->pixels, i, j, window)) {
                const sd_attention a = sd_attention_capture(c, encode(sd_attention_model(c), window, picture), question, ap);
                u[size_t(j) * hp.lattice + i] = float(std::min(1.0, std::max(0.0, 1 - a.log_likelihood / base)));
            }
        }
    }
    return u;
}

// mean of u under the attention, normalized
static double mean_under(const float * attention, const std::vector<double> & u) {
    double mass = 0, useful = 0;
    for (size_t i = 0; i < u.size(); i++) {
        mass += attention[i];
        useful += attention[i] * u[i];
    }
    return mass > 0 ? useful / mass : 0;
}

// what both questions have in common, where it piles up and is of no use
static double constant_peaks(const float * a, const float * b, const std::vector<double> & u) {
    double sum = 0, peaks = 0;
    for (size_t i = 0; i < u.size(); i++) {
        sum += std::min(a[i], b[i]);
    }
    const double limit = SD_SINK_FACTOR * sum / double(u.size());
    for (size_t i = 0; i < u.size(); i++) {
        const double v = std::min(a[i], b[i]);
        peaks += v > limit ? v * (1 - u[i]) : 0;
    }
    return peaks;
}

bool sd_heads_add(sd_heads & heads, sd_attention_context & c, const sd_picture & picture, const std::vector<llama_token> & system,
    const std::vector<llama_token> & question, const std::vector<llama_token> & other) {
    if (!picture.rgb || picture.width < 1 || picture.height < 1) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a picture but received %d x %d pixels", picture.width, picture.height));
    }
    if (other == question) {
        throw sd_error("INVALID_ARGUMENT", "Expected another question that differs from the question, or none");
    }
    const sd_model & m = sd_attention_model(c);
    const sd_size grid = m.family->grid;
    const int lattice = heads.params.lattice;
    sd_attention_params ap;
    ap.max_tokens = heads.params.max_tokens;
    ap.layers.resize(heads.n_layer);
    std::iota(ap.layers.begin(), ap.layers.end(), 0);

    sd_attention_set_image(c, system, encode_view(m, picture));
    const sd_attention a = sd_attention_capture(c, {}, question, ap);
    if (a.log_likelihood > -heads.params.uncertainty) {
        heads.n_passed++;
        return false;
    }
    const bool with_other = !other.empty();
    const sd_attention b = with_other ? sd_attention_capture(c, {}, other, ap) : sd_attention();
    heads.usefulness = probe(heads.params, c, picture, question, a.log_likelihood);

    std::vector<double> u(a.n_img);
    for (int cell = 0; cell < a.n_img; cell++) { // of the lattice place that the cell's middle lies in
        const int i = (2 * (cell % grid.width) + 1) * lattice / (2 * grid.width), j = (2 * (cell / grid.width) + 1) * lattice / (2 * grid.height);
        u[cell] = heads.usefulness[size_t(j) * lattice + i];
    }
    for (size_t k = 0; k < heads.grounding.size(); k++) {
        heads.grounding[k] += mean_under(a.output.data() + k * a.n_img, u);
        if (with_other) {
            heads.sink[k] += constant_peaks(a.output.data() + k * a.n_img, b.output.data() + k * a.n_img, u);
        }
    }
    heads.n_sink += with_other;
    heads.n_used++;
    return true;
}

std::vector<sd_head> sd_heads_rank(const sd_heads & heads) {
    if (heads.n_used == 0) {
        throw sd_error("DATA_INVALID",
            sd_format("None of %d question-image pairs tells heads apart, since the model is sure of its answers without a second look: "
                      "give pairs that ask about small details",
                heads.n_passed));
    }
    std::vector<sd_head> out;
    for (int k = 0; k < heads.n_layer * heads.n_head; k++) {
        out.push_back({ k / heads.n_head, k % heads.n_head, heads.grounding[k] / heads.n_used, heads.sink[k] / std::max(1, heads.n_sink) });
    }
    std::stable_sort(out.begin(), out.end(), [](const sd_head & a, const sd_head & b) { return a.grounding > b.grounding; });
    return out;
}
