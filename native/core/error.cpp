#include "error.h"

#include <cstdarg>
#include <cstdio>

std::string sd_format(const char * fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list count;
    va_copy(count, args);
    const int n = vsnprintf(nullptr, 0, fmt, count);
    va_end(count);
    std::string s(n < 0 ? 0 : n, '\0');
    vsnprintf(&s[0], s.size() + 1, fmt, args);
    va_end(args);
    return s;
}
