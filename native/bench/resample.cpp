// Times the resampler with each of its kernels, in turn: a picture's view and a crop of it, as the library makes them.
// resample [--width N (4000)] [--height N (3000)] [--side N (336)] [--runs N (15)]

#include "resample.h"
#include "resample-kernel.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

static double now_ms() {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static int option(int argc, char ** argv, const char * name, int value) {
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            value = atoi(argv[i + 1]);
        }
    }
    return value;
}

int main(int argc, char ** argv) {
    const int width = option(argc, argv, "--width", 4000), height = option(argc, argv, "--height", 3000);
    const int side = option(argc, argv, "--side", 336), runs = option(argc, argv, "--runs", 15);
    if (width < 1 || height < 1 || width > SD_RESAMPLE_MAX_SIDE || height > SD_RESAMPLE_MAX_SIDE || side < 1 || side > 1 << 13 || runs < 1) {
        fprintf(stderr, "resample [--width N (4000)] [--height N (3000)] [--side N (336)] [--runs N (15)]\n");
        return 2;
    }
    std::vector<uint8_t> rgb(size_t(width) * height * 3);
    uint32_t state = 1;
    for (uint8_t & value : rgb) {
        state = state * 1664525u + 1013904223u;
        value = uint8_t(state >> 24);
    }
    sd_resample_params view;
    view.width = width;
    view.height = height;
    view.window_width = view.window_height = std::max(width, height);
    view.window_x = -(view.window_width - width) / 2;
    view.window_y = -(view.window_height - height) / 2;
    view.out_width = view.out_height = side;
    sd_resample_params crop = view;
    crop.filter = SD_FILTER_BILINEAR;
    crop.window_x = width / 3;
    crop.window_y = height / 3;
    crop.window_width = std::max(1, width / 4);
    crop.window_height = std::max(1, height / 4);

    const struct {
        const char * name;
        sd_resample_params params;
    } works[] = { { "view", view }, { "crop", crop } };
    std::vector<uint8_t> out(size_t(side) * side * 3);
    const sd_resample_kernel * kernels[] = { &sd_resample_portable(), sd_resample_avx2() };
    for (const auto & work : works) {
        std::vector<double> times[2];
        for (int run = 0; run < runs; run++) {
            for (int k = 0; k < 2; k++) {
                if (kernels[k]) {
                    const double start = now_ms();
                    sd_resample_with(*kernels[k], work.params, rgb.data(), out.data());
                    times[k].push_back(now_ms() - start);
                }
            }
        }
        for (int k = 0; k < 2; k++) {
            if (kernels[k]) {
                std::sort(times[k].begin(), times[k].end());
                printf("%s %dx%d to %d, %s: %.2f ms (%.2f-%.2f)\n", work.name, width, height, side, kernels[k]->name, times[k][times[k].size() / 2],
                    times[k].front(), times[k].back());
            }
        }
    }
    return 0;
}
