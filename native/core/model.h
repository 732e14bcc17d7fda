#pragma once

// A LLaVA model: language model, vision tower, and (optionally) the region proposal network, in one llama context whose
// KV cells are shared by all sessions. Everything here runs on one thread: the caller's worker.

#include "prompt.h"
#include "rpn/rpn.h"
#include "tap.h"
#include "vision.h"

#include "llama.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

using sd_cancel = std::atomic<bool>;

struct sd_model_params {
    std::string model, mmproj, rpn; // rpn may be empty
    int  gpu_layers   = -1;         // -1: all of them where there is a GPU; 0: CPU only
    int  n_threads    = 0;          // 0: chosen for the machine and the model
    int  context_size = 0;          // tokens of one call; 0: min(4096, trained)
    int  parallel     = 1;          // answers decoded in one batch
    uint64_t memory   = 0;          // bytes that may be taken; 0: not known
    std::function<void(float)> progress;
};

struct sd_model_info {
    std::string architecture, name, chat_template, bos_text, eos_text;
    bool add_bos = false;
    uint64_t kv_bytes = 0;          // of one token in all layers, f16
    int  n_layer = 0, n_embd = 0, n_head = 0, n_head_kv = 0, n_vocab = 0, n_ctx_train = 0, context_size = 0, n_threads = 1, parallel = 1;
    std::string backend, device, llama_version, ggml_version;
};

struct sd_session;

struct sd_model {
    sd_model_params params;
    sd_model_info   info;

    llama_model *       lm    = nullptr;
    llama_context *     ctx   = nullptr;
    const llama_vocab * vocab = nullptr;
    sd_tokenizer        tokenizer;
    std::unique_ptr<sd_vision> vision;
    rpn_ptr rpn;    // null without one
    sd_tap  tap;
    rpn_hidden hidden; // the tap's target, reused

    int n_ubatch = 0;
    std::vector<llama_seq_id> free_seqs;
    std::list<sd_session *>   resident;  // sessions with KV cells, most recently used first
    const sd_cancel *         cancel = nullptr; // of the job that runs now

    sd_model() = default;
    ~sd_model();
    sd_model(const sd_model &) = delete;
    sd_model & operator=(const sd_model &) = delete;
};

// What is checked of a language model before llama.cpp sees the file; fills `info` from its header.
// Throws MODEL_NOT_FOUND, MODEL_INVALID, IO_ERROR.
void sd_model_check_header(const std::string & path, sd_model_info & info);

// Loads and checks all files before ggml sees them. Throws MODEL_NOT_FOUND, MODEL_INVALID, MMPROJ_INVALID, MMPROJ_MISMATCH,
// RPN_INVALID, RPN_MISMATCH, OUT_OF_MEMORY, BACKEND_UNAVAILABLE, INVALID_ARGUMENT, ABORTED.
std::unique_ptr<sd_model> sd_model_load(const sd_model_params & params, const sd_cancel & cancel);

// Puts n tokens or embeddings at positions pos.. of a sequence, in pieces of the ubatch; with `logits`, those of the last
// one are kept. Makes room by evicting sessions. Throws ABORTED, CONTEXT_OVERFLOW, OUT_OF_MEMORY, INTERNAL.
void sd_decode(sd_model & model, llama_seq_id seq, int pos, const llama_token * tokens, const float * embd, int n, bool logits);

// One llama_decode with the same errors; n_tokens is at most n_ubatch.
void sd_decode_batch(sd_model & model, const llama_batch & batch);

// throws ABORTED when the job's cancel flag is set
void sd_check_cancel(const sd_model & model);

llama_seq_id sd_seq_acquire(sd_model & model);
void         sd_seq_release(sd_model & model, llama_seq_id seq); // removes its cells

// a sequence of its own while in scope
struct sd_seq_scope {
    sd_model & model;
    llama_seq_id seq;
    bool kept = false;
    explicit sd_seq_scope(sd_model & model) : model(model), seq(sd_seq_acquire(model)) {}
    sd_seq_scope(sd_model & model, llama_seq_id seq) : model(model), seq(seq) {}
    ~sd_seq_scope() { if (!kept) sd_seq_release(model, seq); }
    llama_seq_id keep() { kept = true; return seq; } // it is the caller's from here on
};
