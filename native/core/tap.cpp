#include "tap.h"

#include "error.h"

#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml.h"
#include "llama-ext.h"

// append the rows of t to the hidden states, on the device where they live
static bool append(rpn_hidden & h, ggml_tensor * t) {
    const int n = int(t->ne[1]);
    if (t->type != GGML_TYPE_F32 || t->ne[0] != h.x->ne[0] || ggml_nrows(t) != n || h.n + n > h.x->ne[1]) {
        return false;
    }
    ggml_context_ptr ctx(ggml_init({ 2 * ggml_tensor_overhead(), nullptr, true }));
    ggml_tensor * view = ggml_view_2d(ctx.get(), h.x, h.x->ne[0], n, h.x->nb[1], size_t(h.n) * h.x->nb[1]);
    if (ggml_backend_view_init(view) != GGML_STATUS_SUCCESS) {
        return false;
    }
    ggml_backend_tensor_copy(t, view);
    h.n += n;
    return true;
}

static bool on_eval(ggml_tensor * t, bool ask, void * user_data) {
    sd_tap & tap = *static_cast<sd_tap *>(user_data);
    if (tap.name != t->name) {
        return !ask; // not ours: do not observe it, do not stop for it
    }
    if (ask) {
        return true;
    }
    if (append(*tap.dst, t)) {
        tap.n += int(t->ne[1]);
    } else {
        tap.failed = true;
    }
    return true;
}

static void set_layers(llama_context * ctx, int first, int last) {
    if (!llama_set_layer_range(ctx, first, last)) {
        throw sd_error("INTERNAL", sd_format("Layers %d to %d cannot be run on their own in this model", first, last));
    }
}

void sd_tap_init(sd_tap & tap, const std::string & tensor, int branch_layer) {
    tap.name = tensor;
    tap.branch = branch_layer;
}

void sd_tap_start(sd_tap & tap, llama_context * ctx, rpn_hidden * dst, bool branch_only) {
    if (branch_only) {
        set_layers(ctx, 0, tap.branch);
    }
    tap.dst = dst;
    tap.n = 0;
    tap.failed = false;
    llama_set_eval_callback(ctx, on_eval, &tap);
}

void sd_tap_stop(sd_tap & tap, llama_context * ctx) {
    llama_set_eval_callback(ctx, nullptr, nullptr);
    llama_set_layer_range(ctx, 0, -1);
    tap.dst = nullptr;
}

void sd_tap_check(const sd_tap & tap, int n) {
    if (tap.failed) {
        throw sd_error("INTERNAL", "The hidden state " + tap.name + " has an unexpected shape");
    }
    if (tap.n != n) {
        throw sd_error("INTERNAL", sd_format("The hidden state %s came of %d tokens instead of %d", tap.name.c_str(), tap.n, n));
    }
}

sd_layers_from::sd_layers_from(llama_context * ctx, int first) : ctx(ctx) {
    set_layers(ctx, first, -1);
}

sd_layers_from::~sd_layers_from() {
    llama_set_layer_range(ctx, 0, -1);
}
