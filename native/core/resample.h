#pragma once

// Scaling of decoded pictures to the model's input: the arithmetic of Pillow's Image.resize, bit for bit
// (filters widened when scaling down, weights cut at the window's border and normalized, 22-bit fixed point, horizontal
// pass first and rounded to 8 bits).

#include <atomic>
#include <cstdint>

enum sd_filter {
    SD_FILTER_BILINEAR,
    SD_FILTER_BICUBIC, // Catmull-Rom, a = -0.5
};

// largest side of the source, of the window and of the result, and the most pixels of the result
constexpr int SD_RESAMPLE_MAX_SIDE = 1 << 16;
constexpr int SD_RESAMPLE_MAX_PIXELS = 1 << 26;

struct sd_resample_params {
    // the source: RGB, row-major, 8 bits a channel, no padding between rows
    int width = 0;
    int height = 0;

    // the part to scale, in whole pixels of the source; it may reach over the borders, where everything is `fill`
    int window_x = 0;
    int window_y = 0;
    int window_width = 0;
    int window_height = 0;

    // of the result; each axis is scaled on its own
    int out_width = 0;
    int out_height = 0;

    sd_filter filter = SD_FILTER_BICUBIC;
    uint8_t fill[3] = { 0, 0, 0 };

    const std::atomic<bool> * cancel = nullptr; // looked at between rows
};

// rgb: width * height * 3 bytes, out: out_width * out_height * 3 bytes
// throws sd_error: INVALID_ARGUMENT for sides out of range, ABORTED
void sd_resample(const sd_resample_params & p, const uint8_t * rgb, uint8_t * out);
