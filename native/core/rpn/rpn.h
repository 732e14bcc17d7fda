#pragma once

// The region proposal network (SD-RPN, arXiv 2509.16944): T-1 full decoder layers on the hidden states
// after base layer K-1, then the query/key map of the last block. The image tokens stand before the question and
// attention is causal, so everything about them is computed once per image and kept in an rpn_state.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct ggml_tensor;
struct ggml_context;
struct ggml_backend_buffer;
struct ggml_backend_device;

struct rpn_hparams {
    int   n_embd      = 0;
    int   n_ff        = 0;
    int   n_head      = 0;
    int   n_head_kv   = 0;
    int   d_head      = 0;
    int   n_block     = 0; // T; the last block has only its input norm and q/k
    int   branch      = 0; // K: the input is the hidden state after base layers 0..K-1
    int   rope_type   = 0;
    int   rope_dim    = 0;
    float rope_base   = 0;
    float eps         = 0;
    float threshold   = 0; // default threshold of the map, 0: none in the file

    // of the base model: block count must match, the others are for information
    std::string base_architecture;
    std::string base_name;
    int         base_n_layer = 0;
    int         base_n_vocab = 0;
    std::string type; // type of the weights, e.g. "f16"
};

struct rpn_net;

// What the RPN keeps of [system][image]: K/V of its full layers over all prefix tokens and the normed image states.
struct rpn_state {
    std::vector<ggml_tensor *> k, v;      // per full layer, f32 [n_head_kv*d_head, n_past]
    ggml_tensor * x_img = nullptr;        // f32 [n_embd, n_img]
    int n_past = 0;

    ggml_context *        ctx = nullptr;
    ggml_backend_buffer * buf = nullptr;

    rpn_state() = default;
    ~rpn_state();
    rpn_state(const rpn_state &) = delete;
    rpn_state & operator=(const rpn_state &) = delete;
    size_t bytes() const;
};

// Hidden states on the network's device, filled by the tap (or from host memory).
struct rpn_hidden {
    ggml_tensor * x = nullptr;            // f32 [n_embd, capacity]
    int n = 0;                            // rows that hold a token
    ggml_context *        ctx = nullptr;
    ggml_backend_buffer * buf = nullptr;

    rpn_hidden() = default;
    ~rpn_hidden();
    rpn_hidden(const rpn_hidden &) = delete;
    rpn_hidden & operator=(const rpn_hidden &) = delete;
    size_t bytes() const;
};

struct rpn_deleter { void operator()(rpn_net * net) const; };
using rpn_ptr = std::unique_ptr<rpn_net, rpn_deleter>;

// Throws MODEL_NOT_FOUND or RPN_INVALID. dev null: the CPU.
rpn_ptr rpn_load(const std::string & path, ggml_backend_device * dev, int n_threads);

const rpn_hparams & rpn_get_hparams(const rpn_net * net);
ggml_backend_device * rpn_get_device(const rpn_net * net);

// (re)allocate room for `capacity` tokens and forget what was in it
void rpn_hidden_reset(rpn_net * net, rpn_hidden & hidden, int capacity);
void rpn_hidden_reset(ggml_backend_device * dev, int n_embd, rpn_hidden & hidden, int capacity);
void rpn_hidden_set(rpn_hidden & hidden, const float * data, int n_tokens);
void rpn_hidden_get(const rpn_hidden & hidden, float * data); // [n * n_embd]

// prefix: `hidden` holds all its tokens from position 0; image tokens are [img_start, img_start + n_img)
void rpn_prefix(rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, rpn_state & state);

// question: `hidden` holds the tokens after the prefix, the last one is the query; returns n_img logits
std::vector<float> rpn_query(rpn_net * net, const rpn_state & state, const rpn_hidden & hidden);

// whole prompt at once, any query token; returns n_img logits
std::vector<float> rpn_score(rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, int i_query, bool general_head = false);

// The head alone over the states after the full layers, in one of two ways that agree: fused (one pass over the states, no
// key projection; what the functions above use) or general (with keys, see rpn-head.cpp); returns n_img logits.
std::vector<float> rpn_head(rpn_net * net, const rpn_hidden & states, int img_start, int n_img, int i_query, bool general);
