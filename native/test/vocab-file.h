#pragma once

// Vocabularies of the tests' own: a GGUF file with nothing but a tokenizer, and llama.cpp's view of such a file.

#include "llama.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

struct test_vocab {
    std::string model = "llama"; // "llama": SentencePiece, "gpt2": BPE
    std::string name;            // general.name; llama.cpp gives some models' tokens attributes by it
    std::vector<std::string> tokens, merges;
    std::vector<int32_t> types;
    std::vector<float> scores;

    // a later token merges after an earlier one
    void add(const std::string & token, llama_token_type type = LLAMA_TOKEN_TYPE_NORMAL);
    void merge(const std::string & left, const std::string & right); // both, and what they give, are added where missing
    llama_token id(const std::string & token) const;                 // -1: not there
    void write(const std::string & path) const;
};

// <unk>, <s>, </s> and the bytes; then each character of `characters`
test_vocab test_vocab_spm(const std::string & characters);
// each byte as byte-level BPE writes it
test_vocab test_vocab_bpe();

struct test_vocab_deleter {
    void operator()(llama_model * m) const { llama_model_free(m); }
};
using test_vocab_ptr = std::unique_ptr<llama_model, test_vocab_deleter>;

// the vocabulary of a file, without its weights
test_vocab_ptr test_vocab_load(const std::string & path);
