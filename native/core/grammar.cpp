#include "grammar.h"

#include "error.h"

#include "llama-grammar.h"

#include <algorithm>
#include <cmath>
#include <new>

// of one call, in llama.cpp's units of a few nanoseconds each
static const uint64_t PARSE_WORK = 4'000'000, MATCH_WORK = 100'000'000;

static const size_t MAX_BYTES = 256 * 1024;
static const size_t MAX_RULES = 100'000; // with those that groups and repetitions are made of

// llama.cpp matches a token's characters by recursion
static const size_t MAX_TOKEN_BYTES = 1024;

// matches nothing that a model writes; the grammar is entered by it
static const uint32_t ENTRY = 0x110000;

static const char NAME[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

namespace {

sd_error fault(const std::string & text, size_t at, const std::string & what) {
    const size_t line = 1 + size_t(std::count(text.begin(), text.begin() + std::min(at, text.size()), '\n'));
    return sd_error("INVALID_ARGUMENT", sd_format("Expected a grammar in GBNF but in line %zu: %s", line, what.c_str()));
}

size_t skip_space(const std::string & text, size_t at) {
    while (at < text.size()) {
        if (text[at] == '#') {
            at = std::min(text.size(), text.find('\n', at));
        } else if (!std::char_traits<char>::find(" \t\r\n", 4, text[at])) {
            break;
        } else {
            at++;
        }
    }
    return at;
}

bool is_end(const llama_grammar_element & e) {
    return e.type == LLAMA_GRETYPE_END || e.type == LLAMA_GRETYPE_ALT;
}

// A text's rules. llama.cpp's own loop over them prints faults to stderr, and takes a second rule of a name for the first.
struct parsed {
    llama_grammar_parser parser;
    std::vector<size_t> places; // where each rule stands in the text; groups and what is missing, where the rule that needs them does

    explicit parsed(const std::string & text) {
        if (text.size() > MAX_BYTES) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected a grammar of at most %zu bytes but it has %zu", MAX_BYTES, text.size()));
        }
        if (text.find('\0') != std::string::npos) {
            throw fault(text, text.find('\0'), "a NUL character");
        }
        llama_grammar_limit_work(PARSE_WORK);
        for (size_t at = skip_space(text, 0); at < text.size();) {
            at = rule(text, at);
        }
        if (parser.symbol_ids.count("root") == 0 || parser.rules.empty()) {
            throw fault(text, text.size(), "no rule of the name root");
        }
        check(text);
    }

private:
    size_t rule(const std::string & text, size_t at) {
        const size_t name_end = std::min(text.size(), text.find_first_not_of(NAME, at));
        const auto known = parser.symbol_ids.find(text.substr(at, name_end - at));
        if (known != parser.symbol_ids.end() && known->second < parser.rules.size() && !parser.rules[known->second].empty()) {
            throw fault(text, at, "a second rule of the name " + known->first);
        }
        const char * begin = text.c_str();
        try {
            const size_t end = size_t(parser.parse_rule(begin + at) - begin);
            places.resize(parser.symbol_ids.size(), at);
            places[parser.symbol_ids.at(text.substr(at, name_end - at))] = at;
            if (parser.symbol_ids.size() > MAX_RULES) {
                throw std::runtime_error("more rules than " + std::to_string(MAX_RULES) + ", those of groups and repetitions counted");
            }
            return end;
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception & e) {
            // "... at " and the rest of the text
            const std::string message = e.what();
            const size_t cut = message.find(" at ");
            const size_t rest = cut == std::string::npos ? 0 : message.size() - cut - 4;
            if (cut == std::string::npos || rest > text.size() || text.compare(text.size() - rest, rest, message, cut + 4, rest) != 0) {
                throw fault(text, at, message);
            }
            const size_t place = text.size() - rest;
            const size_t line_end = std::min(text.size(), text.find('\n', place));
            throw fault(
                text, place, message.substr(0, cut) + (rest == 0 ? " at the end" : " at " + text.substr(place, std::min<size_t>(40, line_end - place))));
        }
    }

    void check(const std::string & text) const {
        for (const auto & [name, id] : parser.symbol_ids) {
            if (id >= parser.rules.size() || parser.rules[id].empty()) {
                throw fault(text, places[id], "no rule of the name " + name);
            }
        }
        for (size_t r = 0; r < parser.rules.size(); r++) {
            for (const llama_grammar_element & e : parser.rules[r]) {
                if (e.type == LLAMA_GRETYPE_TOKEN || e.type == LLAMA_GRETYPE_TOKEN_NOT) {
                    throw fault(text, places[r], "a token: write its characters instead");
                }
            }
        }
        check_left_recursion(text);
    }

    // which rules may be empty: those with an alternative of nothing but such rules
    std::vector<bool> nullable() const {
        struct alternative {
            uint32_t rule;
            size_t n_left = 0; // elements not known to be nullable
        };
        std::vector<alternative> all;
        std::vector<std::vector<size_t>> in(parser.rules.size()); // the alternatives that a rule stands in, once for each time
        for (uint32_t r = 0; r < parser.rules.size(); r++) {
            all.push_back({ r });
            for (const llama_grammar_element & e : parser.rules[r]) {
                if (e.type == LLAMA_GRETYPE_ALT) {
                    all.push_back({ r });
                } else if (e.type != LLAMA_GRETYPE_END) {
                    all.back().n_left++;
                    if (e.type == LLAMA_GRETYPE_RULE_REF) {
                        in[e.value].push_back(all.size() - 1);
                    }
                }
            }
        }
        std::vector<bool> out(parser.rules.size());
        std::vector<uint32_t> todo;
        const auto note = [&](const alternative & a) {
            if (a.n_left == 0 && !out[a.rule]) {
                out[a.rule] = true;
                todo.push_back(a.rule);
            }
        };
        std::for_each(all.begin(), all.end(), note);
        while (!todo.empty()) {
            const uint32_t r = todo.back();
            todo.pop_back();
            for (size_t a : in[r]) {
                all[a].n_left--;
                note(all[a]);
            }
        }
        return out;
    }

    // A rule that comes back to itself before any character would be expanded without end. Depth first, without recursion.
    void check_left_recursion(const std::string & text) const {
        const std::vector<bool> empty = nullable();
        std::vector<std::vector<uint32_t>> first(parser.rules.size()); // rules that may stand at a rule's beginning
        for (size_t r = 0; r < parser.rules.size(); r++) {
            bool at_start = true;
            for (const llama_grammar_element & e : parser.rules[r]) {
                if (at_start && e.type == LLAMA_GRETYPE_RULE_REF) {
                    first[r].push_back(e.value);
                }
                at_start = is_end(e) || (at_start && e.type == LLAMA_GRETYPE_RULE_REF && empty[e.value]);
            }
        }
        enum { NEW, OPEN, DONE };
        std::vector<char> seen(first.size(), NEW);
        for (uint32_t start = 0; start < first.size(); start++) {
            std::vector<std::pair<uint32_t, size_t>> path; // a rule, and how many of `first` were looked at
            if (seen[start] == NEW) {
                path.push_back({ start, 0 });
                seen[start] = OPEN;
            }
            while (!path.empty()) {
                auto & [r, n] = path.back();
                if (n == first[r].size()) {
                    seen[r] = DONE;
                    path.pop_back();
                    continue;
                }
                const uint32_t next = first[r][n++];
                if (seen[next] == OPEN) {
                    throw fault(text, places[next], "a rule that begins with itself, or repeats what may be empty");
                }
                if (seen[next] == NEW) {
                    seen[next] = OPEN;
                    path.push_back({ next, 0 });
                }
            }
        }
    }
};

// runs a call of llama.cpp that may find the grammar too ambiguous
template <typename Call> void limited(Call call) {
    llama_grammar_limit_work(MATCH_WORK);
    try {
        call();
    } catch (const std::runtime_error & e) {
        throw sd_error("INVALID_ARGUMENT", std::string("The answer cannot go on under its grammar: ") + e.what());
    }
}

} // namespace

