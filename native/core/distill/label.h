#pragma once

// The input of pseudo-labels: the maps of the chosen heads while the model answers one question (the reference's label
// scripts). The rule that turns the two maps into labels is pseudoLabels of the TypeScript side.

#include "attention.h"

struct sd_head_id {
    int layer, head;
};

struct sd_label_params {
    std::vector<sd_head_id> grounding; // at least one; their mean shows where the answer is
    std::vector<sd_head_id> sink;      // may be empty; their mean shows attention sinks
    int max_tokens = 128;
};

struct sd_label_maps {
    std::vector<float> grounding, sink; // [n_img] each; sink is all zeros without sink heads
    std::string text;
    int n_tokens = 0;          // generated, end token included
    double log_likelihood = 0; // as sd_attention
};

// For the image of the last sd_attention_set_image. Reads only the layers of the listed heads; plain means, so that a head
// listed twice counts twice. Throws INVALID_ARGUMENT and what sd_attention_capture throws.
sd_label_maps sd_label_capture(sd_attention_context & c, const std::vector<llama_token> & question, const sd_label_params & params);
