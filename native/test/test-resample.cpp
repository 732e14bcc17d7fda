#include "resample-kernel.h"
#include "resample.h"
#include "test.h"

#include <algorithm>

// the kernel under test
static const sd_resample_kernel * kernel = nullptr;

struct pixels {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb;
};

static pixels load(const std::string & name) {
    pixels p;
    p.rgb = test_load_rgb(test_fixture("pico/parity/resize/" + name + ".png"), p.width, p.height);
    return p;
}

static pixels checker(int width, int height) {
    pixels p{ width, height, std::vector<uint8_t>(size_t(width) * height * 3) };
    for (size_t i = 0; i < p.rgb.size(); i++) {
        p.rgb[i] = uint8_t((i * 7919) >> 3);
    }
    return p;
}

static sd_resample_params params(const pixels & src, int side, sd_filter filter) {
    sd_resample_params p;
    p.width = p.window_width = src.width;
    p.height = p.window_height = src.height;
    p.out_width = side;
    p.out_height = side;
    p.filter = filter;
    return p;
}

static std::vector<uint8_t> run(const pixels & src, const sd_resample_params & p) {
    // sizes out of range are refused before anything is written
    const int64_t n_pixels = int64_t(std::max(p.out_width, 1)) * std::max(p.out_height, 1);
    std::vector<uint8_t> out(size_t(std::min<int64_t>(n_pixels, SD_RESAMPLE_MAX_PIXELS)) * 3);
    sd_resample_with(*kernel, p, src.rgb.data(), out.data());
    return out;
}

// the picture in the middle of a square of the fill colour, bicubic
static std::vector<uint8_t> pad(const pixels & src, int side, const uint8_t (&fill)[3]) {
    const int square = std::max(src.width, src.height);
    sd_resample_params p = params(src, side, SD_FILTER_BICUBIC);
    p.window_x = -((square - src.width) / 2);
    p.window_y = -((square - src.height) / 2);
    p.window_width = p.window_height = square;
    std::copy(fill, fill + 3, p.fill);
    return run(src, p);
}

static std::vector<uint8_t> crop(const pixels & src, int side, int left, int top, int right, int bottom) {
    sd_resample_params p = params(src, side, SD_FILTER_BILINEAR);
    p.window_x = left;
    p.window_y = top;
    p.window_width = right - left;
    p.window_height = bottom - top;
    return run(src, p);
}

// the colours and boxes are those of cases.json; pictures that JPEG decoders read differently are left to the jest tests
static void test_pillow() {
    static const uint8_t clip_mean[3] = { 122, 116, 104 }, middle[3] = { 127, 127, 127 };
    struct {
        const char * name;
        int box[4];
    } const cases[] = {
        { "wide", { 201, 105, 537, 189 } },
        { "small", { 10, 10, 26, 18 } },
        { "alpha", { 100, 100, 266, 180 } },
        { "gray", { 140, 125, 373, 225 } },
    };
    for (const auto & c : cases) {
        const pixels src = load(c.name);
        for (int side : { 168, 336 }) {
            const std::string size = std::to_string(side);
            CHECK(pad(src, side, side == 336 ? clip_mean : middle) == load(std::string(c.name) + "-pad-" + size).rgb);
            CHECK(crop(src, side, c.box[0], c.box[1], c.box[2], c.box[3]) == load(std::string(c.name) + "-crop-" + size).rgb);
        }
    }
}

static void test_windows() {
    const pixels src = checker(37, 23);
    for (sd_filter filter : { SD_FILTER_BILINEAR, SD_FILTER_BICUBIC }) {
        // the source's own size: unchanged
        sd_resample_params p = params(src, 23, filter);
        p.window_width = 23;
        std::vector<uint8_t> part;
        for (int y = 0; y < 23; y++) {
            part.insert(part.end(), src.rgb.begin() + y * 37 * 3, src.rgb.begin() + (y * 37 + 23) * 3);
        }
        CHECK(run(src, p) == part);

        // a window over the borders equals the same window in a copy with the border drawn
        pixels padded{ 57, 43, std::vector<uint8_t>(57 * 43 * 3) };
        for (int y = 0; y < 43; y++) {
            for (int x = 0; x < 57; x++) {
                const bool inside = x >= 10 && x < 47 && y >= 10 && y < 33;
                for (int c = 0; c < 3; c++) {
                    padded.rgb[(y * 57 + x) * 3 + c] = inside ? src.rgb[((y - 10) * 37 + x - 10) * 3 + c] : uint8_t(50 + c);
                }
            }
        }
        for (int side : { 1, 5, 40, 100 }) {
            p = params(src, side, filter);
            p.window_x = -10;
            p.window_y = -10;
            p.window_width = 57;
            p.window_height = 43;
            p.fill[0] = 50;
            p.fill[1] = 51;
            p.fill[2] = 52;
            CHECK(run(src, p) == run(padded, params(padded, side, filter)));
        }

        // a window beside the source has the fill colour only
        for (int at : { -100, 37, 100, 2000000000, -2000000000 }) {
            p = params(src, 6, filter);
            p.window_x = at;
            p.window_y = at;
            p.fill[0] = p.fill[1] = p.fill[2] = 9;
            CHECK(run(src, p) == std::vector<uint8_t>(6 * 6 * 3, 9));
        }
    }
}

