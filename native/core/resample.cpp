#include "resample.h"

#include "error.h"

#include <algorithm>
#include <cmath>
#include <vector>

// fraction bits of a weight: 8-bit samples times weights, summed, then still fit 32 bits
static constexpr int PRECISION = 22;
static constexpr int HALF = 1 << (PRECISION - 1);

// A weight is HIGH * high + low with 16-bit parts of its sign: SIMD multiplies and adds 16-bit pairs in one instruction,
// where 32-bit products take many, and the sums stay the same integers.
static constexpr int HIGH = 1 << 12;

// weights of an output come in multiples of this, the last ones 0, so that SIMD loops have no remainder
static constexpr int LANES = 8;

// Fixed-point weights of one axis: output i reads count[i] samples of the source from start[i] on.
struct taps {
    int stride = 0; // weights per output, of which the first count[i] are used
    std::vector<int32_t> start, count, weights;
    std::vector<int32_t> outside; // total weight of the samples outside the source, which have the fill colour

    const int32_t * of(int i) const { return weights.data() + size_t(i) * stride; }
};

static double filter_radius(sd_filter filter) {
    return filter == SD_FILTER_BICUBIC ? 2.0 : 1.0;
}

static double filter_weight(sd_filter filter, double distance) {
    const double x = std::fabs(distance);
    if (filter == SD_FILTER_BILINEAR) {
        return std::max(0.0, 1.0 - x);
    }
    if (x < 1.0) {
        return (1.5 * x - 2.5) * x * x + 1.0;
    }
    return x < 2.0 ? ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 : 0.0;
}

// weights that scale `inner` samples to `outer`, where sample 0 is at `offset` in a source of `available` samples
static taps make_taps(int64_t offset, int inner, int available, int outer, sd_filter filter) {
    const double scale = double(inner) / outer;
    const double widening = std::max(1.0, scale);
    const double support = filter_radius(filter) * widening;

    taps t;
    t.stride = (int(std::ceil(support)) * 2 + LANES) / LANES * LANES;
    t.start.resize(outer);
    t.count.resize(outer);
    t.outside.resize(outer);
    t.weights.resize(size_t(outer) * t.stride);

    std::vector<double> exact;
    for (int i = 0; i < outer; i++) {
        const double center = (i + 0.5) * scale;
        const int first = std::max(0, int(center - support + 0.5));
        const int last = std::min(inner, int(center + support + 0.5));
        exact.clear();
        double total = 0.0;
        for (int x = first; x < last; x++) {
            exact.push_back(filter_weight(filter, (x - center + 0.5) / widening));
            total += exact.back();
        }

        t.start[i] = int(std::min<int64_t>(available, std::max<int64_t>(0, first + offset)));
        int32_t * weights = t.weights.data() + size_t(i) * t.stride;
        for (int x = first; x < last; x++) {
            const double scaled = exact[x - first] / total * (1 << PRECISION);
            const int32_t fixed = int32_t(scaled + (scaled < 0 ? -0.5 : 0.5));
            if (x + offset < 0 || x + offset >= available) {
                t.outside[i] += fixed;
            } else {
                weights[t.count[i]++] = fixed;
            }
        }
    }
    return t;
}

static uint8_t to_byte(int32_t sum) {
    return uint8_t(std::clamp(sum >> PRECISION, 0, 255));
}

static void check_cancel(const sd_resample_params & p) {
    if (p.cancel && p.cancel->load(std::memory_order_relaxed)) {
        throw sd_error("ABORTED", "The operation was aborted");
    }
}

static int32_t dot(const int16_t * a, const int16_t * b, int n_blocks) {
    int32_t sum = 0;
    for (int k = 0; k < n_blocks * LANES; k++) {
        sum += int32_t(a[k]) * b[k];
    }
    return sum;
}

