#pragma once

// Collects the tokens of a vocabulary, whichever file they come from.

#include "tokenizer.h"

#include <unordered_map>

enum convert_token_type { // llama.cpp's numbers
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

struct tokenizer_builder {
    std::string path; // of the file, for messages
    convert_tokenizer t;
    std::vector<bool> known;
    std::unordered_map<std::string, int> ids;

    tokenizer_builder(const std::string & path, int n_vocab);

    // the number of a token, checked; throws CHECKPOINT_INVALID
    int check_id(const nlohmann::json & id, const std::string & text) const;

    // Throws CHECKPOINT_INVALID where text or number is another token's. A token that is there gets the type.
    void add(int id, const std::string & text, int type);

    // rows that the embedding has more than the tokenizer
    void pad();

    // -1: no token
    int find(const std::string & text) const;
};

// tokenizer.json of byte-level BPE, or of SentencePiece's BPE in the form of the tokenizers library. Throws CHECKPOINT_INVALID.
void tokenizer_read_json(tokenizer_builder & b, const nlohmann::json & file, convert_family family);
