#include "resample-kernel.h"

static void split(const uint8_t * rgb, int width, int16_t * const planes[3]) {
    int16_t *red = planes[0], *green = planes[1], *blue = planes[2];
    for (int x = 0; x < width; x++) {
        red[x] = rgb[3 * x];
        green[x] = rgb[3 * x + 1];
        blue[x] = rgb[3 * x + 2];
    }
}

static int32_t dot(const int16_t * a, const int16_t * b, int n) {
    int32_t sum = 0;
    for (int k = 0; k < n; k++) {
        sum += int32_t(a[k]) * b[k];
    }
    return sum;
}

static void narrow(const sd_resample_columns & columns, int16_t * const planes[3], uint8_t * out) {
    for (int i = 0; i < columns.n_out; i++) {
        const int n = columns.n_blocks[i] * SD_RESAMPLE_LANES;
        const size_t at = size_t(i) * columns.stride;
        for (int c = 0; c < 3; c++) {
            const int16_t * from = planes[c] + columns.start[i];
            const int32_t high = dot(columns.high + at, from, n);
            out[c * columns.n_out + i] = sd_resample_byte(columns.base[c][i] + high * SD_RESAMPLE_HIGH + dot(columns.low + at, from, n));
        }
    }
}

static void add(int32_t * sums, const uint8_t * row, int32_t weight, int n) {
    for (int k = 0; k < n; k++) {
        sums[k] += weight * row[k];
    }
}

const sd_resample_kernel & sd_resample_portable() {
    static const sd_resample_kernel kernel = { "portable", split, narrow, add };
    return kernel;
}
