// Grammars: faulty and hostile ones are refused in bounded time and memory; an answer under one is what trying all tokens against
// a list of texts gives.

#include "demo-model.h"
#include "generate.h"
#include "test.h"

#include "ggml.h"

#include <algorithm>
#include <cstring>
#include <regex>

static const char * CODE = "What code is on the black square?";

static sd_view picture(const char * name) {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/" + std::string(name) + ".png"), w, h));
}

static std::string fault_of(const demo & d, const std::string & grammar) {
    try {
        sd_grammar g(d.model->vocab, grammar);
        return "none";
    } catch (const sd_error & e) {
        return e.code + ": " + e.what();
    }
}

static std::string repeat(const std::string & s, int n) {
    std::string out;
    for (int i = 0; i < n; i++) {
        out += s;
    }
    return out;
}

static void check_faults(const demo & d) {
    const struct {
        const char *grammar, *line, *what;
    } faults[] = {
        { "", "line 1", "no rule of the name root" },
        { "# nothing but a comment", "line 1", "no rule of the name root" },
        { "Root ::= \"a\"", "line 1", "no rule of the name root" },
        { "root ::= other", "line 1", "no rule of the name other" },
        { "a ::= \"x\"\nroot ::= a b\n", "line 2", "no rule of the name b" },
        { "root ::= \"a\"\nroot ::= \"b\"", "line 2", "second rule of the name root" },
        { "root ::= (\"a\"\n\n| \"b\"", "line 3", "expecting ')' at the end" },
        { "# a comment\nroot := \"a\"", "line 2", "expecting ::= at := \"a\"" },
        { "root ::= \"a", "line 1", "unexpected end" },
        { "root ::= [a-", "line 1", "unexpected end" },
        { "root ::= \"\\q\"", "line 1", "unknown escape at \\q\"" },
        { "root ::= \"\\u00\"", "line 1", "expecting 4 hex" },
        { "root ::= *", "line 1", "expecting preceding item" },
        { "root ::= \"a\"{", "line 1", "expecting an int" },
        { "root ::= \"a\"{2", "line 1", "expecting ','" },
        { "root ::= \"a\"{5,3}", "line 1", "fewer at most than at least" },
        { "root ::= \"a\"{0,2001}", "line 1", "more repetitions than 2000" },
        { "root ::= \"a\"{18446744073709551616}", "line 1", "" },
        { "root ::= \"a\" % \"b\"", "line 1", "expecting newline or end at % \"b\"" },
        { "root ::= <s> \"a\"", "line 1", "no vocab to parse token" },
        { "root ::= \"a\"\nb ::= !<[7]>", "line 2", "a token" },
        { "root ::= root \"a\" | \"a\"", "line 1", "begins with itself" },
        { "root ::= \"(\" a\na ::= b a | \"x\"\nb ::= c\nc ::= \"\" | \"y\"", "line 2", "begins with itself" }, // by way of what may be empty
        { "root ::= (\"a\"?)*", "line 1", "repeats what may be empty" },
    };
    for (const auto & f : faults) {
        const std::string is = fault_of(d, f.grammar);
        if (is.rfind("INVALID_ARGUMENT: Expected a grammar in GBNF but in " + std::string(f.line) + ": ", 0) != 0 || is.find(f.what) == std::string::npos) {
            fprintf(stderr, "of %s: expected %s, %s but got %s\n", f.grammar, f.line, f.what, is.c_str());
            test_failures++;
        }
    }
    CHECK(fault_of(d, std::string("root ::= \"a\"\0", 13)).find("NUL") != std::string::npos);
    // none of these is faulty
    for (const char * good : { "root ::= \"\"", "root ::= a\r\na ::= [^a-c]+ # so\r\n", "root ::= (\n \"a\" |\n \"b\" )",
             "x ::= y\ny ::= \"y\" x | \"\"\nroot ::= x", "root ::= \"\\\"\\\\\\n\\x41\\u00e9\\U0001F600\" .", "root ::= \"a\"{0,2000}" }) {
        const std::string is = fault_of(d, good);
        CHECK(is == "none");
    }
}

