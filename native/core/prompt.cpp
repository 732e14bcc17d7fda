#include "prompt.h"

#include "error.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <set>
#include <stdexcept>
#include <string_view>

static const char SPACE_MARK[] = "\xe2\x96\x81"; // U+2581, which SentencePiece writes for a space

static const int MARKUP_ATTRS = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;

static std::string_view text_of(const llama_vocab * vocab, llama_token token) {
    const char * text = llama_vocab_get_text(vocab, token);
    return text ? text : "";
}

static bool has_attr(const llama_vocab * vocab, llama_token token, int attrs) {
    return (llama_vocab_get_attr(vocab, token) & attrs) != 0;
}

sd_tokenizer::sd_tokenizer(const llama_vocab * vocab) : vocab(vocab) {
    const auto type = llama_vocab_type(vocab);
    if (type != LLAMA_VOCAB_TYPE_SPM && type != LLAMA_VOCAB_TYPE_BPE) {
        throw sd_error(
            "MODEL_INVALID", sd_format("Expected a model with a SentencePiece or BPE vocabulary but its vocabulary is of llama.cpp's type %d", int(type)));
    }
    for (llama_token t = 0; t < llama_vocab_n_tokens(vocab); t++) {
        const std::string_view text = text_of(vocab, t);
        longest = std::max(longest, int(text.size()));
        if (!text.empty() && has_attr(vocab, t, MARKUP_ATTRS | LLAMA_TOKEN_ATTR_USER_DEFINED)) {
            control.push_back(t);
        }
    }
    // in llama.cpp's order, made in the same way from the same list, so that ties fall alike
    std::sort(control.begin(), control.end(), [&](llama_token a, llama_token b) { return text_of(vocab, a).size() > text_of(vocab, b).size(); });
    // user-defined tokens are found in all text, by llama_tokenize
    control.erase(std::remove_if(control.begin(), control.end(), [&](llama_token t) { return !has_attr(vocab, t, MARKUP_ATTRS); }), control.end());
}

namespace {

// a part of the joined text
struct range {
    size_t begin, end;
};

// The segments as one text, and where each kind stands in it.
struct joined_text {
    std::string text;
    std::vector<range> markup, user;

    explicit joined_text(const std::vector<sd_segment> & segments) {
        for (const sd_segment & s : segments) {
            auto & ranges = s.kind == SD_SEGMENT_MARKUP ? markup : user;
            const size_t begin = text.size();
            text += s.text;
            if (!ranges.empty() && ranges.back().end == begin) {
                ranges.back().end = text.size();
            } else if (!s.text.empty()) {
                ranges.push_back({ begin, text.size() });
            }
        }
    }

    // where `name` first stands within one stretch of markup between begin and end
    size_t find_in_markup(std::string_view name, size_t begin, size_t end) const {
        for (const range & r : markup) {
            const size_t lo = std::max(begin, r.begin), hi = std::min(end, r.end);
            if (lo < hi) {
                const size_t at = std::string_view(text.data(), hi).find(name, lo);
                if (at != std::string_view::npos) {
                    return at;
                }
            }
        }
        return std::string::npos;
    }

    bool touches_user(size_t begin, size_t end) const {
        return std::any_of(user.begin(), user.end(), [&](const range & r) { return begin < r.end && r.begin < end; });
    }
};

// a control token, or a stretch of the joined text without one
struct fragment {
    llama_token token; // LLAMA_TOKEN_NULL: text
    range text;
};

} // namespace

// Splits the text at the control tokens in its markup: as llama.cpp does for a whole text, longest token first, white space
// beside a token taken away where the vocabulary says so.
static std::vector<fragment> split_at_control(const sd_tokenizer & t, const joined_text & j) {
    auto is_space = [&](size_t at) { return isspace(static_cast<unsigned char>(j.text[at])) != 0; };
    std::vector<fragment> out = { { LLAMA_TOKEN_NULL, { 0, j.text.size() } } };
    for (llama_token token : t.control) {
        const std::string_view name = text_of(t.vocab, token);
        std::vector<fragment> next;
        for (const fragment & f : out) {
            if (f.token != LLAMA_TOKEN_NULL) {
                next.push_back(f);
                continue;
            }
            size_t begin = f.text.begin;
            for (size_t at; (at = j.find_in_markup(name, begin, f.text.end)) != std::string::npos;) {
                size_t left = at;
                while (left > begin && has_attr(t.vocab, token, LLAMA_TOKEN_ATTR_LSTRIP) && is_space(left - 1)) {
                    left--;
                }
                if (left > begin) {
                    next.push_back({ LLAMA_TOKEN_NULL, { begin, left } });
                }
                next.push_back({ token, {} });
                begin = at + name.size();
                while (begin < f.text.end && has_attr(t.vocab, token, LLAMA_TOKEN_ATTR_RSTRIP) && is_space(begin)) {
                    begin++;
                }
            }
            if (begin < f.text.end) {
                next.push_back({ LLAMA_TOKEN_NULL, { begin, f.text.end } });
            }
        }
        out = std::move(next);
    }
    return out;
}