static void test_extremes() {
    // the longest sums: nothing may leave 32 bits
    for (sd_filter filter : { SD_FILTER_BILINEAR, SD_FILTER_BICUBIC }) {
        for (uint8_t value : { 0, 1, 254, 255 }) {
            const pixels row{ SD_RESAMPLE_MAX_SIDE, 1, std::vector<uint8_t>(size_t(SD_RESAMPLE_MAX_SIDE) * 3, value) };
            for (int side : { 1, 3, 1000 }) {
                CHECK(run(row, params(row, side, filter)) == std::vector<uint8_t>(size_t(side) * side * 3, value));
            }
        }
    }
}

// very thin pictures have very long views
static void test_long_results() {
    const pixels src = checker(1, 3);
    sd_resample_params p = params(src, 3, SD_FILTER_BICUBIC);
    p.out_width = SD_RESAMPLE_MAX_SIDE;
    const std::vector<uint8_t> wide = run(src, p);
    std::vector<uint8_t> expected;
    for (size_t i = 0; i < wide.size(); i++) { // each column is the source's
        expected.push_back(src.rgb[i / 3 / SD_RESAMPLE_MAX_SIDE * 3 + i % 3]);
    }
    CHECK(wide == expected);
}

static void test_errors() {
    const pixels src = checker(4, 4);
    const sd_resample_params good = params(src, 4, SD_FILTER_BICUBIC);
    sd_resample_params large = good;
    large.out_width = SD_RESAMPLE_MAX_SIDE;
    large.out_height = SD_RESAMPLE_MAX_PIXELS / SD_RESAMPLE_MAX_SIDE + 1;
    CHECK_CODE(run(src, large), "INVALID_ARGUMENT");
    for (int sd_resample_params::* side : { &sd_resample_params::width, &sd_resample_params::height, &sd_resample_params::window_width,
             &sd_resample_params::window_height, &sd_resample_params::out_width, &sd_resample_params::out_height }) {
        for (int value : { 0, -1, SD_RESAMPLE_MAX_SIDE + 1 }) {
            sd_resample_params p = good;
            p.*side = value;
            CHECK_CODE(run(src, p), "INVALID_ARGUMENT");
        }
    }
    std::atomic<bool> cancel{ true };
    sd_resample_params p = good;
    p.cancel = &cancel;
    CHECK_CODE(run(src, p), "ABORTED");
    cancel = false;
    CHECK(run(src, p) == run(src, good));
}

// sizes around the kernels' groups of samples and outputs; the sums of any kernel are the same integers
static void test_kernels_agree(const sd_resample_kernel & other) {
    uint32_t state = 1;
    auto below = [&](int n) {
        state = state * 1664525u + 1013904223u;
        return int((state >> 8) % uint32_t(n));
    };
    int differ = 0;
    for (int i = 0; i < 400; i++) {
        const pixels src = checker(1 + below(i % 4 ? 70 : 900), 1 + below(40));
        sd_resample_params p = params(src, 1, i % 2 ? SD_FILTER_BICUBIC : SD_FILTER_BILINEAR);
        p.window_x = below(src.width + 20) - 10;
        p.window_y = below(src.height + 20) - 10;
        p.window_width = 1 + below(src.width + 30);
        p.window_height = 1 + below(src.height + 30);
        p.out_width = 1 + below(60);
        p.out_height = 1 + below(20);
        p.fill[0] = 250;
        p.fill[2] = uint8_t(i);
        std::vector<uint8_t> expected(size_t(p.out_width) * p.out_height * 3);
        sd_resample_with(sd_resample_portable(), p, src.rgb.data(), expected.data());
        std::vector<uint8_t> got(expected.size());
        sd_resample_with(other, p, src.rgb.data(), got.data());
        differ += got != expected;
        // what programs call
        sd_resample(p, src.rgb.data(), got.data());
        differ += got != expected;
    }
    CHECK(differ == 0);
}

int main() {
    return test_main("resample", [] {
        for (const sd_resample_kernel * k : { &sd_resample_portable(), sd_resample_avx2() }) {
            if (!k) {
                printf("this processor has no AVX2: one kernel is tested\n");
                continue;
            }
            kernel = k;
            test_pillow();
            test_windows();
            test_extremes();
            test_long_results();
            test_errors();
            test_kernels_agree(*k);
        }
    });
}
