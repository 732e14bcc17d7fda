#pragma once

// Each allocation of a call fails in turn (which ones: alloc-failure.h): the call must say so, and then a smaller call and the same call must
// give what they would have given.

#include <functional>
#include <vector>

using alloc_result = std::vector<float>;

// What is called, and what it leaves behind: `big` meets the failure, `small` comes before and after.
struct alloc_subject {
    std::function<alloc_result()> small, big;
};

struct alloc_case {
    const char * name;
    size_t limit;     // of failures of operator new, evenly over the call
    double tolerance; // of later results; 0: to the last bit
    std::function<alloc_subject()> make;
    std::function<void()> forget; // frees what several subjects share, so that it is made anew
};

void alloc_check(const alloc_case & c);
