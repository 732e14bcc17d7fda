// Memory of the network: what is kept between its calls.

#include "rpn-impl.h"

#include "backend.h"
#include "error.h"

#include <algorithm>

ggml_context_ptr rpn_context(size_t n_tensors, size_t n_more_bytes) {
    ggml_context_ptr ctx(ggml_init({ n_tensors * ggml_tensor_overhead() + n_more_bytes, nullptr, true }));
    if (!ctx) {
        throw sd_error("OUT_OF_MEMORY", "There is not enough memory for the region proposal network");
    }
    return ctx;
}

ggml_backend_buffer_ptr rpn_place(ggml_backend_dev_t dev, ggml_context * ctx, const std::string & what) {
    ggml_backend_buffer_ptr buf(ggml_backend_alloc_ctx_tensors_from_buft(ctx, ggml_backend_dev_buffer_type(dev)));
    if (!buf) {
        throw sd_error("OUT_OF_MEMORY", "There is not enough memory on " + sd_backend_device(dev) + " for " + what);
    }
    return buf;
}

void rpn_hidden_reset(rpn_net * net, rpn_hidden & h, int capacity) {
    rpn_hidden_reset(net->dev, net->hp.n_embd, h, capacity);
}

void rpn_hidden_reset(ggml_backend_dev_t dev, int n_embd, rpn_hidden & h, int capacity) {
    if (!h.x || h.x->ne[1] < capacity) {
        rpn_hidden fresh;
        fresh.ctx = rpn_context(1);
        fresh.x = ggml_new_tensor_2d(fresh.ctx.get(), GGML_TYPE_F32, n_embd, capacity);
        fresh.buf = rpn_place(dev, fresh.ctx.get(), sd_format("the hidden states of %d tokens", capacity));
        h = std::move(fresh);
    }
    h.n = 0;
}

void rpn_hidden_set(rpn_hidden & h, const float * data, int n_tokens) {
    ggml_backend_tensor_set(h.x, data, 0, size_t(n_tokens) * h.x->nb[1]);
    h.n = n_tokens;
}

void rpn_hidden_get(const rpn_hidden & h, float * data) {
    ggml_backend_tensor_get(h.x, data, 0, size_t(h.n) * h.x->nb[1]);
}

void rpn_make_keys(rpn_net * net) {
    if (net->head.block.wk) {
        return;
    }
    const ggml_tensor * t = net->head.wk_t; // [n_kv, n_embd]
    ggml_context_ptr ctx = rpn_context(1);
    ggml_tensor * wk = ggml_new_tensor_2d(ctx.get(), t->type, t->ne[1], t->ne[0]);
    ggml_backend_buffer_ptr buf = rpn_place(net->dev, ctx.get(), "the region proposal network's key projection");
    const size_t size = ggml_type_size(t->type);
    std::vector<char> from(ggml_nbytes(t)), to(from.size());
    ggml_backend_tensor_get(t, from.data(), 0, from.size());
    for (int64_t c = 0; c < t->ne[1]; c++) {
        for (int64_t r = 0; r < t->ne[0]; r++) {
            std::copy_n(&from[(c * t->ne[0] + r) * size], size, &to[(r * t->ne[1] + c) * size]);
        }
    }
    ggml_backend_tensor_set(wk, to.data(), 0, to.size());
    net->keys_ctx = std::move(ctx);
    net->keys_buf = std::move(buf);
    net->head.block.wk = wk;
}
