// The three functions of llama.cpp's common/common.cpp, which is about much else, that its conversion of JSON schemas needs.

#include "common.h"

std::string string_join(const std::vector<std::string> & values, const std::string & separator) {
    std::string out;
    for (const std::string & value : values) {
        out += (&value == &values.front() ? "" : separator) + value;
    }
    return out;
}

std::vector<std::string> string_split(const std::string & text, const std::string & delimiter) {
    std::vector<std::string> out;
    size_t from = 0;
    for (size_t at; (at = text.find(delimiter, from)) != std::string::npos; from = at + delimiter.size()) {
        out.push_back(text.substr(from, at - from));
    }
    out.push_back(text.substr(from));
    return out;
}

std::string string_repeat(const std::string & text, size_t n) {
    std::string out;
    out.reserve(text.size() * n);
    for (size_t i = 0; i < n; i++) {
        out += text;
    }
    return out;
}
