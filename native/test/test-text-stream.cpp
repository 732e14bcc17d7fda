#include "test.h"
#include "text-stream.h"

// pieces through a stream: what was shown, joined by "|" where something came, and the final text
static std::string shown(std::vector<std::string> stop, const std::vector<std::string> & pieces, std::string * text = nullptr) {
    sd_text_stream t;
    t.stop = std::move(stop);
    std::string out;
    auto add = [&](const std::string & s) { out += s.empty() ? "" : (out.empty() ? "" : "|") + s; };
    for (const std::string & p : pieces) {
        add(t.push(p));
    }
    add(t.finish());
    if (text) {
        *text = t.text;
    }
    return out;
}

int main() {
    return test_main("text-stream", [] {
        std::string text;
        // white space around the answer is not part of it; inside it is, and comes with what follows
        CHECK(shown({}, { " ", "A", "4", "X", " ", "\n" }, &text) == "A|4|X");
        CHECK(text == "A4X");
        CHECK(shown({}, { " a", " ", " b" }) == "a|  b");
        // a character comes whole
        CHECK(shown({}, { "\xC3", "\xA4", "x" }) == "\xC3\xA4|x");
        CHECK(shown({}, { "x", "\xF0\x9F", "\x98" }) == "x");
        // a stop string never shows, nor anything behind it
        CHECK(shown({ "END" }, { "one E", "N", "D two" }) == "one");
        CHECK(shown({ "END" }, { "one E", "N", "X" }) == "one| ENX");
        CHECK(shown({ "\n", "END" }, { "a\nb" }) == "a");
        CHECK(shown({ "aab" }, { "a", "a", "a", "b", "c" }) == "a");
        // the earliest of several
        CHECK(shown({ "c", "b" }, { "abc" }) == "a");
        // an answer that ends inside a possible stop string keeps it
        CHECK(shown({ "END" }, { "the EN" }) == "the| EN");
    });
}
