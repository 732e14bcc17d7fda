#pragma once

// A prompt's text to tokens. The template's own text is markup: control tokens such as <|im_end|> that stand in it become
// those tokens. The user's text is never parsed: a question that holds </s>, <image> or <0x0A> is spelled out in the tokens
// of ordinary text.

#include "llama.h"

#include <string>
#include <vector>

enum sd_segment_kind {
    SD_SEGMENT_MARKUP, // written by the prompt template
    SD_SEGMENT_TEXT,   // written by the user
};

struct sd_segment {
    sd_segment_kind kind;
    std::string text;
};

// what tokenizing needs to know of a vocabulary; the vocabulary must outlive it
struct sd_tokenizer {
    const llama_vocab * vocab = nullptr;
    std::vector<llama_token> control; // tokens that markup is parsed for, longest text first
    int longest = 1;                  // bytes of the longest token: n bytes of text are at least n / longest tokens

    sd_tokenizer() = default;
    // Throws MODEL_INVALID where the vocabulary is neither SentencePiece nor BPE.
    explicit sd_tokenizer(const llama_vocab * vocab);
};

// Neighbouring segments are tokenized as one text, so that merges cross from markup to the user's text as they do when a
// template is rendered to a string and tokenized whole: without control text in the user's segments the tokens are the same.
// add_bos: the beginning-of-sequence token goes first. Throws INVALID_ARGUMENT where the user's text cannot be written
// without a control token, CONTEXT_OVERFLOW over 256 MB, and MODEL_INVALID where the vocabulary has no token for a byte.
std::vector<llama_token> sd_tokenize(const sd_tokenizer & tokenizer, const std::vector<sd_segment> & segments, bool add_bos);
