#include "synth-vocab.h"

#include "error.h"

#include "llama.h"

#include <set>
#include <sstream>

static const char * WORDS =
    // vicuna_v1
    "A chat between a curious user and an artificial intelligence assistant The gives helpful detailed polite answers to the "
    "user's questions USER ASSISTANT "
    // questions
    "what is which where who when how many much does are on in of at by for with from total amount price date name number "
    "code text line word title sign label colour color red green blue left right top bottom first second third last large "
    "small written printed shown document invoice receipt page table chart picture image year company city address phone person";

synth_vocab synth_vocab_make(int n) {
    synth_vocab v;
    std::set<std::string> seen;
    auto add = [&](const std::string & piece, int32_t type) {
        if (seen.insert(piece).second) {
            // a piece is merged before those after it
            v.scores.push_back(-float(v.pieces.size()));
            v.pieces.push_back(piece);
            v.types.push_back(type);
        }
    };
    add("<unk>", LLAMA_TOKEN_TYPE_UNKNOWN);
    add("<s>", LLAMA_TOKEN_TYPE_CONTROL);
    add("</s>", LLAMA_TOKEN_TYPE_CONTROL);
    for (int b = 0; b < 256; b++) {
        add(sd_format("<0x%02X>", b), LLAMA_TOKEN_TYPE_BYTE);
    }
    v.n_special = int(v.pieces.size());

    const std::string space = "\xe2\x96\x81"; // U+2581
    // SentencePiece merges pair by pair, so every beginning of a word must be a piece
    std::istringstream words(WORDS);
    for (std::string word; words >> word;) {
        for (size_t end = 1; end <= word.size(); end++) {
            add(space + word.substr(0, end), LLAMA_TOKEN_TYPE_NORMAL);
        }
    }
    add(space, LLAMA_TOKEN_TYPE_NORMAL);
    for (char c = '!'; c <= '~'; c++) {
        add(std::string(1, c), LLAMA_TOKEN_TYPE_NORMAL);
    }
    if (int(v.pieces.size()) > n) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected --vocab of at least %zu but received %d", v.pieces.size(), n));
    }
    for (int i = 0; int(v.pieces.size()) < n; i++) {
        add(space + "w" + std::to_string(i), LLAMA_TOKEN_TYPE_NORMAL);
    }
    return v;
}
