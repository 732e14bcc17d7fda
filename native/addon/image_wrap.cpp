#include "image_wrap.h"

#include "args.h"
#include "flatten.h"
#include "resample.h"

#include <array>

Napi::Function image_wrap::define(Napi::Env env) {
    return define_class(env, "Resampler", { method_of<&image_wrap::run>("run"), method_of<&image_wrap::flatten>("flatten") });
}

static sd_filter to_filter(const Napi::Value & v) {
    const std::string name = args::string(v, "filter");
    if (name != "bicubic" && name != "bilinear") {
        throw args::expected(v.Env(), "\"bicubic\" or \"bilinear\"", "filter");
    }
    return name == "bicubic" ? SD_FILTER_BICUBIC : SD_FILTER_BILINEAR;
}

static std::array<uint8_t, 3> to_color(const Napi::Value & v, const std::string & name) {
    const Napi::Object values = args::object(v, name);
    std::array<uint8_t, 3> color;
    for (uint32_t c = 0; c < 3; c++) {
        const int value = args::integer(values.Get(c), name, 0);
        if (value > 255) {
            throw args::expected(v.Env(), "three integers from 0 to 255", name);
        }
        color[c] = uint8_t(value);
    }
    return color;
}

// run(rgb, width, height, window { x, y, width, height }, size { width, height }, filter, fill [r, g, b]) -> Buffer of width * height * 3 bytes of size
//
// The pixels are read where they are: the job holds their buffer, and its owner must neither change nor detach it.
Napi::Value image_wrap::run(const Napi::CallbackInfo & info) {
    sd_resample_params p;
    p.width = args::integer(info[1], "width", 1);
    p.height = args::integer(info[2], "height", 1);

    Napi::Object window = args::object(info[3], "window");
    p.window_x = args::integer(window.Get("x"), "window.x");
    p.window_y = args::integer(window.Get("y"), "window.y");
    p.window_width = args::integer(window.Get("width"), "window.width", 1);
    p.window_height = args::integer(window.Get("height"), "window.height", 1);

    Napi::Object size = args::object(info[4], "size");
    p.out_width = args::integer(size.Get("width"), "size.width", 1);
    p.out_height = args::integer(size.Get("height"), "size.height", 1);
    if (p.out_width > SD_RESAMPLE_MAX_SIDE || p.out_height > SD_RESAMPLE_MAX_SIDE
        || int64_t(p.out_width) * p.out_height > SD_RESAMPLE_MAX_PIXELS) { // before memory is taken for it
        throw args::expected(info.Env(), "integers in range", "size");
    }
    p.filter = to_filter(info[5]);

    const std::array<uint8_t, 3> fill = to_color(info[6], "fill");
    std::copy(fill.begin(), fill.end(), p.fill);

    const Napi::Uint8Array rgb = args::array<uint8_t>(info[0], "rgb");
    if (rgb.ElementLength() != size_t(p.width) * size_t(p.height) * 3) {
        throw args::expected(info.Env(), "width x height x 3 bytes", "rgb");
    }
    auto job = std::make_shared<worker_job>();
    job->held.push_back(Napi::Persistent(rgb.As<Napi::Object>()));
    auto run = [p, pixels = rgb.Data()](worker_job & j) {
        sd_resample_params params = p;
        params.cancel = &j.cancel;
        std::vector<uint8_t> out(size_t(p.out_width) * p.out_height * 3);
        sd_resample(params, pixels, out.data());
        return out;
    };
    return w->submit(job, run, [](Napi::Env env, const std::vector<uint8_t> & out) { return Napi::Buffer<uint8_t>::Copy(env, out.data(), out.size()); });
}

// flatten(rgba, background [r, g, b] | null, out) -> nothing: `out`, 3 bytes a pixel, is written
//
// Both are used where they are: the job holds them, and nobody may look at `out` or change either before the job ends.
Napi::Value image_wrap::flatten(const Napi::CallbackInfo & info) {
    Napi::Uint8Array rgba = args::array<uint8_t>(info[0], "rgba");
    const bool laid = !info[1].IsNull();
    const std::array<uint8_t, 3> background = laid ? to_color(info[1], "background") : std::array<uint8_t, 3>{};
    Napi::Uint8Array out = args::array<uint8_t>(info[2], "out");
    const size_t n = rgba.ElementLength() / 4;
    if (rgba.ElementLength() != 4 * n || out.ElementLength() != 3 * n) {
        throw args::expected(info.Env(), "4 and 3 bytes a pixel", "rgba and out");
    }
    auto job = std::make_shared<worker_job>();
    job->held.push_back(Napi::Persistent(rgba.As<Napi::Object>()));
    job->held.push_back(Napi::Persistent(out.As<Napi::Object>()));
    auto run = [n, laid, background, from = rgba.Data(), to = out.Data()](worker_job & j) {
        sd_flatten(from, n, laid ? background.data() : nullptr, to, &j.cancel);
    };
    return w->submit(job, run);
}
