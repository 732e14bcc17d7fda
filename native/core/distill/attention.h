#pragma once

// The attention of the model while it answers: the teacher of self-distillation (SD-RPN, arXiv 2509.16944, section 3;
// in the reference: output2images and question2images of its label scripts). A context of its own without flash attention,
// since only then the attention weights exist as tensors; it shares the loaded model's weights.
//
// Prompt: system, image, extra views and question, laid out as sd_answer does. The columns of an attention tensor are KV cells;
// here a single sequence fills an empty memory in order, so that cell i is token i of the prompt; this is checked for every image.

#include "model.h"

#include <memory>
#include <string>
#include <vector>

struct sd_attention_params {
    std::vector<int> layers; // requested ones, without duplicates; data of others is not copied from the device
    int max_tokens = 128;
    bool question = false; // the question-to-image maps too
};

struct sd_attention {
    int n_layer = 0, n_head = 0, n_img = 0; // n_layer: asked layers, in the order of the request
    // [n_layer][n_head][n_img]: attention to the image's tokens as rows of a distribution over the whole prompt, thus of sum
    // at most 1. output: mean over the inputs g1 .. g(N-1) of the N generated tokens, so without the prompt's last token and
    // without the last generated one (the end token of an answer that ended by itself); with N = 1 the row of the prompt's
    // last token, where the reference has the mean of an empty set. question: mean over the tokens of the question; empty unless asked for.
    std::vector<float> output, question;
    std::string text;                // as sd_answer gives it
    std::vector<llama_token> tokens; // g1 .. gN, the end token included where the answer ended by itself
    double log_likelihood = 0;       // mean over `tokens` of the log-probability given all before

    const float * output_map(int layer, int head) const { return output.data() + (size_t(layer) * n_head + head) * n_img; }
};

struct sd_attention_context;
struct sd_attention_context_deleter {
    void operator()(sd_attention_context * c) const;
};
using sd_attention_context_ptr = std::unique_ptr<sd_attention_context, sd_attention_context_deleter>;

// The model must outlive it, and both belong to the same thread. n_ctx tokens hold prompt and answer (0: as the model's
// contextSize); a prompt runs in pieces of n_ubatch, whose attention weights are all in memory at once, n_ctx * n_ubatch *
// heads * 4 bytes. Throws OUT_OF_MEMORY.
sd_attention_context_ptr sd_attention_context_init(sd_model & model, int n_ctx = 0, int n_ubatch = 256);

// the model it was made from
const sd_model & sd_attention_model(const sd_attention_context & c);

// [system][image] for the calls that follow: features is the projector's output for a view of the family's usual size. Throws
// INVALID_ARGUMENT, CONTEXT_OVERFLOW, ABORTED, and INTERNAL where the model's attention weights cannot be read.
void sd_attention_set_image(sd_attention_context & c, const std::vector<llama_token> & system, const std::vector<float> & features);

// Greedy answer. extra: features of further views, whole or some of their cells, which are fed as one second look; may be empty. With
// them the maps are still those of the image. Throws as above.
sd_attention sd_attention_capture(
    sd_attention_context & c, const std::vector<float> & extra, const std::vector<llama_token> & question, const sd_attention_params & params);

// Mean log-probability per token of a given answer (at least one token), each given all before it. Throws as above.
double sd_answer_log_likelihood(
    sd_attention_context & c, const std::vector<float> & extra, const std::vector<llama_token> & question, const std::vector<llama_token> & answer);
