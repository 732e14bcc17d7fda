#pragma once

// A loaded model: the weights of the language model, the vision tower and (optionally) the region proposal network, and the rules of
// its family. Its llama context is in cells.h. Everything here runs on one thread: the caller's worker.

#include "family/family.h"
#include "prompt.h"
#include "rpn/rpn.h"
#include "tap.h"
#include "vision.h"

#include "llama.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

using sd_cancel = std::atomic<bool>;

struct sd_model_params {
    std::string model, mmproj, rpn; // rpn may be empty
    int gpu_layers = -1;            // -1: all of them where there is a GPU; 0: CPU only
    int n_threads = 0;              // 0: chosen for the machine and the model
    int context_size = 0;           // tokens of one call, at most the trained ones; 0: min(4096, trained)
    int parallel = 1;               // answers decoded in one batch
    uint64_t memory = 0;            // bytes that may be taken; 0: not known
    std::function<void(float)> progress;
};

struct sd_model_info {
    std::string architecture, name, chat_template, bos_text, eos_text;
    bool add_bos = false;
    uint64_t kv_bytes = 0; // of one token in all layers, f16
    int n_layer = 0, n_embd = 0, n_head = 0, n_head_kv = 0, n_vocab = 0, n_ctx_train = 0, context_size = 0, n_threads = 1, parallel = 1;
    std::string backend, device, llama_version, ggml_version;
};

struct sd_model {
    sd_model_params params;
    sd_model_info info;

    llama_model * lm = nullptr;
    const llama_vocab * vocab = nullptr;
    sd_tokenizer tokenizer;
    ggml_backend_dev_t gpu = nullptr; // where the layers run; null: on the CPU
    std::unique_ptr<sd_vision> vision;
    std::unique_ptr<sd_family> family;
    rpn_ptr rpn; // null without one
    sd_tap tap;  // before the network's first layer

    const sd_cancel * cancel = nullptr; // of the job that runs now

    sd_model() = default;
    ~sd_model();
    sd_model(const sd_model &) = delete;
    sd_model & operator=(const sd_model &) = delete;
};

// Checks the file of a language model before llama.cpp opens it; fills `info` from its header.
// Throws MODEL_NOT_FOUND, MODEL_INVALID, IO_ERROR.
void sd_model_check_header(const std::string & path, sd_model_info & info);

// Loads and checks all files before ggml sees them. Throws MODEL_NOT_FOUND, MODEL_INVALID, MMPROJ_INVALID, MMPROJ_MISMATCH,
// RPN_INVALID, RPN_MISMATCH, OUT_OF_MEMORY, BACKEND_UNAVAILABLE, INVALID_ARGUMENT, ABORTED.
std::unique_ptr<sd_model> sd_model_load(const sd_model_params & params, const sd_cancel & cancel);

// throws ABORTED when the job's cancel flag is set
void sd_check_cancel(const sd_model & model);

// for llama_context_params: ends a graph on the CPU when the job is cancelled; the data is the model
bool sd_abort_callback(void * model);
