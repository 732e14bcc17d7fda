#pragma once

// The loops of the resampler in which all of its time goes, once for any processor and once for those with AVX2. Both
// compute the same integers.

#include <cstddef>
#include <cstdint>

// fraction bits of a weight: 8-bit samples times weights, summed, then still fit 32 bits
constexpr int SD_RESAMPLE_PRECISION = 22;

// A weight is SD_RESAMPLE_HIGH * high + low with 16-bit parts of its sign: SIMD multiplies and adds 16-bit pairs in one
// instruction, where 32-bit products take many, and the sums stay the same integers.
constexpr int SD_RESAMPLE_HIGH = 1 << 12;

// weights of an output come in multiples of this, the last ones 0, and so may samples be read: loops have no remainder
constexpr int SD_RESAMPLE_LANES = 16;

// outputs come in multiples of this, those behind the last with weights of 0
constexpr int SD_RESAMPLE_GROUP = 8;

// the horizontal weights: output i is the sum of n_blocks[i] * SD_RESAMPLE_LANES samples from start[i] on, and base
struct sd_resample_columns {
    int n_out;  // a multiple of SD_RESAMPLE_GROUP
    int stride; // weights per output
    const int32_t * start;
    const int32_t * n_blocks;
    const int16_t *high, *low; // [n_out][stride]
    const int32_t * base[3];   // per channel, [n_out]: rounding, and the part of what lies outside the source
};

struct sd_resample_kernel {
    const char * name;
    // `width` RGB pixels to three planes of 16-bit samples
    void (*split)(const uint8_t * rgb, int width, int16_t * const planes[3]);
    // three planes of samples to three of n_out bytes, one behind the other
    void (*narrow)(const sd_resample_columns & columns, int16_t * const planes[3], uint8_t * out);
    // sums[k] += weight * row[k], n a multiple of SD_RESAMPLE_GROUP
    void (*add)(int32_t * sums, const uint8_t * row, int32_t weight, int n);
};

const sd_resample_kernel & sd_resample_portable();
const sd_resample_kernel * sd_resample_avx2(); // null where the processor or the build has none

// sd_resample with a given kernel, for tests and measurements
struct sd_resample_params;
void sd_resample_with(const sd_resample_kernel & kernel, const sd_resample_params & params, const uint8_t * rgb, uint8_t * out);

inline uint8_t sd_resample_byte(int32_t sum) {
    const int32_t value = sum >> SD_RESAMPLE_PRECISION;
    return uint8_t(value < 0 ? 0 : value > 255 ? 255 : value);
}