// appends the tokens of a text in which nothing is parsed but user-defined tokens
static void tokenize_plain(const sd_tokenizer & t, std::string_view text, std::vector<llama_token> & out) {
    const size_t before = out.size();
    out.resize(before + text.size() + 8);
    auto call = [&] { return llama_tokenize(t.vocab, text.data(), int(text.size()), out.data() + before, int(out.size() - before), false, false); };
    int n = 0;
    try {
        n = call();
        if (n < 0) {
            out.resize(before + size_t(-int64_t(n)));
            n = call();
        }
    } catch (const std::out_of_range &) {
        throw sd_error("MODEL_INVALID", "The model's vocabulary has no tokens for some bytes of the text");
    }
    out.resize(before + size_t(std::max(0, n)));
}

// The tokens of a SentencePiece text none of which reaches across a cut. A character that is part of no token stands at each
// cut meanwhile: nothing merges with it, and as bytes it can be told and taken out again. (Tokenizing the parts one by one
// would put a space before each.)
static std::vector<llama_token> tokenize_cut_spm(const sd_tokenizer & t, const std::string & text, const std::set<size_t> & cuts) {
    for (unsigned char last = 0x80; last < 0xc0; last++) {
        const std::string guard = { '\xf3', '\xb0', '\x80', char(last) }; // U+F0000.., for private use
        std::vector<llama_token> bytes;
        tokenize_plain(t, guard, bytes);
        bytes.erase(bytes.begin(), bytes.end() - std::min<size_t>(bytes.size(), guard.size())); // the space before it
        const bool alone = std::all_of(bytes.begin(), bytes.end(), [&](llama_token b) { return has_attr(t.vocab, b, LLAMA_TOKEN_ATTR_BYTE); });
        if (bytes.size() != guard.size() || !alone || text.find(guard) != std::string::npos) {
            continue;
        }
        std::string guarded;
        size_t from = 0;
        for (size_t cut : cuts) {
            guarded += text.substr(from, cut - from) + guard;
            from = cut;
        }
        guarded += text.substr(from);
        std::vector<llama_token> all, out;
        tokenize_plain(t, guarded, all);
        size_t removed = 0;
        for (auto at = all.begin(); at != all.end();) {
            if (size_t(all.end() - at) >= bytes.size() && std::equal(bytes.begin(), bytes.end(), at)) {
                at += bytes.size();
                removed++;
            } else {
                out.push_back(*at++);
            }
        }
        if (removed == cuts.size()) {
            return out;
        }
    }
    throw sd_error("MODEL_INVALID", "The model's vocabulary cannot spell out the text of a control token");
}

static std::vector<llama_token> tokenize_cut(const sd_tokenizer & t, const std::string & text, const std::set<size_t> & cuts) {
    std::vector<llama_token> out;
    if (cuts.empty()) {
        tokenize_plain(t, text, out);
        return out;
    }
    if (llama_vocab_type(t.vocab) == LLAMA_VOCAB_TYPE_SPM) {
        return tokenize_cut_spm(t, text, cuts);
    }
    size_t from = 0;
    for (size_t cut : cuts) {
        tokenize_plain(t, std::string_view(text).substr(from, cut - from), out);
        from = cut;
    }
    tokenize_plain(t, std::string_view(text).substr(from), out);
    return out;
}

