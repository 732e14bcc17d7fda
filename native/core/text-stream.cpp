#include "text-stream.h"

#include <algorithm>

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

// bytes at the end of s that are the beginning of a UTF-8 character whose rest has not come
static size_t incomplete_utf8(const std::string & s) {
    for (size_t back = 1; back <= 3 && back <= s.size(); back++) {
        const unsigned char c = s[s.size() - back];
        if ((c & 0xC0) == 0x80) {
            continue;
        }
        const size_t need = (c & 0xE0) == 0xC0 ? 2 : (c & 0xF0) == 0xE0 ? 3 : (c & 0xF8) == 0xF0 ? 4 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

// longest suffix of s that is a proper prefix of a stop string
static size_t stop_overlap(const std::string & s, const std::vector<std::string> & stop) {
    size_t longest = 0;
    for (const std::string & word : stop) {
        for (size_t n = std::min(word.size() - 1, s.size()); n > longest; n--) {
            if (s.compare(s.size() - n, n, word, 0, n) == 0) {
                longest = n;
                break;
            }
        }
    }
    return longest;
}

static std::string release(sd_text_stream & t, size_t n) {
    std::string out = t.held.substr(0, n);
    t.held.erase(0, n);
    if (t.text.empty()) {
        out.erase(0, std::find_if(out.begin(), out.end(), [](char c) { return !is_space(c); }) - out.begin());
    }
    t.text += out;
    return out;
}

std::string sd_text_stream::push(const std::string & piece) {
    if (stopped) {
        return "";
    }
    held += piece;
    size_t at = std::string::npos;
    for (const std::string & word : stop) {
        at = std::min(at, held.find(word));
    }
    if (at != std::string::npos) {
        stopped = true;
        held.erase(at);
        return finish();
    }
    size_t keep = std::max(incomplete_utf8(held), stop_overlap(held, stop));
    // white space is shown when something follows it
    while (keep < held.size() && is_space(held[held.size() - keep - 1])) {
        keep++;
    }
    return release(*this, held.size() - keep);
}

std::string sd_text_stream::finish() {
    held.erase(held.size() - incomplete_utf8(held)); // half a character cannot be shown
    while (!held.empty() && is_space(held.back())) {
        held.pop_back();
    }
    return release(*this, held.size());
}
