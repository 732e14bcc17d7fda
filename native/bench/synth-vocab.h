#pragma once

// A SentencePiece vocabulary in which each word of the prompt, and of questions about documents, is one token, as it is
// in LLaVA's own: prompts have about as many tokens as real ones.

#include <cstdint>
#include <string>
#include <vector>

struct synth_vocab {
    std::vector<std::string> pieces;
    std::vector<float> scores;
    std::vector<int32_t> types; // of llama.cpp: normal, unknown, control, byte
    int n_special = 0;          // <unk>, <s>, </s> and the bytes stand in front
};

// Throws INVALID_ARGUMENT where n is too small for the words.
synth_vocab synth_vocab_make(int n);
