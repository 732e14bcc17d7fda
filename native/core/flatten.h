#pragma once

// Transparent pixels on a background of one colour: the arithmetic of Pillow's alpha_composite on an opaque background, bit for bit
// (colour * alpha + background * (255 - alpha), divided by 255 and rounded to the nearest level, in 8-bit sRGB values as they are).

#include <atomic>
#include <cstddef>
#include <cstdint>

// rgba: n pixels of 4 bytes, out: n pixels of 3 bytes
// background: RGB, or nullptr, which leaves alpha out. So does an alpha that is 0 everywhere: some programs write screen captures so.
// throws sd_error: ABORTED
void sd_flatten(const uint8_t * rgba, size_t n, const uint8_t * background, uint8_t * out, const std::atomic<bool> * cancel = nullptr);
