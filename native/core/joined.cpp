#include "joined.h"

#include "error.h"

std::unique_ptr<sd_session> sd_session_joined(
    const std::vector<sd_session *> & pictures, std::vector<llama_token> system, const std::vector<std::vector<llama_token>> & between, sd_timings & t) {
    if (pictures.empty() || between.size() + 1 != pictures.size()) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected one text between each two pictures but received %zu for %zu", between.size(), pictures.size()));
    }
    std::vector<sd_part> parts;
    for (const sd_session * s : pictures) {
        if (s->answers_only || s->view.masked) {
            throw sd_error("INVALID_ARGUMENT", "Expected sessions of whole pictures");
        }
        parts.push_back(sd_part_of(s->view, s->grid));
    }
    auto joined = std::make_unique<sd_session>(pictures[0]->cells);
    joined->answers_only = true;
    joined->prefix = sd_layout_prefix(*joined->model.family, system, parts, between);
    joined->system = std::move(system);
    joined->features.reserve(size_t(joined->prefix.n_rows) * joined->model.family->n_embd_row);
    for (sd_session * s : pictures) {
        const std::vector<float> & f = sd_session_features(*s, t);
        joined->features.insert(joined->features.end(), f.begin(), f.end());
    }
    return joined;
}
