#include "label.h"

#include "error.h"

#include <algorithm>

static void check_heads(const std::vector<sd_head_id> & heads, const sd_model_info & info) {
    for (const sd_head_id & h : heads) {
        if (h.layer < 0 || h.layer >= info.n_layer || h.head < 0 || h.head >= info.n_head) {
            throw sd_error("INVALID_ARGUMENT",
                sd_format("Expected heads of layers 0 to %d with numbers 0 to %d but received layer %d, head %d", info.n_layer - 1, info.n_head - 1, h.layer,
                    h.head));
        }
    }
}

static std::vector<float> mean(const sd_attention & a, const std::vector<int> & layers, const std::vector<sd_head_id> & heads) {
    std::vector<double> sum(a.n_img);
    for (const sd_head_id & h : heads) {
        const float * map = a.output_map(int(std::find(layers.begin(), layers.end(), h.layer) - layers.begin()), h.head);
        for (int i = 0; i < a.n_img; i++) {
            sum[i] += map[i];
        }
    }
    std::vector<float> out(a.n_img);
    for (int i = 0; i < a.n_img && !heads.empty(); i++) {
        out[i] = float(sum[i] / double(heads.size()));
    }
    return out;
}

sd_label_maps sd_label_capture(sd_attention_context & c, const std::vector<llama_token> & question, const sd_label_params & params) {
    const sd_model_info & info = sd_attention_model(c).info;
    if (params.grounding.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected at least one grounding head");
    }
    check_heads(params.grounding, info);
    check_heads(params.sink, info);

    sd_attention_params ap;
    ap.max_tokens = params.max_tokens;
    for (const auto * heads : { &params.grounding, &params.sink }) {
        for (const sd_head_id & h : *heads) {
            if (std::find(ap.layers.begin(), ap.layers.end(), h.layer) == ap.layers.end()) {
                ap.layers.push_back(h.layer);
            }
        }
    }
    sd_attention a = sd_attention_capture(c, {}, question, ap);

    sd_label_maps out;
    out.grounding = mean(a, ap.layers, params.grounding);
    out.sink = mean(a, ap.layers, params.sink);
    out.text = std::move(a.text);
    out.n_tokens = int(a.tokens.size());
    out.log_likelihood = a.log_likelihood;
    return out;
}