// texts that took the process down, all memory, or years; the limits are far above what they take now
static void check_hostile(const demo & d) {
    std::string chain, doubling = "root ::= r0\n", names = "root ::= ";
    for (int i = 0; i < 9000; i++) {
        chain += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + "\n";
    }
    for (int i = 0; i < 60; i++) {
        const std::string next = " r" + std::to_string(i + 1);
        doubling += "r" + std::to_string(i) + " ::=" + next + " |" + next + "\n";
    }
    doubling += "r60 ::= \"a\"";
    std::string ambiguous = "root ::= ";
    for (int i = 0; i < 200; i++) {
        ambiguous += "\"a\"* ";
    }
    const std::pair<const char *, std::string> texts[] = {
        { "groups", "root ::= " + repeat("(", 100000) },
        { "closed groups", "root ::= " + repeat("(", 60000) + "\"a\"" + repeat(")", 60000) },
        { "chain", "root ::= r0\n" + chain + "r9000 ::= \"a\"" },
        { "doubling", doubling },
        { "long repeated", "root ::= \"" + repeat("a", 100000) + "\"{2000}" },
        { "nested repetitions", "root ::= ((((\"a\"{40}){40}){40}){40}){40}" },
        { "optional in optional", "root ::= (((\"a\"? \"b\"){0,40}){0,40} \"c\"){0,1}" },
        { "many stars", ambiguous },
        { "more stars", repeat(ambiguous, 1) + repeat("\"a\"* ", 3000) },
        { "two ways at each step", "root ::= a\na ::= \"x\" a y | \"x\" a z | \"x\"\ny ::= \"y\" | \"\"\nz ::= \"z\" | \"\"" },
        { "large", "root ::= \"" + repeat("a", 300000) + "\"" },
    };
    for (const auto & [name, text] : texts) {
        const int64_t start = ggml_time_us();
        std::string is = fault_of(d, text);
        if (is == "none") { // then so is each step
            try {
                sd_grammar g(d.model->vocab, text);
                for (int i = 0; i < 40; i++) {
                    std::vector<llama_token_data> all;
                    for (llama_token t = 0; t < d.model->info.n_vocab; t++) {
                        all.push_back({ t, 0.0f, 0.0f });
                    }
                    g.keep_allowed(all);
                    const auto writes =
                        std::find_if(all.begin(), all.end(), [&](const llama_token_data & c) { return !llama_vocab_is_eog(d.model->vocab, c.id); });
                    if (writes == all.end()) {
                        break;
                    }
                    g.accept(writes->id);
                }
            } catch (const sd_error & e) {
                is = e.what();
            }
        }
        const double ms = double(ggml_time_us() - start) / 1000;
        printf("  %-22s %8.1f ms  %.80s\n", name, ms, is.c_str());
        CHECK(ms < 10000);
    }
    CHECK(fault_of(d, "root ::= \"a\"") == "none"); // the budget is each call's own
}

struct result {
    std::string text;
    std::vector<llama_token> tokens;
    sd_finish finish;
};

static result ask(demo & d, const std::string & grammar, float temperature = 0, uint32_t seed = 1, int max_tokens = 24) {
    sd_generate_params p;
    p.max_tokens = max_tokens;
    p.temperature = temperature;
    p.seed = seed;
    p.grammar = grammar;
    auto s = sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole"));
    auto a = sd_answer_start(*s, demo_question(*d.model, CODE), {}, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(*d.cells, { a.get() });
    }
    if (a->error) {
        std::rethrow_exception(a->error);
    }
    return { a->text.text, a->tokens, a->finish };
}

// Greedy over the texts of a list, without any grammar: of the tokens that lead to one of them the likeliest.
static std::vector<llama_token> by_list(demo & d, const std::vector<std::string> & texts) {
    auto s = sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole"));
    std::vector<llama_token> prompt = demo_question(*d.model, CODE), out;
    std::string so_far;
    for (;;) {
        const std::vector<float> logits = sd_next_logits(*s, prompt, {});
        llama_token best = LLAMA_TOKEN_NULL;
        for (llama_token t = 0; t < d.model->info.n_vocab; t++) {
            const bool ends = llama_vocab_is_eog(d.model->vocab, t);
            const std::string piece = sd_token_text(d.model->vocab, t);
            const bool leads = std::any_of(texts.begin(), texts.end(), [&](const std::string & text) {
                for (const std::string & whole : { text, " " + text }) { // SentencePiece writes a space first
                    if (ends ? whole == so_far : !piece.empty() && whole.compare(0, so_far.size() + piece.size(), so_far + piece) == 0) {
                        return true;
                    }
                }
                return false;
            });
            if (leads && (best < 0 || logits[t] > logits[best])) {
                best = t;
            }
        }
        const bool whole = std::none_of(texts.begin(), texts.end(), [&](const std::string & text) {
            return (text.size() > so_far.size() && text.rfind(so_far, 0) == 0) || (text.size() + 1 > so_far.size() && (" " + text).rfind(so_far, 0) == 0);
        });
        if (whole || best < 0 || llama_vocab_is_eog(d.model->vocab, best)) {
            return out;
        }
        so_far += sd_token_text(d.model->vocab, best);
        out.push_back(best);
        prompt.push_back(best);
    }
}

