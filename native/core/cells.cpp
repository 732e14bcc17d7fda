#include "cells.h"

#include "error.h"
#include "log.h"
#include "tap.h"

#include <algorithm>

// sessions and answers at a time; sequence ids cost next to nothing
static const int N_SEQ = 64;

// Keys and values of so many bytes are kept in F32: it costs next to nothing in small models, whose few numbers feel the rounding to F16
// most. LLaVA's are in F16 always, as they were before there was a choice.
static const uint64_t SMALL_POOL = 64 << 20;

std::unique_ptr<sd_cells> sd_cells_init(sd_model & m) {
    auto c = std::make_unique<sd_cells>(m);
    // one ubatch holds the tokens of a view, so that an image is one pass
    c->n_ubatch = std::max(512, (m.family->grid.area() + 63) / 64 * 64);

    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = uint32_t(m.info.context_size) * m.info.parallel;
    cp.n_batch = c->n_ubatch;
    cp.n_ubatch = c->n_ubatch;
    cp.n_seq_max = N_SEQ;
    cp.n_outputs_max = N_SEQ;
    cp.n_threads = m.info.n_threads;
    cp.n_threads_batch = m.info.n_threads;
    cp.kv_unified = true;
    cp.rope_freq_scale = m.family->rope_freq_scale(m.lm);
    if (m.family->n_pos > 1 && 2 * m.info.kv_bytes * cp.n_ctx <= SMALL_POOL) {
        cp.type_k = cp.type_v = GGML_TYPE_F32;
        cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED; // it would round them to F16
    }
    cp.no_perf = true;
    cp.offload_kqv = m.gpu != nullptr;
    cp.op_offload = m.gpu != nullptr;
    cp.abort_callback_data = &m;
    cp.abort_callback = sd_abort_callback;

    // releasing a sequence and using a holder must not fail, and then take no memory
    c->free_seqs.reserve(N_SEQ);
    c->holders.reserve(N_SEQ);
    for (int i = N_SEQ - 1; i >= 0; i--) {
        c->free_seqs.push_back(i);
    }
    sd_log_take_error();
    c->ctx = llama_init_from_model(m.lm, cp);
    if (!c->ctx) {
        throw sd_error(
            "OUT_OF_MEMORY", sd_format("A context of %u tokens could not be made (%s): use a smaller contextSize", cp.n_ctx, sd_log_take_error().c_str()));
    }
    return c;
}

sd_cells::~sd_cells() {
    sd_cells_evict_all(*this);
    llama_free(ctx);
}

void sd_cells_leave(sd_cells & c, sd_holder * holder) {
    c.holders.erase(std::remove(c.holders.begin(), c.holders.end(), holder), c.holders.end());
}

void sd_cells_use(sd_cells & c, sd_holder * holder) {
    sd_cells_leave(c, holder);
    c.holders.push_back(holder); // each has a sequence, so there is room
}

bool sd_cells_evict_one(sd_cells & c) {
    // a question that may never be answered goes first
    for (auto it = c.holders.rbegin(); it != c.holders.rend(); ++it) {
        if ((*it)->give_spare()) {
            return true;
        }
    }
    // The last one used is being worked on, and taking its cells away would undo the work.
    if (c.holders.size() < 2) {
        return false;
    }
    c.holders.front()->give_all();
    return true;
}

void sd_cells_evict_all(sd_cells & c) {
    while (!c.holders.empty()) {
        c.holders.front()->give_all();
    }
}

llama_seq_id sd_seq_acquire(sd_cells & c) {
    if (c.free_seqs.empty() && !sd_cells_evict_one(c)) {
        throw sd_error("INTERNAL", "No sequence is left");
    }
    const llama_seq_id seq = c.free_seqs.back();
    c.free_seqs.pop_back();
    return seq;
}

void sd_seq_release(sd_cells & c, llama_seq_id seq) {
    llama_memory_seq_rm(llama_get_memory(c.ctx), seq, -1, -1);
    c.free_seqs.push_back(seq);
}

void sd_seq_share(sd_cells & c, llama_seq_id from, llama_seq_id to) {
    llama_memory_seq_cp(llama_get_memory(c.ctx), from, to, -1, -1);
}

// 1 where the batch found no cells
static int run(sd_cells & c, const llama_batch & batch) {
    sd_log_take_error();
    const int rc = llama_decode(c.ctx, batch);
    if (rc == 0 || rc == 1) {
        return rc;
    }
    if (rc == 2) {
        throw sd_error("ABORTED", "The operation was aborted");
    }
    throw sd_error(rc == -2 ? "OUT_OF_MEMORY" : "INTERNAL", sd_format("llama_decode failed with %d: %s", rc, sd_log_take_error().c_str()));
}

