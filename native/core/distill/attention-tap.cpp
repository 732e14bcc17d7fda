#include "attention-tap.h"

#include "error.h"

#include "ggml-backend.h"
#include "ggml.h"
#include "llama-ext.h"

#include <algorithm>
#include <cmath>
#include <cstring>

static const std::string TENSOR = "kq_soft_max-";

// A row is a distribution over the cells that the token sees, its own and all before it. With all rows of a prompt checked, from the
// first on, it follows that the tokens fill the cells in order.
static bool check_row(const float * row, int n_kv, int n_visible) {
    double sum = 0;
    for (int i = 0; i < n_visible; i++) {
        if (!(row[i] >= 0)) {
            return false;
        }
        sum += row[i];
    }
    for (int i = n_visible; i < n_kv; i++) {
        if (row[i] != 0) {
            return false;
        }
    }
    return std::fabs(sum - 1) < 1e-3;
}

static void read_rows(sd_attention_tap & tap, int i_layer, ggml_tensor * t) {
    const int n_kv = int(t->ne[0]), n_query = int(t->ne[1]);
    if (t->type != GGML_TYPE_F32 || !ggml_is_contiguous(t) || n_query != tap.n_tokens || t->ne[2] != tap.n_head || t->ne[3] != 1
        || n_kv < tap.first + n_query) {
        tap.error = sd_format("has shape [%d, %d, %d, %d] for %d tokens from cell %d on", n_kv, n_query, int(t->ne[2]), int(t->ne[3]), tap.n_tokens, tap.first);
        return;
    }
    const int first = tap.all_rows ? 0 : n_query - 1, n_rows = n_query - first;
    const size_t chunk = size_t(n_rows) * n_kv;
    tap.rows.resize(chunk * tap.n_head);
    ggml_backend_tensor_get_2d(t, tap.rows.data(), first * t->nb[1], chunk * sizeof(float), tap.n_head, t->nb[2], chunk * sizeof(float));
    for (int h = 0; h < tap.n_head; h++) {
        for (int r = 0; r < n_rows; r++) {
            const float * row = tap.rows.data() + h * chunk + size_t(r) * n_kv;
            const int cell = tap.first + first + r;
            if (!check_row(row, n_kv, tap.n_visible[first + r])) {
                tap.error = sd_format("is no distribution over the %d cells that the token of cell %d sees in head %d", tap.n_visible[first + r], cell, h);
                return;
            }
            if (tap.on_row) {
                tap.on_row(i_layer, h, cell, row);
            }
        }
    }
}

static bool on_eval(ggml_tensor * t, bool ask, void * user_data) {
    sd_attention_tap & tap = *static_cast<sd_attention_tap *>(user_data);
    if (std::strncmp(t->name, TENSOR.c_str(), TENSOR.size()) != 0) {
        return !ask; // not ours: do not observe it, do not stop for it
    }
    const auto name = std::find(tap.names.begin(), tap.names.end(), t->name);
    if (name == tap.names.end()) {
        return !ask;
    }
    if (!ask && tap.error.empty()) {
        tap.n_seen++;
        read_rows(tap, int(name - tap.names.begin()), t);
        if (!tap.error.empty()) {
            tap.error = *name + " " + tap.error;
        }
    }
    return true;
}

void sd_attention_tap_begin(sd_attention_tap & tap, int first, std::vector<int> n_visible) {
    tap.first = first;
    tap.n_tokens = int(n_visible.size());
    tap.n_visible = std::move(n_visible);
    tap.n_seen = 0;
}

void sd_attention_tap_end(sd_attention_tap & tap) {
    if (tap.error.empty() && tap.n_seen != tap.names.size()) {
        tap.error = sd_format("%zu of %zu layers have such weights", tap.n_seen, tap.names.size());
    }
    if (!tap.error.empty()) {
        throw sd_error("INTERNAL", "The attention of this model cannot be read: " + tap.error);
    }
}

sd_attention_tap_scope::sd_attention_tap_scope(
    sd_attention_tap & tap, llama_context * ctx, const std::vector<int> & layers, bool all_rows, sd_attention_row_fn on_row)
    : tap(tap), ctx(ctx) {
    tap.names.clear();
    for (int il : layers) {
        tap.names.push_back(TENSOR + std::to_string(il));
    }
    tap.all_rows = all_rows;
    tap.on_row = std::move(on_row);
    tap.error.clear();
    llama_set_eval_callback(ctx, on_eval, &tap);
}

sd_attention_tap_scope::~sd_attention_tap_scope() {
    llama_set_eval_callback(ctx, nullptr, nullptr);
    tap.names.clear();
    tap.on_row = nullptr;
    tap.error.clear();
}
