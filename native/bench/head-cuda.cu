// The fused head's kernel on a GPU: checks it against plain sums in double precision, then times it against the floor that
// reading the states once sets at the rate of a device-to-device copy. No ggml, no model: nvcc alone builds it.
//
//   head-cuda [--quick]     --quick: the checks only (for compute-sanitizer)

#include "../cuda/rpn-head-plain.h"
#include "../cuda/rpn-head.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#define CUDA_OK(call) \
    do { \
        const cudaError_t e_ = (call); \
        if (e_ != cudaSuccess) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(e_)); \
            exit(2); \
        } \
    } while (0)

static int failures = 0;

static void check(bool ok, const std::string & what) {
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what.c_str());
        failures++;
    }
}

template <typename T> struct device {
    T * p = nullptr;
    size_t n = 0;

    explicit device(size_t n) : n(n) { CUDA_OK(cudaMalloc(&p, n * sizeof(T))); }
    explicit device(const std::vector<T> & v) : device(v.size()) { set(v); }
    ~device() { cudaFree(p); }
    device(const device &) = delete;
    device & operator=(const device &) = delete;

    void set(const std::vector<T> & v) { CUDA_OK(cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice)); }
    std::vector<T> get() const {
        std::vector<T> v(n);
        CUDA_OK(cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
        return v;
    }
};

static float to_type(float f, float *) {
    return f;
}
static __half to_type(float f, __half *) {
    return __float2half(f);
}
static __nv_bfloat16 to_type(float f, __nv_bfloat16 *) {
    return __float2bfloat16(f);
}
static float to_float(float f) {
    return f;
}
static float to_float(__half f) {
    return __half2float(f);
}
static float to_float(__nv_bfloat16 f) {
    return __bfloat162float(f);
}
static rpn_state_type type_of(float *) {
    return RPN_STATE_F32;
}
static rpn_state_type type_of(__half *) {
    return RPN_STATE_F16;
}
static rpn_state_type type_of(__nv_bfloat16 *) {
    return RPN_STATE_BF16;
}

// random states, norms and directions on the device; `out` and `done` of the arguments are set by the caller
template <typename T> struct problem {
    std::vector<T> x;
    std::vector<float> w_t, w_in, u;
    device<T> dx;
    device<float> dw_t, dw_in, du, out;
    device<unsigned> done;
    rpn_head_args a = {};

    problem(int width, int height, int n, int n_maps)
        : x(random_states(size_t(width) * height * n * n_maps))
        , w_t(random_numbers(n, 1, 0.3f))
        , w_in(random_numbers(n, 1, 0.3f))
        , u(random_numbers(size_t(n) * n_maps, 0, 1))
        , dx(x)
        , dw_t(w_t)
        , dw_in(w_in)
        , du(u)
        , out(size_t(3) * width * height * n_maps)
        , done(n_maps) {
        CUDA_OK(cudaMemset(done.p, 0, n_maps * sizeof(unsigned)));
        a.x = dx.p;
        a.w_t = dw_t.p;
        a.w_in = dw_in.p;
        a.u = du.p;
        a.out = out.p;
        a.done = done.p;
        a.row_bytes = int64_t(n) * sizeof(T);
        a.map_bytes = a.row_bytes * width * height;
        a.n = n;
        a.n_maps = n_maps;
        a.planes = 3;
        a.width = width;
        a.height = height;
        a.eps = 1e-5f;
        a.scale = 1 / std::sqrt(float(n));
    }

    static std::mt19937 & engine() {
        static std::mt19937 e(1);
        return e;
    }
    static std::vector<float> random_numbers(size_t n, float mean, float dev) {
        std::normal_distribution<float> d(mean, dev);
        std::vector<float> v(n);
        for (float & f : v) {
            f = d(engine());
        }
        return v;
    }
    static std::vector<T> random_states(size_t n) {
        // large sets repeat a random part, each row begun elsewhere: making them costs more than the measurement otherwise
        const std::vector<float> some = random_numbers(std::min(n, size_t(1) << 22), 0, 1);
        std::vector<T> v(n);
        for (size_t i = 0; i < n; i++) {
            v[i] = to_type(some[(i + 977 * (i / some.size())) % some.size()], static_cast<T *>(nullptr));
        }
        return v;
    }

    // largest relative error of a map's logits, and largest error of probabilities and their blur
    void compare(const std::string & name) const {
        const std::vector<float> got = out.get();
        const int nc = a.n_cells();
        double d2 = 0, n2 = 0, worst = 0;
        rpn_head_args host = a;
        host.x = x.data();
        host.w_t = w_t.data();
        host.w_in = w_in.data();
        host.u = u.data();
        for (int m = 0; m < a.n_maps; m++) {
            const rpn_head_expected e = rpn_head_plain<T>(host, m, [](T v) { return to_float(v); });
            const float * g = got.data() + size_t(3) * nc * m;
            for (int j = 0; j < nc; j++) {
                d2 += (g[j] - e.logits[j]) * (g[j] - e.logits[j]);
                n2 += e.logits[j] * e.logits[j];
                for (double error : { std::fabs(g[nc + j] - e.probabilities[j]), std::fabs(g[2 * nc + j] - e.blurred[j]) }) {
                    worst = error <= worst ? worst : error; // NaN is the worst
                }
            }
        }
        const double rel = std::sqrt(d2 / n2);
        printf("check %-40s logits %.1e, probabilities %.1e\n", name.c_str(), rel, worst);
        check(rel <= 5e-6, name + ": logits");
        check(worst <= 2e-6, name + ": probabilities and their blur");
    }
};