// the horizontal pass over `rows` rows of the source from `first_row` on: rows * out_width pixels
static std::vector<uint8_t> narrow(const sd_resample_params & p, const taps & columns, const uint8_t * rgb, int first_row, int rows) {
    std::vector<int16_t> high(columns.weights.size()), low(columns.weights.size());
    for (size_t k = 0; k < high.size(); k++) {
        high[k] = int16_t(columns.weights[k] / HIGH);
        low[k] = int16_t(columns.weights[k] % HIGH);
    }
    // starts and ends of the weights grow with i
    const int begin = columns.start.front();
    const int width = columns.start.back() + columns.count.back() - begin;
    // one plane per channel; behind it zeros, for the weights that are 0
    std::vector<int16_t> planes[3];
    for (auto & plane : planes) {
        plane.resize(width + LANES);
    }

    std::vector<uint8_t> out(size_t(rows) * p.out_width * 3);
    uint8_t * to = out.data();
    for (int y = 0; y < rows; y++) {
        check_cancel(p);
        const uint8_t * row = rgb + (size_t(first_row + y) * p.width + begin) * 3;
        int16_t *red = planes[0].data(), *green = planes[1].data(), *blue = planes[2].data();
        for (int x = 0; x < width; x++) {
            red[x] = row[3 * x];
            green[x] = row[3 * x + 1];
            blue[x] = row[3 * x + 2];
        }
        for (int i = 0; i < p.out_width; i++) {
            const int16_t * h = high.data() + size_t(i) * columns.stride;
            const int16_t * l = low.data() + size_t(i) * columns.stride;
            const int from = columns.start[i] - begin;
            const int n_blocks = (columns.count[i] + LANES - 1) / LANES;
            for (int c = 0; c < 3; c++) {
                const int16_t * samples = planes[c].data() + from;
                *to++ = to_byte(HALF + columns.outside[i] * p.fill[c] + dot(h, samples, n_blocks) * HIGH + dot(l, samples, n_blocks));
            }
        }
    }
    return out;
}

// the vertical pass over what narrow() returned
static void flatten(const sd_resample_params & p, const taps & rows, const std::vector<uint8_t> & narrowed, int first_row, uint8_t * out) {
    const int length = p.out_width * 3;
    std::vector<int32_t> sums(length);
    for (int i = 0; i < p.out_height; i++) {
        check_cancel(p);
        for (int x = 0; x < length; x++) {
            sums[x] = HALF + rows.outside[i] * p.fill[x % 3];
        }
        for (int k = 0; k < rows.count[i]; k++) {
            const int32_t weight = rows.of(i)[k];
            const uint8_t * row = narrowed.data() + size_t(rows.start[i] + k - first_row) * length;
            for (int x = 0; x < length; x++) {
                sums[x] += weight * row[x];
            }
        }
        for (int x = 0; x < length; x++) {
            out[size_t(i) * length + x] = to_byte(sums[x]);
        }
    }
}

static void check_side(const char * name, int value, int max) {
    if (value < 1 || value > max) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected integer between 1 and %d for %s but received %d", max, name, value));
    }
}

void sd_resample(const sd_resample_params & p, const uint8_t * rgb, uint8_t * out) {
    check_side("the picture's width", p.width, SD_RESAMPLE_MAX_IN);
    check_side("the picture's height", p.height, SD_RESAMPLE_MAX_IN);
    check_side("the window's width", p.window_width, SD_RESAMPLE_MAX_IN);
    check_side("the window's height", p.window_height, SD_RESAMPLE_MAX_IN);
    check_side("the result's width", p.out_width, SD_RESAMPLE_MAX_OUT);
    check_side("the result's height", p.out_height, SD_RESAMPLE_MAX_OUT);
    const taps columns = make_taps(p.window_x, p.window_width, p.width, p.out_width, p.filter);
    const taps rows = make_taps(p.window_y, p.window_height, p.height, p.out_height, p.filter);
    // rows of the source that the window covers; none where it lies outside
    const int first_row = rows.start.front();
    const int n_rows = rows.start.back() + rows.count.back() - first_row;
    flatten(p, rows, narrow(p, columns, rgb, first_row, n_rows), first_row, out);
}
