#pragma once

// Errors of the core: a stable code (the library's public contract, see src/base/errors.ts) and a message for people.

#include <stdexcept>
#include <string>

struct sd_error : std::runtime_error {
    std::string code;

    sd_error(std::string code, const std::string & message) : std::runtime_error(message), code(std::move(code)) {}
};

// printf into a std::string
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
std::string sd_format(const char * fmt, ...);
