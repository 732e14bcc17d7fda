#include "resample.h"

#include "error.h"
#include "resample-kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

static constexpr int32_t HALF = 1 << (SD_RESAMPLE_PRECISION - 1); // rounds

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
    t.stride = (int(std::ceil(support)) * 2 + SD_RESAMPLE_LANES) / SD_RESAMPLE_LANES * SD_RESAMPLE_LANES;
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
            const double scaled = exact[x - first] / total * (1 << SD_RESAMPLE_PRECISION);
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

static void check_cancel(const sd_resample_params & p) {
    if (p.cancel && p.cancel->load(std::memory_order_relaxed)) {
        throw sd_error("ABORTED", "The operation was aborted");
    }
}

static int padded(int n) {
    return (n + SD_RESAMPLE_GROUP - 1) / SD_RESAMPLE_GROUP * SD_RESAMPLE_GROUP;
}

// what the kernels take: weights in two parts, outputs in whole groups
struct columns {
    std::vector<int16_t> high, low;
    std::vector<int32_t> start, n_blocks, base[3];
    sd_resample_columns view;

    columns(const taps & t, const uint8_t (&fill)[3], int begin) {
        const int n_out = padded(int(t.start.size()));
        high.resize(size_t(n_out) * t.stride);
        low.resize(high.size());
        for (size_t k = 0; k < t.weights.size(); k++) {
            high[k] = int16_t(t.weights[k] / SD_RESAMPLE_HIGH);
            low[k] = int16_t(t.weights[k] % SD_RESAMPLE_HIGH);
        }
        start.resize(n_out);
        n_blocks.resize(n_out);
        for (auto & b : base) {
            b.resize(n_out);
        }
        for (size_t i = 0; i < t.start.size(); i++) {
            start[i] = t.start[i] - begin;
            n_blocks[i] = (t.count[i] + SD_RESAMPLE_LANES - 1) / SD_RESAMPLE_LANES;
            for (int c = 0; c < 3; c++) {
                base[c][i] = HALF + t.outside[i] * fill[c];
            }
        }
        view = { n_out, t.stride, start.data(), n_blocks.data(), high.data(), low.data(), { base[0].data(), base[1].data(), base[2].data() } };
    }
};

// the horizontal pass over `rows` rows of the source from `first_row` on: each becomes three planes of padded(out_width) bytes
static std::vector<uint8_t> narrow(
    const sd_resample_kernel & kernel, const sd_resample_params & p, const taps & t, const uint8_t * rgb, int first_row, int rows) {
    // starts and ends of the weights grow with i
    const int begin = t.start.front();
    const int width = t.start.back() + t.count.back() - begin;
    const columns columns(t, p.fill, begin);
    // behind the samples zeros, for the weights that are 0
    std::vector<int16_t> samples[3];
    int16_t * planes[3];
    for (int c = 0; c < 3; c++) {
        samples[c].resize(width + SD_RESAMPLE_LANES);
        planes[c] = samples[c].data();
    }

    const int pitch = columns.view.n_out;
    std::vector<uint8_t> out(size_t(rows) * 3 * pitch);
    for (int y = 0; y < rows; y++) {
        check_cancel(p);
        kernel.split(rgb + (size_t(first_row + y) * p.width + begin) * 3, width, planes);
        kernel.narrow(columns.view, planes, out.data() + size_t(y) * 3 * pitch);
    }
    return out;
}

// the vertical pass over what narrow() returned
static void flatten(
    const sd_resample_kernel & kernel, const sd_resample_params & p, const taps & rows, const std::vector<uint8_t> & narrowed, int first_row, uint8_t * out) {
    const int pitch = padded(p.out_width);
    std::vector<int32_t> sums(3 * pitch);
    for (int i = 0; i < p.out_height; i++) {
        check_cancel(p);
        for (int c = 0; c < 3; c++) {
            std::fill_n(sums.data() + c * pitch, pitch, HALF + rows.outside[i] * p.fill[c]);
        }
        for (int k = 0; k < rows.count[i]; k++) {
            kernel.add(sums.data(), narrowed.data() + size_t(rows.start[i] + k - first_row) * 3 * pitch, rows.of(i)[k], 3 * pitch);
        }
        uint8_t * to = out + size_t(i) * p.out_width * 3;
        for (int x = 0; x < p.out_width; x++) {
            for (int c = 0; c < 3; c++) {
                to[3 * x + c] = sd_resample_byte(sums[c * pitch + x]);
            }
        }
    }
}

static void check_side(const char * name, int value, int max) {
    if (value < 1 || value > max) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected integer between 1 and %d for %s but received %d", max, name, value));
    }
}

void sd_resample(const sd_resample_params & p, const uint8_t * rgb, uint8_t * out) {
    static const sd_resample_kernel * const avx2 = sd_resample_avx2();
    sd_resample_with(avx2 ? *avx2 : sd_resample_portable(), p, rgb, out);
}

void sd_resample_with(const sd_resample_kernel & kernel, const sd_resample_params & p, const uint8_t * rgb, uint8_t * out) {
    check_side("the picture's width", p.width, SD_RESAMPLE_MAX_SIDE);
    check_side("the picture's height", p.height, SD_RESAMPLE_MAX_SIDE);
    check_side("the window's width", p.window_width, SD_RESAMPLE_MAX_SIDE);
    check_side("the window's height", p.window_height, SD_RESAMPLE_MAX_SIDE);
    check_side("the result's width", p.out_width, SD_RESAMPLE_MAX_SIDE);
    check_side("the result's height", p.out_height, SD_RESAMPLE_MAX_SIDE);
    if (int64_t(p.out_width) * p.out_height > SD_RESAMPLE_MAX_PIXELS) {
        throw sd_error(
            "INVALID_ARGUMENT", sd_format("Expected a result of at most %d pixels but received %d x %d", SD_RESAMPLE_MAX_PIXELS, p.out_width, p.out_height));
    }
    const taps columns = make_taps(p.window_x, p.window_width, p.width, p.out_width, p.filter);
    const taps rows = make_taps(p.window_y, p.window_height, p.height, p.out_height, p.filter);
    // rows of the source that the window covers; none where it lies outside
    const int first_row = rows.start.front();
    const int n_rows = rows.start.back() + rows.count.back() - first_row;
    flatten(kernel, p, rows, narrow(kernel, p, columns, rgb, first_row, n_rows), first_row, out);
}
