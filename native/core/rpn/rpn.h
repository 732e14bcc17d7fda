#pragma once

// The region proposal network (SD-RPN, arXiv 2509.16944): T-1 full decoder layers on the hidden states
// after base layer K-1, then the query/key map of the last block. The image tokens stand before the question and
// attention is causal, so everything about them is computed once per image and kept in an rpn_state.
//
// Tokens are addressed by index; positions matter to the rope alone. A call that throws leaves its arguments as they were.

#include "ggml-cpp.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct rpn_hparams {
    int n_embd = 0;
    int n_ff = 0;
    int n_head = 0;
    int n_head_kv = 0;
    int d_head = 0;
    int n_block = 0; // T; the last block has only its input norm and q/k
    int branch = 0;  // K: the input is the hidden state after base layers 0..K-1
    float eps = 0;
    float threshold = 0; // default threshold of the map, 0: none in the file

    // what a block is made of; the defaults are LLaVA-1.5's
    bool bias = false;    // the projections of q, k and v have biases
    bool qk_norm = false; // each head of q and k is normed before its rope
    int rope_type = 0;    // ggml's number of the order in which a head's values are paired: normal or neox
    int rope_dim = 0;     // values of a head that are rotated; 0: no rope
    float rope_base = 0;
    int rope_sections[3] = { 0, 0, 0 }; // pairs that go by a token's time, height and width (neox order); all 0: one position a token
    bool rope_interleaved = false;      // sections are interleaved instead of consecutive
    bool head_rope = false;             // q and k of the last block are rotated too
    bool head_norm = true;              // a norm of its own, output_norm, stands before the last block

    // what the region rule and the second look go by
    std::string kind = "llava";                     // "llava", "sdrpn-qwen" or "qzoom"
    bool roi_positions_aligned = false;             // rows of a second look have the positions of the cells that it shows
    int image_tokens_min = 0, image_tokens_max = 0; // budget of a view; 0: the file has none

    // The gate, which says whether a second look is worth it: whole blocks over the same states that the network reads, and one
    // number out of the last token's.
    int n_gate_block = 0;     // 0: there is none
    float gate_threshold = 0; // score from which on there is a second look; 0: the gate is off unless asked for

    // Q-Zoom for Qwen3-VL: cells whose keys the first token of the prompt attends to are sinks, whatever is asked
    bool finds_sinks() const { return kind == "qzoom" && qk_norm; }
    bool rope_by_sections() const { return rope_sections[0] + rope_sections[1] + rope_sections[2] > 0; }
    int n_pos_rows() const { return rope_by_sections() ? 3 : 1; }
    int n_kv() const { return d_head * n_head_kv; } // width of keys and values

    // of the base model: block count must match, the others are for information
    std::string base_architecture;
    std::string base_name;
    int base_n_layer = 0;
    int base_n_vocab = 0;
    std::string type; // type of the weights, e.g. "f16"
};

struct rpn_net;

// Positions of n tokens, row by row: [n_pos_rows * n]. Empty, if there is one row: the position of each token is its index.
using rpn_positions = std::vector<int32_t>;

// How the map is computed from the states after the full layers (rpn/head.h).
enum rpn_head_kind {
    RPN_HEAD_BEST, // the fastest that the network allows
    RPN_HEAD_FOLD,
    RPN_HEAD_FUSED,
    RPN_HEAD_KERNEL,
    RPN_HEAD_KEYS,
};

// The data that the head keeps per image.
struct rpn_image {
    rpn_head_kind kind = RPN_HEAD_BEST;
    ggml_tensor * rows = nullptr;  // f32 [width, n_img]; their meaning depends on the kind
    ggml_tensor * scale = nullptr; // f32 [n_img], of the fused kind: the norms of each row
};

