#pragma once

// A checkpoint's tokenizer as a GGUF file holds it.

#include "config.h"

struct gguf_context;

struct convert_tokenizer {
    std::string model;                          // "gpt2": byte-level BPE; "llama": SentencePiece
    std::string pre;                            // how text is cut before BPE: "qwen2"; empty for SentencePiece
    std::vector<std::string> tokens;            // one for each row of the embedding
    std::vector<int32_t> types;                 // llama.cpp's numbers: 1 normal, 2 unknown, 3 control, 4 of the user, 5 unused, 6 byte
    std::vector<float> scores;                  // of SentencePiece
    std::vector<std::string> merges;            // of BPE, "a b", best first
    int bos = -1, eos = -1, pad = -1, unk = -1; // -1: none
    bool add_bos = false;
    std::string chat_template; // empty: none
};

// Reads tokenizer.json, tokenizer.model (SentencePiece), tokenizer_config.json, added_tokens.json and the chat template's files. The
// first of `dirs` with a tokenizer has them all. `n_vocab`: rows of the embedding; rows without a token get one that is never used.
// Throws CHECKPOINT_INVALID.
convert_tokenizer convert_tokenizer_read(const convert_config & config, const std::vector<std::filesystem::path> & dirs, int n_vocab);

void convert_tokenizer_keys(gguf_context * header, const convert_tokenizer & tokenizer);

// The pieces of a SentencePiece file.
struct sentencepiece {
    std::string text;
    float score = 0;
    int type = 1;
};

// Throws CHECKPOINT_INVALID.
std::vector<sentencepiece> sentencepiece_read(const std::filesystem::path & file, size_t most);
