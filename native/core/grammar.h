#pragma once

// A grammar that an answer keeps to, in llama.cpp's GBNF. The text may be from anyone: what parsing and matching take of
// stack, memory and time is bounded (native/patches/0013).

#include "llama.h"

#include <memory>
#include <string>
#include <vector>

struct llama_grammar;

// Throws INVALID_ARGUMENT with the line of the fault; for grammars with left recursion too, and those that name tokens.
void sd_grammar_check(const std::string & text);

// Where an answer stands in its grammar. SentencePiece models begin answers with a space, which is not part of their text:
// one space before what the grammar begins with is allowed.
class sd_grammar {
public:
    // Throws as sd_grammar_check.
    sd_grammar(const llama_vocab * vocab, const std::string & text);
    ~sd_grammar();
    sd_grammar(const sd_grammar &) = delete;
    sd_grammar & operator=(const sd_grammar &) = delete;

    // The functions below throw INVALID_ARGUMENT where the grammar is too ambiguous to be matched in reasonable time.

    bool allows(llama_token token); // as the next one; tokens that end an answer where the grammar may end
    void keep_allowed(std::vector<llama_token_data> & candidates);
    void accept(llama_token token); // one that is allowed and ends nothing
    bool is_complete() const;       // nothing can follow

private:
    const llama_vocab * vocab;
    std::unique_ptr<llama_grammar> state;
};