// The state of the RPN for [system][image]: K/V of its full layers for all prefix tokens, and the data of the image for its head.
struct rpn_state {
    std::vector<ggml_tensor *> k, v; // per full layer, f32 [n_kv, n_past]
    rpn_image image;
    std::vector<float> sink; // [n_img], of a network that finds sinks without a question: logit of each cell's being one; else empty
    int n_past = 0;

    ggml_context_ptr ctx;
    ggml_backend_buffer_ptr buf;

    size_t bytes() const { return buf ? ggml_backend_buffer_get_size(buf.get()) : 0; }
};

// Hidden states on the network's device, filled by the tap (or from host memory).
struct rpn_hidden {
    ggml_tensor * x = nullptr; // f32 [n_embd, capacity]
    int n = 0;                 // rows that hold a token
    ggml_context_ptr ctx;
    ggml_backend_buffer_ptr buf;

    size_t bytes() const { return buf ? ggml_backend_buffer_get_size(buf.get()) : 0; }
};

struct rpn_deleter {
    void operator()(rpn_net * net) const;
};
using rpn_ptr = std::unique_ptr<rpn_net, rpn_deleter>;

// Throws MODEL_NOT_FOUND, RPN_INVALID, OUT_OF_MEMORY, IO_ERROR or BACKEND_UNAVAILABLE. dev null: the CPU.
rpn_ptr rpn_load(const std::string & path, ggml_backend_dev_t dev, int n_threads);

const rpn_hparams & rpn_get_hparams(const rpn_net * net);
ggml_backend_dev_t rpn_get_device(const rpn_net * net);

// Memory for `capacity` tokens; empty at first. Throws OUT_OF_MEMORY.
void rpn_hidden_reset(rpn_net * net, rpn_hidden & hidden, int capacity);
void rpn_hidden_reset(ggml_backend_dev_t dev, int n_embd, rpn_hidden & hidden, int capacity);
void rpn_hidden_set(rpn_hidden & hidden, const float * data, int n_tokens);
void rpn_hidden_get(const rpn_hidden & hidden, float * data); // [n * n_embd]

// The functions below throw OUT_OF_MEMORY, INTERNAL, and INVALID_ARGUMENT for indices or positions that do not fit.

// prefix: `hidden` holds all its tokens; those of the image are [img_start, img_start + n_img)
void rpn_prefix(
    rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, rpn_state & state, const rpn_positions & pos = {}, rpn_head_kind head = RPN_HEAD_BEST);

// question: `hidden` holds the tokens after the prefix, the last one is the query; returns n_img logits. `most`: for each cell the greatest
// logit that any of these tokens has for it, as the query.
std::vector<float> rpn_query(
    rpn_net * net, const rpn_state & state, const rpn_hidden & hidden, const rpn_positions & pos = {}, std::vector<float> * most = nullptr);

// The gate, of a network that has one: its blocks over a prefix, whose keys and values are kept, and the score of a question after it,
// 0..1 (spec of Q-Zoom: below a threshold a second look is not worth it).
void rpn_gate_prefix(rpn_net * net, const rpn_hidden & hidden, rpn_state & state, const rpn_positions & pos = {});
float rpn_gate_score(rpn_net * net, const rpn_state & state, const rpn_hidden & hidden, const rpn_positions & pos = {});

// whole prompt at once, any query token; returns n_img logits
std::vector<float> rpn_score(
    rpn_net * net, const rpn_hidden & hidden, int img_start, int n_img, int i_query, const rpn_positions & pos = {}, rpn_head_kind head = RPN_HEAD_BEST);

// The head alone, over states after the full layers: what it keeps of an image (a state without keys and values), and the map of a
// query among such states; returns n_img logits.
void rpn_head_image(
    rpn_net * net, const rpn_hidden & states, int img_start, int n_img, rpn_state & state, const rpn_positions & pos = {}, rpn_head_kind head = RPN_HEAD_BEST);
std::vector<float> rpn_head_map(rpn_net * net, const rpn_state & state, const rpn_hidden & states, int i_query, const rpn_positions & pos = {});
