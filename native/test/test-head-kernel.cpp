// The CUDA kernel of the fused head, its own source run on the host (cuda-shim.h), against plain sums in double precision: random
// grids and widths, all types of states, several maps in one launch, with outputs and shared memory that begin as garbage.
//
// `--break barrier` leaves out every __syncthreads: what ThreadSanitizer must report.

#include "cuda-shim.h"

#include "../cuda/rpn-head-kernel.h"
#include "../cuda/rpn-head-plain.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

static int failures = 0;

static void check(bool ok, const std::string & what) {
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what.c_str());
        failures++;
    }
}

// IEEE half to float; the test's numbers are finite
float shim_from_half(uint16_t h) {
    const int exponent = (h >> 10) & 31, mantissa = h & 1023;
    const double v = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
    return float(h & 0x8000 ? -v : v);
}

template <typename T> static T from_float(float f);

template <> float from_float<float>(float f) {
    return f;
}

template <> __nv_bfloat16 from_float<__nv_bfloat16>(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return { uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16) };
}

// a half of about this value: all that a random state needs
template <> __half from_float<__half>(float f) {
    int exponent = 0;
    const double m = std::frexp(std::fabs(double(f)), &exponent); // f = m 2^exponent, m in [0.5, 1)
    const int biased = exponent + 14;
    if (biased <= 0) {
        return { uint16_t(f < 0 ? 0x8000 : 0) };
    }
    return { uint16_t((f < 0 ? 0x8000 : 0) | biased << 10 | int((2 * m - 1) * 1024)) };
}

static float to_float(float f) {
    return f;
}

static float to_float(__half h) {
    return shim_from_half(h.bits);
}

static float to_float(__nv_bfloat16 h) {
    return __uint_as_float(unsigned(h.bits) << 16);
}

static rpn_state_type type_of(const float *) {
    return RPN_STATE_F32;
}

static rpn_state_type type_of(const __half *) {
    return RPN_STATE_F16;
}

static rpn_state_type type_of(const __nv_bfloat16 *) {
    return RPN_STATE_BF16;
}

// memory that a 16-byte load may begin at
template <typename T> static T * aligned(std::vector<T> & storage, size_t n) {
    storage.resize(n + 16);
    const uintptr_t at = reinterpret_cast<uintptr_t>(storage.data());
    return reinterpret_cast<T *>((at + 15) / 16 * 16);
}

// n_maps maps of width x height cells, rows `gap` numbers apart from each other
template <typename T, int ROWS, int THREADS> static void run(int width, int height, int n, int n_maps, int gap = 0, int n_launches = 1) {
    std::mt19937 random(unsigned(width * 1000003 + height * 1009 + n + n_maps));
    std::normal_distribution<float> normal;
    const int nc = width * height;
    const size_t row = size_t(n) + gap;
    std::vector<T> xs;
    T * x = aligned(xs, row * nc * n_maps);
    for (size_t i = 0; i < row * nc * n_maps; i++) {
        x[i] = from_float<T>(normal(random));
    }
    std::vector<float> w_t_s, w_in_s, u_s;
    float *w_t = aligned(w_t_s, n), *w_in = aligned(w_in_s, n), *u = aligned(u_s, size_t(n) * n_maps);
    for (int i = 0; i < n; i++) {
        w_t[i] = 1 + 0.3f * normal(random);
        w_in[i] = 1 + 0.3f * normal(random);
    }
    for (int i = 0; i < n * n_maps; i++) {
        u[i] = normal(random);
    }
    std::vector<float> out(size_t(3) * nc * n_maps, std::nanf(""));
    std::vector<unsigned> done(n_maps, 0);

    rpn_head_args a = {};
    a.x = x;
    a.w_t = w_t;
    a.w_in = w_in;
    a.u = u;
    a.out = out.data();
    a.done = done.data();
    a.row_bytes = int64_t(row * sizeof(T));
    a.map_bytes = a.row_bytes * nc;
    a.n = n;
    a.n_maps = n_maps;
    a.planes = 3;
    a.width = width;
    a.height = height;
    a.eps = 1e-5f;
    a.scale = 1 / std::sqrt(float(n));
    check(rpn_head_kernel_fits(a, type_of(x)), "the kernel takes these arguments");
    // a launch must leave the counters as the next one needs them
    auto launch = [&] {
        std::fill(out.begin(), out.end(), std::nanf(""));
        shim_launch({ unsigned(nc + ROWS - 1) / ROWS, unsigned(n_maps) }, THREADS, 2, [&] { rpn_head_kernel<T, ROWS, THREADS>(a); });
    };
    for (int l = 0; l < n_launches; l++) {
        launch();
        double d2 = 0, n2 = 0, worst = 0;
        for (int m = 0; m < n_maps; m++) {
            const rpn_head_expected e = rpn_head_plain<T>(a, m, [](T v) { return to_float(v); });
            const float * got = out.data() + size_t(3) * nc * m;
            for (int j = 0; j < nc; j++) {
                d2 += (got[j] - e.logits[j]) * (got[j] - e.logits[j]);
                n2 += e.logits[j] * e.logits[j];
                worst = std::max(worst, std::fabs(double(got[nc + j]) - e.probabilities[j]));
                const double blur = std::fabs(double(got[2 * nc + j]) - e.blurred[j]);
                worst = blur <= worst ? worst : blur; // NaN is the worst
            }
            check(done[m] == 0, "the counter of finished blocks is zero after a launch");
        }
        const double rel = std::sqrt(d2 / n2);
        const std::string name =
            std::to_string(width) + "x" + std::to_string(height) + " cells of " + std::to_string(n) + ", " + std::to_string(n_maps) + " maps";
        printf("  %-34s %2zu bytes: logits %.1e, probabilities %.1e\n", name.c_str(), sizeof(T), rel, worst);
        check(rel <= 2e-6, name + ": logits");
        check(worst <= 1e-6, name + ": probabilities and their blur");
    }
    if (nc > 64) { // logits alone, without counters: the same numbers, and nothing behind them is written
        return;
    }
    const std::vector<float> all = out;
    a.planes = 1;
    a.done = nullptr;
    launch();
    for (int m = 0; m < n_maps; m++) {
        check(std::equal(all.begin() + size_t(3) * nc * m, all.begin() + size_t(3) * nc * m + nc, out.begin() + size_t(nc) * m), "logits alone are the same");
    }
    check(std::all_of(out.begin() + size_t(nc) * n_maps, out.end(), [](float f) { return std::isnan(f); }), "logits alone write nothing else");
}