void sd_decode_batch(sd_cells & c, const llama_batch & batch) {
    while (run(c, batch) != 0) {
        if (!sd_cells_evict_one(c)) { // other holders' cells make room
            throw sd_error("CONTEXT_OVERFLOW",
                sd_format("The context of %d tokens is full: use a larger contextSize, a shorter question or a smaller maxTokens", c.model.info.context_size));
        }
    }
}

namespace {

// a part of a layout that goes into one batch: just tokens or just rows of pictures
struct piece {
    int first, n;
    bool tokens;
};

std::vector<piece> pieces_of(const sd_layout & l, int n_ubatch) {
    std::vector<piece> out;
    for (int first = 0; first < l.size();) {
        const bool tokens = l.cells[first].picture < 0;
        int n = 1;
        while (n < n_ubatch && first + n < l.size() && (l.cells[first + n].picture < 0) == tokens) {
            n++;
        }
        out.push_back({ first, n, tokens });
        first += n;
    }
    return out;
}

// the batches of a layout, one after the other
struct batches {
    sd_cells & c;
    const sd_layout & layout;
    llama_seq_id seq;
    int n_pos;
    std::vector<llama_token> token;
    std::vector<llama_pos> pos;
    std::vector<int32_t> n_seq;
    std::vector<llama_seq_id *> seqs;
    std::vector<int8_t> out;

    batches(sd_cells & c, const sd_layout & layout, llama_seq_id seq)
        : c(c)
        , layout(layout)
        , seq(seq)
        , n_pos(c.model.family->n_pos)
        , token(c.n_ubatch)
        , pos(size_t(c.n_ubatch) * n_pos)
        , n_seq(c.n_ubatch, 1)
        , seqs(c.n_ubatch, &this->seq)
        , out(c.n_ubatch) {}

    llama_batch make(const piece & p, const float * embd, bool logits) {
        for (int i = 0; i < p.n; i++) {
            const sd_cell & cell = layout.cells[p.first + i];
            token[i] = cell.token;
            out[i] = logits && p.first + i == layout.size() - 1;
            for (int r = 0; r < n_pos; r++) {
                pos[size_t(r) * p.n + i] = cell.pos[r];
            }
        }
        llama_batch batch = {};
        batch.n_tokens = p.n;
        batch.token = embd ? nullptr : token.data(); // of a token just the first row of positions is looked at
        batch.embd = const_cast<float *>(embd);
        batch.pos = pos.data();
        batch.n_seq_id = n_seq.data();
        batch.seq_id = seqs.data();
        batch.logits = out.data();
        return batch;
    }
};

} // namespace

void sd_decode(sd_cells & c, llama_seq_id seq, const sd_layout & l, const float * embd, bool logits) {
    batches b(c, l, seq);
    for (const piece & p : pieces_of(l, c.n_ubatch)) {
        sd_check_cancel(c.model);
        sd_decode_batch(c, b.make(p, p.tokens ? nullptr : embd + size_t(l.cells[p.first].row) * c.model.family->n_embd_row, logits));
    }
}

void sd_decode_tapped(sd_cells & c, llama_seq_id seq, const sd_layout & l, const float * embd, sd_tap & tap, rpn_hidden & hidden, bool branch_only) {
    sd_tap_scope scope(tap, c.ctx, &hidden, branch_only);
    sd_decode(c, seq, l, embd, false);
    sd_tap_check(tap, l.size());
}

void sd_decode_from(sd_cells & c, llama_seq_id seq, int layer, const sd_layout & l, const float * hidden, bool logits) {
    const size_t n_embd = c.model.info.n_embd, n_row = c.model.family->n_embd_row;
    sd_layers_from layers(c.ctx, layer);
    batches b(c, l, seq);
    std::vector<float> wide; // rows as wide as those of a picture's embeddings
    for (const piece & p : pieces_of(l, c.n_ubatch)) {
        sd_check_cancel(c.model);
        const float * rows = hidden + size_t(p.first) * n_embd;
        if (n_row != n_embd) {
            wide.assign(size_t(p.n) * n_row, 0.0f);
            for (int i = 0; i < p.n; i++) {
                std::copy(rows + i * n_embd, rows + (i + 1) * n_embd, wide.begin() + i * n_row);
            }
            rows = wide.data();
        }
        if (run(c, b.make(p, rows, logits)) != 0) {
            throw sd_error("INTERNAL", "The cells of a prompt are not where they were put: " + sd_log_take_error());
        }
    }
}