void sd_grammar_check(const std::string & text) {
    const parsed p(text);
}

sd_grammar::sd_grammar(const llama_vocab * vocab, const std::string & text) : vocab(vocab) {
    parsed p(text);
    const uint32_t root = p.parser.symbol_ids.at("root");
    llama_grammar_rules rules = std::move(p.parser.rules);
    const uint32_t entry = uint32_t(rules.size()), space = entry + 1;
    rules.push_back({ { LLAMA_GRETYPE_CHAR, ENTRY }, { LLAMA_GRETYPE_RULE_REF, space }, { LLAMA_GRETYPE_RULE_REF, root }, { LLAMA_GRETYPE_END, 0 } });
    rules.push_back({ { LLAMA_GRETYPE_CHAR, ' ' }, { LLAMA_GRETYPE_ALT, 0 }, { LLAMA_GRETYPE_END, 0 } });
    state.reset(new llama_grammar{ vocab, std::move(rules), {}, {}, false, false, "", {}, {}, {} });
    state->stacks.push_back({ state->rules[entry].data() });
    limited([&] { llama_grammar_accept(state.get(), ENTRY); });
}

sd_grammar::~sd_grammar() = default;

void sd_grammar::keep_allowed(std::vector<llama_token_data> & candidates) {
    const auto cannot = [&](const llama_token_data & c) {
        const int unwritten = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN; // whose names would match otherwise
        if (llama_vocab_is_eog(vocab, c.id)) {
            return false;
        }
        return (llama_vocab_get_attr(vocab, c.id) & unwritten) != 0 || std::char_traits<char>::length(llama_vocab_get_text(vocab, c.id)) > MAX_TOKEN_BYTES;
    };
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(), cannot), candidates.end());
    llama_token_data_array all = { candidates.data(), candidates.size(), -1, false };
    limited([&] { llama_grammar_apply_impl(*state, &all); });
    const auto rejected = [](const llama_token_data & c) { return c.logit == -INFINITY; };
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(), rejected), candidates.end());
}

bool sd_grammar::allows(llama_token token) {
    std::vector<llama_token_data> one = { { token, 0.0f, 0.0f } };
    keep_allowed(one);
    return !one.empty();
}

void sd_grammar::accept(llama_token token) {
    limited([&] { llama_grammar_accept_impl(*state, token); });
}

bool sd_grammar::is_complete() const {
    return std::all_of(state->stacks.begin(), state->stacks.end(), [](const llama_grammar_stack & s) { return s.empty(); });
}