// sizes and addresses that the kernel must leave to the general head
static void refuse() {
    alignas(16) float v[64] = {};
    rpn_head_args a = {};
    a.x = a.w_t = a.w_in = a.u = v;
    a.row_bytes = 64;
    a.map_bytes = 64;
    a.n = 16;
    a.n_maps = a.width = a.height = a.planes = 1;
    auto with = [&](auto change) {
        rpn_head_args b = a;
        change(b);
        return rpn_head_kernel_fits(b, RPN_STATE_F16);
    };
    check(with([](rpn_head_args &) {}), "aligned arguments are taken");
    check(!with([](rpn_head_args & b) { b.n = 12; }), "a width that 8 does not divide is refused for f16");
    check(!with([](rpn_head_args & b) { b.n = 0; }), "a width of zero is refused");
    check(!with([&](rpn_head_args & b) { b.x = reinterpret_cast<const char *>(v) + 4; }), "states between two 16-byte lines are refused");
    check(!with([&](rpn_head_args & b) { b.u = v + 1; }), "a direction between two 16-byte lines is refused");
    check(!with([](rpn_head_args & b) { b.row_bytes = 36; }), "rows that 16 does not divide are refused");
    check(!with([](rpn_head_args & b) { b.map_bytes = 72; }), "maps that 16 does not divide are refused");
    check(!with([](rpn_head_args & b) { b.planes = 3; }), "a blur without counters is refused");
    check(!with([](rpn_head_args & b) { b.planes = 2; }), "two planes are refused");
    check(!with([](rpn_head_args & b) { b.width = 1 << 16, b.height = 1 << 16; }), "more cells than 32 bits index are refused");
    check(!with([](rpn_head_args & b) { b.n_maps = 65536; }), "more maps than a grid has rows of blocks are refused");
    a.n = 12;
    check(rpn_head_kernel_fits(a, RPN_STATE_F32), "a width that 4 divides is taken for f32");
}

int main(int argc, char ** argv) {
    shim_no_barrier = argc > 2 && std::string(argv[1]) == "--break" && std::string(argv[2]) == "barrier";
    refuse();
    run<float, 4, 256>(1, 1, 64, 1);
    run<float, 4, 64>(2, 1, 8, 3, 0, 2);
    run<float, 4, 256>(4, 2, 4096, 1);
    run<float, 4, 64>(6, 5, 196, 2, 4);
    run<float, 1, 32>(3, 2, 12, 1);
    run<__half, 4, 256>(3, 2, 1024, 1);
    run<__half, 2, 64>(1, 9, 72, 1, 8);
    run<__half, 8, 128>(9, 1, 8192, 1);
    run<__nv_bfloat16, 4, 256>(1, 7, 2048, 1);
    run<__nv_bfloat16, 8, 32>(12, 12, 192, 2);
    run<float, 8, 32>(24, 24, 64, 1);
    printf("%s\n", failures ? "FAILED" : "ok");
    return failures ? 1 : 0;
}
