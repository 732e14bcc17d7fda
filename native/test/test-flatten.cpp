#include "flatten.h"
#include "test.h"

static std::vector<uint8_t> run(const std::vector<uint8_t> & rgba, const uint8_t * background) {
    std::vector<uint8_t> out(rgba.size() / 4 * 3);
    sd_flatten(rgba.data(), rgba.size() / 4, background, out.data());
    return out;
}

// Pillow's ImagingAlphaComposite with an opaque background: seven bits more than 8, and a division by 255 in two steps
static uint8_t pillow(uint32_t color, uint32_t alpha, uint32_t under) {
    const uint32_t sum = color * alpha * 128 + under * (255 - alpha) * 128 + (0x80 << 7);
    return uint8_t((((sum >> 8) + sum) >> 8) >> 7);
}

static void test_arithmetic() {
    // every colour under every alpha, on every background
    std::vector<uint8_t> rgba(65536 * 4);
    for (size_t i = 0; i < 65536; i++) {
        rgba[4 * i] = uint8_t(i);
        rgba[4 * i + 1] = uint8_t(255 - i);
        rgba[4 * i + 2] = 7;
        rgba[4 * i + 3] = uint8_t(i >> 8);
    }
    size_t rounded = 0, as_pillow = 0;
    for (int under = 0; under < 256; under++) {
        const uint8_t background[3] = { uint8_t(under), uint8_t(under), 0 };
        const std::vector<uint8_t> out = run(rgba, background);
        for (size_t i = 0; i < 65536; i++) {
            const uint8_t alpha = rgba[4 * i + 3];
            for (int c = 0; c < 3; c++) {
                const uint8_t color = rgba[4 * i + c];
                rounded += out[3 * i + c] != std::lround((color * alpha + background[c] * (255 - alpha)) / 255.0);
                as_pillow += out[3 * i + c] != pillow(color, alpha, background[c]);
            }
        }
    }
    CHECK(rounded == 0);
    CHECK(as_pillow == 0);
}

static void test_without_alpha() {
    const uint8_t white[3] = { 255, 255, 255 };
    CHECK(run({ 1, 2, 3, 0, 4, 5, 6, 0 }, white) == std::vector<uint8_t>({ 1, 2, 3, 4, 5, 6 }));
    CHECK(run({ 1, 2, 3, 0, 4, 5, 6, 255 }, white) == std::vector<uint8_t>({ 255, 255, 255, 4, 5, 6 }));
    CHECK(run({ 1, 2, 3, 0, 4, 5, 6, 255 }, nullptr) == std::vector<uint8_t>({ 1, 2, 3, 4, 5, 6 }));
    CHECK(run({}, white).empty());
}

// more than one slice; alpha comes in the last pixel alone, so that all others are transparent
static void test_slices() {
    const size_t n = (1 << 20) * 2 + 3;
    std::vector<uint8_t> rgba(4 * n);
    for (size_t i = 0; i < n; i++) {
        rgba[4 * i] = uint8_t(i * 31);
    }
    rgba[4 * n - 1] = 255;
    const uint8_t background[3] = { 9, 8, 7 };
    const std::vector<uint8_t> out = run(rgba, background);
    size_t wrong = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        wrong += out[3 * i] != 9 || out[3 * i + 1] != 8 || out[3 * i + 2] != 7;
    }
    CHECK(wrong == 0);
    CHECK(out[3 * n - 3] == uint8_t((n - 1) * 31));

    std::atomic<bool> cancel{ true };
    std::vector<uint8_t> into(3 * n);
    CHECK_CODE(sd_flatten(rgba.data(), n, background, into.data(), &cancel), "ABORTED");
}

int main() {
    return test_main("flatten", [] {
        test_arithmetic();
        test_without_alpha();
        test_slices();
    });
}
