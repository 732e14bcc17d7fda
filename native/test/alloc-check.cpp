#include "alloc-check.h"

#include "alloc-failure.h"
#include "error.h"
#include "test.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

namespace {

using result = alloc_result;

struct checker {
    const alloc_case & c;
    result small, big;
    size_t n_failed = 0;
    std::set<std::string> codes;

    bool same(const result & is, const result & expected) const { return c.tolerance == 0 ? is == expected : rel_l2(is, expected) <= c.tolerance; }

    // one failure, and the calls after it
    void fail(const alloc_subject & s, alloc_kind kind, size_t index) {
        result out;
        bool failed = false;
        alloc_start(kind, index);
        try {
            out = s.big();
        } catch (const sd_error & e) {
            alloc_stop();
            failed = true;
            codes.insert(e.code);
        } catch (const std::bad_alloc &) {
            alloc_stop();
            failed = true;
            codes.insert("bad_alloc");
        }
        alloc_stop();
        n_failed += failed;
        bool ok = failed || same(out, big);
        for (const auto & [call, expected] : { std::pair(s.small, small), std::pair(s.big, big) }) {
            try {
                ok = ok && same(call(), expected);
            } catch (const sd_error & e) {
                fprintf(stderr, "  %s: %s\n", e.code.c_str(), e.what());
                ok = false;
            }
        }
        if (!ok) {
            fprintf(stderr, "%s: wrong after the failure of %s %zu\n", c.name, kind == ALLOC_NEW ? "operator new" : "buffer", index);
            test_failures++;
        }
    }

    void run() {
        c.forget();
        alloc_subject s = c.make();
        small = s.small();
        alloc_start();
        big = s.big();
        const alloc_counts counts = alloc_stop();
        CHECK(counts.n_buffers + counts.n_new > 0);
        for (size_t i = 0; i < counts.n_buffers; i++) {
            c.forget(); // buffers that are only made once fail too
            s = c.make();
            s.small();
            fail(s, ALLOC_BUFFER, i);
        }
        const size_t n = std::min(counts.n_new, c.limit);
        for (size_t i = 0; i < n; i++) {
            s = c.make();
            s.small();
            fail(s, ALLOC_NEW, i * counts.n_new / n);
        }
        std::string list;
        for (const std::string & code : codes) {
            list += " " + code;
            CHECK(code == "bad_alloc" || code == "OUT_OF_MEMORY");
        }
        c.forget();
        printf("  %-20s %zu buffers, %zu of %zu operator new: %zu calls failed (%s )\n", c.name, counts.n_buffers, n, counts.n_new, n_failed, list.c_str());
        fflush(stdout);
    }
};

} // namespace

void alloc_check(const alloc_case & c) {
    checker{ c, {}, {}, 0, {} }.run();
}
