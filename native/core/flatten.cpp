#include "flatten.h"

#include "error.h"

#include <algorithm>

// pixels between two looks at the cancel flag
static constexpr size_t SLICE = 1 << 20;

static bool any_alpha(const uint8_t * rgba, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (rgba[4 * i + 3] != 0) {
            return true;
        }
    }
    return false;
}

static void drop(const uint8_t * rgba, size_t n, uint8_t * out) {
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < 3; c++) {
            out[3 * i + c] = rgba[4 * i + c];
        }
    }
}

static void lay(const uint8_t * rgba, size_t n, const uint8_t * background, uint8_t * out) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t alpha = rgba[4 * i + 3];
        for (int c = 0; c < 3; c++) {
            // never halfway between two levels, 255 being odd
            out[3 * i + c] = uint8_t((rgba[4 * i + c] * alpha + background[c] * (255 - alpha) + 127) / 255);
        }
    }
}

void sd_flatten(const uint8_t * rgba, size_t n, const uint8_t * background, uint8_t * out, const std::atomic<bool> * cancel) {
    const bool laid = background && any_alpha(rgba, n);
    for (size_t from = 0; from < n; from += SLICE) {
        if (cancel && *cancel) {
            throw sd_error("ABORTED", "The operation was aborted");
        }
        const size_t count = std::min(SLICE, n - from);
        if (laid) {
            lay(rgba + 4 * from, count, background, out + 3 * from);
        } else {
            drop(rgba + 4 * from, count, out + 3 * from);
        }
    }
}
