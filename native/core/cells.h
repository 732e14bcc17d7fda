#pragma once

// The pool of KV cells: one llama context, whose cells all sequences share. It keeps a list of holders whose cells can be
// computed again, and evicts those of the least recently used holder when a decode finds no free cells.

#include "family/layout.h"
#include "model.h"

#include "llama.h"

#include <memory>
#include <vector>

// an object with sequences in the pool that can be evicted
struct sd_holder {
    virtual ~sd_holder() = default;
    virtual bool give_spare() = 0; // frees cells that may never be needed again; false if there are none
    virtual void give_all() = 0;   // frees every sequence, and removes itself from the list of holders
};

struct sd_cells {
    sd_model & model;
    llama_context * ctx = nullptr;
    int n_ubatch = 0;
    std::vector<llama_seq_id> free_seqs;
    std::vector<sd_holder *> holders; // most recently used last

    explicit sd_cells(sd_model & model) : model(model) {}
    ~sd_cells(); // its holders may outlive it, without cells
    sd_cells(const sd_cells &) = delete;
    sd_cells & operator=(const sd_cells &) = delete;
};

// The model must outlive it, and both belong to the same thread. Throws OUT_OF_MEMORY.
std::unique_ptr<sd_cells> sd_cells_init(sd_model & model);

// marks the holder as used last; it is not evicted until it leaves or another one is used
void sd_cells_use(sd_cells & cells, sd_holder * holder);
void sd_cells_leave(sd_cells & cells, sd_holder * holder);

// frees cells of the least recently used holder; false if there is only the one used last
bool sd_cells_evict_one(sd_cells & cells);

// frees the cells of all holders, including the one used last; not to be called while one of them is in use
void sd_cells_evict_all(sd_cells & cells);

llama_seq_id sd_seq_acquire(sd_cells & cells);
void sd_seq_release(sd_cells & cells, llama_seq_id seq);                 // removes its cells
void sd_seq_share(sd_cells & cells, llama_seq_id from, llama_seq_id to); // `to` has the cells of `from` too

// a sequence of its own while in scope
struct sd_seq_scope {
    sd_cells & cells;
    llama_seq_id seq;
    bool kept = false;
    explicit sd_seq_scope(sd_cells & cells) : cells(cells), seq(sd_seq_acquire(cells)) {}
    sd_seq_scope(sd_cells & cells, llama_seq_id seq) : cells(cells), seq(seq) {}
    ~sd_seq_scope() {
        if (!kept) sd_seq_release(cells, seq);
    }
    sd_seq_scope(const sd_seq_scope &) = delete;
    sd_seq_scope & operator=(const sd_seq_scope &) = delete;
    llama_seq_id keep() {
        kept = true;
        return seq;
    } // it is the caller's from here on
};

// The functions below decode the cells of a layout and append them to a sequence, tokens and pictures in turn, in pieces of the
// ubatch; they make room by evicting holders. Throw ABORTED, CONTEXT_OVERFLOW, OUT_OF_MEMORY, INTERNAL; the sequence may then hold a part of the layout.

// All layers. embd: the layout's rows, may be null where it has none. With `logits`, those of the last cell are kept.
void sd_decode(sd_cells & cells, llama_seq_id seq, const sd_layout & layout, const float * embd, bool logits);

// The same with the states before the tap's layer appended to `hidden`; with `branch_only` no layer from there on runs.
void sd_decode_tapped(sd_cells & cells, llama_seq_id seq, const sd_layout & layout, const float * embd, sd_tap & tap, rpn_hidden & hidden, bool branch_only);

// The layers from `layer` on for cells that the sequence has already, but just up to there: hidden is [cells * n_embd], the states
// before that layer. In the same pieces as above, so that the result is the same to the last bit.
void sd_decode_from(sd_cells & cells, llama_seq_id seq, int layer, const sd_layout & layout, const float * hidden, bool logits);

// One llama_decode of at most n_ubatch tokens.
void sd_decode_batch(sd_cells & cells, const llama_batch & batch);
