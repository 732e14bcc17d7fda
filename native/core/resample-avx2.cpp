// The kernel for x86-64 processors with AVX2. The functions are compiled for them one by one, so that the file may be part of
// a build for any x86-64.

#include "resample-kernel.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <cstring>
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

AVX2 static void store_samples(int16_t * to, __m128i bytes) {
    _mm256_storeu_si256((__m256i *) to, _mm256_cvtepu8_epi16(bytes));
}

// 16 pixels at a time: each shuffle picks what one of three loads holds of a channel, the rest becomes 0
AVX2 static void split(const uint8_t * rgb, int width, int16_t * const planes[3]) {
    const char o = -1;
    const __m128i red_a = _mm_setr_epi8(0, 3, 6, 9, 12, 15, o, o, o, o, o, o, o, o, o, o);
    const __m128i red_b = _mm_setr_epi8(o, o, o, o, o, o, 2, 5, 8, 11, 14, o, o, o, o, o);
    const __m128i red_c = _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, o, 1, 4, 7, 10, 13);
    const __m128i green_a = _mm_setr_epi8(1, 4, 7, 10, 13, o, o, o, o, o, o, o, o, o, o, o);
    const __m128i green_b = _mm_setr_epi8(o, o, o, o, o, 0, 3, 6, 9, 12, 15, o, o, o, o, o);
    const __m128i green_c = _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, o, 2, 5, 8, 11, 14);
    const __m128i blue_a = _mm_setr_epi8(2, 5, 8, 11, 14, o, o, o, o, o, o, o, o, o, o, o);
    const __m128i blue_b = _mm_setr_epi8(o, o, o, o, o, 1, 4, 7, 10, 13, o, o, o, o, o, o);
    const __m128i blue_c = _mm_setr_epi8(o, o, o, o, o, o, o, o, o, o, 0, 3, 6, 9, 12, 15);
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        const __m128i * from = (const __m128i *) (rgb + 3 * size_t(x));
        const __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1), c = _mm_loadu_si128(from + 2);
        store_samples(planes[0] + x, _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, red_a), _mm_shuffle_epi8(b, red_b)), _mm_shuffle_epi8(c, red_c)));
        store_samples(planes[1] + x, _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, green_a), _mm_shuffle_epi8(b, green_b)), _mm_shuffle_epi8(c, green_c)));
        store_samples(planes[2] + x, _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, blue_a), _mm_shuffle_epi8(b, blue_b)), _mm_shuffle_epi8(c, blue_c)));
    }
    for (; x < width; x++) {
        for (int c = 0; c < 3; c++) {
            planes[c][x] = rgb[3 * size_t(x) + c];
        }
    }
}

AVX2 static __m256i load(const int16_t * from) {
    return _mm256_loadu_si256((const __m256i *) from);
}

// partial sums of output i, eight for each channel; they wrap, their total does not
AVX2 static inline void partial(const sd_resample_columns & columns, int i, int16_t * const planes[3], __m256i sums[3]) {
    const int start = columns.start[i];
    const int16_t *red = planes[0] + start, *green = planes[1] + start, *blue = planes[2] + start;
    const int16_t * high = columns.high + size_t(i) * columns.stride;
    const int16_t * low = columns.low + size_t(i) * columns.stride;
    __m256i red_high = _mm256_setzero_si256(), red_low = red_high, green_high = red_high, green_low = red_high, blue_high = red_high, blue_low = red_high;
    const int n = columns.n_blocks[i] * SD_RESAMPLE_LANES;
    for (int k = 0; k < n; k += SD_RESAMPLE_LANES) {
        const __m256i h = load(high + k), l = load(low + k);
        red_high = _mm256_add_epi32(red_high, _mm256_madd_epi16(h, load(red + k)));
        red_low = _mm256_add_epi32(red_low, _mm256_madd_epi16(l, load(red + k)));
        green_high = _mm256_add_epi32(green_high, _mm256_madd_epi16(h, load(green + k)));
        green_low = _mm256_add_epi32(green_low, _mm256_madd_epi16(l, load(green + k)));
        blue_high = _mm256_add_epi32(blue_high, _mm256_madd_epi16(h, load(blue + k)));
        blue_low = _mm256_add_epi32(blue_low, _mm256_madd_epi16(l, load(blue + k)));
    }
    sums[0] = _mm256_add_epi32(_mm256_slli_epi32(red_high, 12), red_low);
    sums[1] = _mm256_add_epi32(_mm256_slli_epi32(green_high, 12), green_low);
    sums[2] = _mm256_add_epi32(_mm256_slli_epi32(blue_high, 12), blue_low);
}
static_assert(SD_RESAMPLE_HIGH == 1 << 12, "partial() shifts by this");

// four outputs of one channel: two rounds of sums of neighbours leave four sums in either half
AVX2 static inline __m128i total(const __m256i a, const __m256i b, const __m256i c, const __m256i d) {
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

AVX2 static void narrow(const sd_resample_columns & columns, int16_t * const planes[3], uint8_t * out) {
    for (int i = 0; i < columns.n_out; i += 4) {
        __m256i sums[4][3];
        for (int j = 0; j < 4; j++) {
            partial(columns, i + j, planes, sums[j]);
        }
        for (int c = 0; c < 3; c++) {
            __m128i value = total(sums[0][c], sums[1][c], sums[2][c], sums[3][c]);
            value = _mm_add_epi32(value, _mm_loadu_si128((const __m128i *) (columns.base[c] + i)));
            value = _mm_srai_epi32(value, SD_RESAMPLE_PRECISION);
            const __m128i words = _mm_packs_epi32(value, value);
            const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
            memcpy(out + c * columns.n_out + i, &bytes, sizeof(bytes));
        }
    }
}
static_assert(SD_RESAMPLE_LANES == 16 && SD_RESAMPLE_GROUP % 4 == 0, "narrow() reads and writes as many");

AVX2 static void add(int32_t * sums, const uint8_t * row, int32_t weight, int n) {
    const __m256i weights = _mm256_set1_epi32(weight);
    for (int k = 0; k < n; k += 8) {
        const __m256i samples = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) (row + k)));
        const __m256i sum = _mm256_loadu_si256((const __m256i *) (sums + k));
        _mm256_storeu_si256((__m256i *) (sums + k), _mm256_add_epi32(sum, _mm256_mullo_epi32(samples, weights)));
    }
}

const sd_resample_kernel * sd_resample_avx2() {
    static const sd_resample_kernel kernel = { "avx2", split, narrow, add };
    return __builtin_cpu_supports("avx2") ? &kernel : nullptr;
}

#else

const sd_resample_kernel * sd_resample_avx2() {
    return nullptr;
}

#endif