template <typename T> static void run_check(const char * type, int width, int height, int n, int n_maps) {
    problem<T> p(width, height, n, n_maps);
    for (int rows : { 1, 2, 4, 8 }) {
        CUDA_OK(cudaMemset(p.out.p, 0xff, p.out.n * sizeof(float))); // NaN
        check(rpn_head_launch_rows(p.a, type_of(static_cast<T *>(nullptr)), rows, nullptr), "launch");
        CUDA_OK(cudaDeviceSynchronize());
        char name[128];
        snprintf(name, sizeof(name), "%s %dx%d of %d, %d maps, %d rows", type, width, height, n, n_maps, rows);
        p.compare(name);
        for (unsigned d : p.done.get()) {
            check(d == 0, std::string(name) + ": counters are left zero");
        }
    }
}

// median and range of the time of one call, in microseconds, over samples of many calls each
struct timing {
    double median, least, most;
};

template <typename F> static timing time_us(F call, int n_calls) {
    cudaEvent_t start, stop;
    CUDA_OK(cudaEventCreate(&start));
    CUDA_OK(cudaEventCreate(&stop));
    for (int i = 0; i < n_calls; i++) {
        call(i);
    }
    CUDA_OK(cudaDeviceSynchronize());
    std::vector<double> us;
    for (int s = 0; s < 15; s++) {
        CUDA_OK(cudaEventRecord(start));
        for (int i = 0; i < n_calls; i++) {
            call(i);
        }
        CUDA_OK(cudaEventRecord(stop));
        CUDA_OK(cudaEventSynchronize(stop));
        float ms = 0;
        CUDA_OK(cudaEventElapsedTime(&ms, start, stop));
        us.push_back(1000.0 * ms / n_calls);
    }
    std::sort(us.begin(), us.end());
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
    return { us[us.size() / 2], us.front(), us.back() };
}

// bytes per microsecond, read and written ones counted
static double copy_rate() {
    const size_t n = size_t(1) << 30;
    device<char> from(n), to(n);
    CUDA_OK(cudaMemset(from.p, 1, n));
    const timing t = time_us([&](int) { CUDA_OK(cudaMemcpyAsync(to.p, from.p, n, cudaMemcpyDeviceToDevice)); }, 10);
    return 2.0 * double(n) / t.median;
}

template <typename T> static void run_time(const char * type, int width, int height, int n, int n_maps, double rate) {
    // more sets than the cache holds, taken in turns, so that each launch reads from memory
    const size_t bytes = size_t(width) * height * n * sizeof(T) * n_maps;
    const int n_sets = int(std::max<size_t>(1, (size_t(256) << 20) / bytes));
    problem<T> p(width, height, n, n_maps * n_sets);
    for (int rows : { 1, 2, 4, 8 }) {
        auto call = [&](int i) {
            rpn_head_args a = p.a;
            const int set = i % n_sets;
            a.n_maps = n_maps;
            a.x = static_cast<const char *>(a.x) + int64_t(set) * n_maps * a.map_bytes;
            a.u = a.u + int64_t(set) * n_maps * a.n;
            a.out = a.out + int64_t(set) * n_maps * 3 * a.n_cells();
            a.done = a.done + set * n_maps;
            rpn_head_launch_rows(a, type_of(static_cast<T *>(nullptr)), rows, nullptr);
        };
        const timing t = time_us(call, std::max(n_sets, 20));
        const double floor = double(bytes) / rate;
        printf("time  %-4s %3dx%-3d of %d, %2d maps, %d rows a block: %8.2f us (%.2f-%.2f), floor %8.2f us, ratio %.2f\n", type, width, height, n, n_maps, rows,
            t.median, t.least, t.most, floor, t.median / floor);
    }
    CUDA_OK(cudaGetLastError());
}

int main(int argc, char ** argv) {
    const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    cudaDeviceProp prop;
    CUDA_OK(cudaGetDeviceProperties(&prop, 0));
    printf("device %s, compute capability %d.%d, %d multiprocessors, %.0f MB of L2\n", prop.name, prop.major, prop.minor, prop.multiProcessorCount,
        double(prop.l2CacheSize) / 1e6);

    run_check<float>("f32", 1, 1, 64, 1);
    run_check<float>("f32", 2, 1, 8, 3);
    run_check<float>("f32", 24, 24, 4096, 2);
    run_check<float>("f32", 37, 5, 1004, 3);
    run_check<__half>("f16", 12, 12, 192, 2);
    run_check<__half>("f16", 24, 12, 5120, 1);
    run_check<__nv_bfloat16>("bf16", 24, 24, 4096, 1);
    run_check<__nv_bfloat16>("bf16", 1, 33, 2048, 2);
    if (!quick) {
        run_check<float>("f32", 64, 64, 8192, 1);
        const double rate = copy_rate();
        printf("copy  %.0f GB/s, read and written bytes counted\n", rate / 1e3);
        for (int n_maps : { 1, 8, 32 }) {
            run_time<float>("f32", 24, 24, 4096, n_maps, rate);
        }
        run_time<__half>("f16", 24, 24, 4096, 32, rate);
        run_time<__nv_bfloat16>("bf16", 24, 24, 4096, 32, rate);
        run_time<float>("f32", 48, 48, 4096, 1, rate);
        run_time<float>("f32", 128, 128, 4096, 1, rate);
    }
    printf("%s\n", failures ? "FAILED" : "ok");
    return failures ? 1 : 0;
}