static void check_answers(demo & d) {
    const result plain = ask(d, "");
    const result any = ask(d, "root ::= (. | \"\\n\")*");
    CHECK(any.tokens == plain.tokens && any.text == plain.text && any.finish == plain.finish);

    const std::vector<std::vector<std::string>> lists = { { "yes", "no" }, { "no", "nothing", "north" }, { "A", "AB", "ABC" },
        { "caf\xc3\xa9",
            "\xe2\x82\xac"
            "5" },
        { "12", "1", "134" }, { "S 0 Z" } };
    for (const auto & list : lists) {
        std::string grammar = "root ::= ";
        for (const std::string & text : list) {
            grammar += (&text == &list[0] ? "\"" : " | \"") + text + "\"";
        }
        const result r = ask(d, grammar);
        CHECK(r.tokens == by_list(d, list));
        CHECK(std::find(list.begin(), list.end(), r.text) != list.end());
        CHECK(r.finish == SD_FINISH_STOP);
    }
    for (uint32_t seed = 1; seed <= 20; seed++) {
        for (float temperature : { 0.0f, 1.0f, 5.0f }) {
            const result r = ask(d, "root ::= [A-Z]{2,3} \"-\" digit{2} (\"!\" | \"?\")?\ndigit ::= [0-9]", temperature, seed);
            CHECK(r.finish == SD_FINISH_STOP);
            CHECK(std::regex_match(r.text, std::regex("[A-Z]{2,3}-[0-9]{2}[!?]?")));
        }
    }
    CHECK(ask(d, "root ::= [a-z]", 0, 1, 1).finish == SD_FINISH_STOP); // it is whole, though there is no room for an end token
    CHECK(ask(d, "root ::= [a-z]{30}", 5, 3, 6).finish == SD_FINISH_LENGTH);
    // control tokens write nothing, so their names are not what was matched
    for (uint32_t seed = 1; seed <= 20; seed++) {
        const result r = ask(d, "root ::= \"<\" [!-~]{1,3} \">\"", 20, seed);
        CHECK(r.text.size() >= 3 && r.text.size() <= 5 && r.text.front() == '<' && r.text.back() == '>');
    }
    CHECK_CODE(ask(d, "root ::= \"a\\x00\""), "INVALID_ARGUMENT"); // no token writes NUL
    CHECK(ask(d, "").tokens == plain.tokens);
}

// several at once: one whose grammar fails does not disturb the others
static void check_side_by_side() {
    auto d = demo_load(false, 0, 4);
    const std::string codes = "root ::= [A-Z0-9]{3}", words = "root ::= [a-z]+ \" \" [a-z]{2}", dead = "root ::= [a-z]{2} \"\\x00\"";
    std::vector<std::vector<llama_token>> alone;
    for (const std::string & g : { codes, words, std::string() }) {
        alone.push_back(ask(d, g).tokens);
    }
    std::vector<std::unique_ptr<sd_session>> sessions;
    std::vector<std::unique_ptr<sd_answer>> answers;
    for (const std::string & g : { codes, words, std::string(), dead }) {
        sd_generate_params p;
        p.max_tokens = 24;
        p.grammar = g;
        sessions.push_back(sd_session_open(*d.cells, demo_system(*d.model), picture("1-whole")));
        answers.push_back(sd_answer_start(*sessions.back(), demo_question(*d.model, CODE), {}, p, nullptr));
    }
    for (;;) {
        std::vector<sd_answer *> active;
        for (auto & a : answers) {
            if (a->finish == SD_FINISH_NONE) {
                active.push_back(a.get());
            }
        }
        if (active.empty()) {
            break;
        }
        sd_answer_step(*d.cells, active);
    }
    for (size_t i = 0; i < alone.size(); i++) {
        CHECK(answers[i]->tokens == alone[i] && !answers[i]->error);
    }
    CHECK(answers[3]->finish == SD_FINISH_FAILED && answers[3]->error);
    CHECK_CODE(std::rethrow_exception(answers[3]->error), "INVALID_ARGUMENT");
    answers.clear();
    sessions.clear();
    CHECK(d.cells->free_seqs.size() == 64);
}

int main() {
    return test_main("grammar", [] {
        auto d = demo_load();
        check_faults(d);
        check_hostile(d);
        check_answers(d);
        check_side_by_side();
    });
}
