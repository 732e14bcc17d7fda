#pragma once

// Finds, without annotations, the attention heads that point at the object of a question.
//
// Grounding. A model that cannot read the small print guesses, and its own probabilities show it: its answer has a low
// likelihood. With a second look at the right place the likelihood is high, with a look elsewhere it is not. So the picture
// is probed with crops on a lattice; the usefulness of a place is the share of the missing log-likelihood that the crop there
// restores, u = 1 - L(answer given the crop) / L(answer given one view), cut to 0..1, each answer being the greedy one in
// its own situation. (The likelihood of the blind guess itself is no criterion: the crop that shows the text makes a wrong
// guess less likely, not more.) A head's score is the mean of u under its normalized output-to-image attention: the usefulness
// of looking where it looks. The number of crops does not depend on the number of heads.
//
// Sinks. Attention that does not change with the question and is concentrated on few tokens: the sum over the image of
// min(a, a'), a' for another question about the same picture, over the cells where it
// exceeds SD_SINK_FACTOR times its mean, weighted by 1 - u.

#include "attention.h"

#include <cstdint>
#include <string>
#include <vector>

constexpr double SD_SINK_FACTOR = 10;

struct sd_heads_params {
    int lattice = 0;          // probes per side; 0: half the grid's shorter side
    double window = 0.25;     // side of a probe's crop, share of the view's width and height
    double uncertainty = 0.1; // pairs whose plain answer has a higher log-likelihood than minus this are not useful and are skipped
    int max_tokens = 32;
};

// a decoded picture: RGB, row-major, width * height * 3 bytes
struct sd_picture {
    const uint8_t * rgb;
    int width, height;
};

struct sd_head {
    int layer, head;
    double grounding; // 0..1
    double sink;      // 0..1, share of all attention; 0 where no pair had another question
};

// what has been gathered so far
struct sd_heads {
    sd_heads_params params;
    int n_layer = 0, n_head = 0;
    int n_used = 0, n_passed = 0;        // pairs
    int n_sink = 0;                      // of the used ones, those with another question
    std::vector<double> grounding, sink; // sums, [n_layer * n_head]
    std::vector<float> usefulness;       // of the last pair, [lattice * lattice]

    // Throws INVALID_ARGUMENT.
    sd_heads(const sd_model & model, const sd_heads_params & params);
};

// One picture with one question; `other` is a different question, such as another pair's, or empty: then the pair is not used
// for sinks. False where the pair was skipped because the model is sure of its answer without a second look. Throws as sd_attention_capture and sd_resample do.
bool sd_heads_add(sd_heads & heads, sd_attention_context & c, const sd_picture & picture, const std::vector<llama_token> & system,
    const std::vector<llama_token> & question, const std::vector<llama_token> & other);

// All heads, best grounding first. Throws DATA_INVALID where no pair was useful.
std::vector<sd_head> sd_heads_rank(const sd_heads & heads);