// Whether the user's text must not become this token by its name: tokens that steer a model, bytes (which are there for bytes
// that have no token, not for the text <0x0A>), and what a file lists as user-defined though it looks like markup, as <image>
// does. Other user-defined tokens, such as runs of spaces, are part of how ordinary text is tokenized.
static bool is_reserved(const llama_vocab * vocab, llama_token token) {
    if (has_attr(vocab, token, MARKUP_ATTRS | LLAMA_TOKEN_ATTR_BYTE | LLAMA_TOKEN_ATTR_UNUSED)) {
        return true;
    }
    const std::string_view text = text_of(vocab, token);
    return has_attr(vocab, token, LLAMA_TOKEN_ATTR_USER_DEFINED) && text.size() > 2
        && ((text.front() == '<' && text.back() == '>') || (text.front() == '[' && text.back() == ']'));
}

// how many bytes of the text from `at` on are the token's name, its marks standing for spaces too; 0: it is another text
static size_t match(const std::string & text, size_t at, std::string_view name) {
    const std::string_view mark = SPACE_MARK;
    const size_t begin = at;
    for (size_t i = 0; i < name.size();) {
        if (at >= text.size()) {
            return 0;
        }
        if (text[at] == ' ' && name.substr(i, mark.size()) == mark) {
            i += mark.size();
            at++;
        } else if (text[at++] != name[i++]) {
            return 0;
        }
    }
    return at - begin;
}

static size_t first_character(const std::string & text, size_t at) {
    size_t end = at + 1;
    while (end < text.size() && (text[end] & 0xC0) == 0x80) {
        end++;
    }
    return end - at;
}

// A stretch without control tokens of markup. Merges may arrive at the very text of a reserved token, `</` and `s>` at `</s>`:
// where the tokens hold one whose name stands in the user's text, the text is cut behind the name's first character and
// tokenized again.
static std::vector<llama_token> tokenize_stretch(const sd_tokenizer & t, const joined_text & j, const range & r) {
    const std::string text = j.text.substr(r.begin, r.end - r.begin);
    const bool users = j.touches_user(r.begin, r.end);
    std::set<size_t> cuts;
    for (;;) {
        std::vector<llama_token> out = tokenize_cut(t, text, cuts);
        if (!users) {
            return out;
        }
        std::set<llama_token> reserved;
        std::copy_if(out.begin(), out.end(), std::inserter(reserved, reserved.end()), [&](llama_token id) { return is_reserved(t.vocab, id); });
        const size_t before = cuts.size();
        for (llama_token id : reserved) {
            const std::string_view name = text_of(t.vocab, id);
            for (size_t at = 0; at < text.size(); at++) {
                const size_t n = match(text, at, name);
                const size_t cut = at + first_character(text, at);
                if (cut < at + n && j.touches_user(r.begin + at, r.begin + at + n)) {
                    cuts.insert(cut);
                }
            }
        }
        if (cuts.size() > before) {
            continue;
        }
        for (llama_token id : reserved) {
            if (has_attr(t.vocab, id, LLAMA_TOKEN_ATTR_CONTROL)) {
                throw sd_error("INVALID_ARGUMENT",
                    "Expected a text without " + std::string(text_of(t.vocab, id)) + ", which this model's vocabulary cannot tell from its control token");
            }
        }
        return out;
    }
}

std::vector<llama_token> sd_tokenize(const sd_tokenizer & t, const std::vector<sd_segment> & segments, bool add_bos) {
    size_t bytes = 0;
    for (const sd_segment & s : segments) {
        bytes += s.text.size();
    }
    if (bytes > INT_MAX / 8) { // llama_tokenize counts in int, and each cut adds four bytes
        throw sd_error("CONTEXT_OVERFLOW", sd_format("The prompt has %zu bytes, more than any context holds: use a shorter question", bytes));
    }
    const joined_text j(segments);
    std::vector<llama_token> out;
    if (add_bos && llama_vocab_bos(t.vocab) != LLAMA_TOKEN_NULL) {
        out.push_back(llama_vocab_bos(t.vocab));
    }
    for (const fragment & f : split_at_control(t, j)) {
        if (f.token != LLAMA_TOKEN_NULL) {
            out.push_back(f.token);
        } else if (f.text.begin < f.text.end) {
            const std::vector<llama_token> tokens = tokenize_stretch(t, j, f.text);
            out.insert(out.end(), tokens.begin(), tokens.end());
        }
    }
    return out;
}
