#pragma once

// Turns token pieces into text that can be shown: whole UTF-8 characters only, no white space around the answer (the
// reference strips it), and nothing that may be the beginning of a stop string.

#include <string>
#include <vector>

struct sd_text_stream {
    std::vector<std::string> stop;
    std::string text; // everything released so far
    std::string held; // not released yet
    bool stopped = false;

    // feed a piece; returns what can be shown now
    std::string push(const std::string & piece);
    // the answer has ended; returns the rest
    std::string finish();
};
