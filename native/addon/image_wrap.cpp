#include "image_wrap.h"

#include "args.h"
#include "resample.h"

Napi::Function image_wrap::define(Napi::Env env) {
    return DefineClass(env, "Resampler", {
        InstanceMethod<&image_wrap::run>("run"),
        InstanceMethod<&image_wrap::cancel>("cancel"),
        InstanceMethod<&image_wrap::close>("close"),
    });
}

image_wrap::image_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info), w(new worker(info.Env())) {}

static sd_filter to_filter(const Napi::Value & v) {
    const std::string name = args::string(v, "filter");
    if (name != "bicubic" && name != "bilinear") {
        throw args::expected(v.Env(), "\"bicubic\" or \"bilinear\"", "filter");
    }
    return name == "bicubic" ? SD_FILTER_BICUBIC : SD_FILTER_BILINEAR;
}

// run(rgb, width, height, window { x, y, width, height }, side, filter, fill [r, g, b]) -> Buffer of side * side * 3 bytes
//
// The pixels are read where they are: the job holds their buffer, and its owner must neither change nor detach it.
Napi::Value image_wrap::run(const Napi::CallbackInfo & info) {
    sd_resample_params p;
    p.width  = args::integer(info[1], "width", 1);
    p.height = args::integer(info[2], "height", 1);

    Napi::Object window = args::object(info[3], "window");
    p.window_x      = args::integer(window.Get("x"), "window.x");
    p.window_y      = args::integer(window.Get("y"), "window.y");
    p.window_width  = args::integer(window.Get("width"), "window.width", 1);
    p.window_height = args::integer(window.Get("height"), "window.height", 1);

    p.side   = args::integer(info[4], "side", 1);
    if (p.side > SD_RESAMPLE_MAX_OUT) { // before memory is taken for it
        throw args::expected(info.Env(), "an integer in range", "side");
    }
    if (p.side > SD_RESAMPLE_MAX_OUT) {
        throw args::expected(info.Env(), "an integer in range", "side");
    }
    p.filter = to_filter(info[5]);

    Napi::Object fill = args::object(info[6], "fill");
    for (uint32_t c = 0; c < 3; c++) {
        const int value = args::integer(fill.Get(c), "fill", 0);
        if (value > 255) {
            throw args::expected(info.Env(), "three integers from 0 to 255", "fill");
        }
        p.fill[c] = uint8_t(value);
    }

    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        throw args::expected(info.Env(), "a Uint8Array", "rgb");
    }
    Napi::Uint8Array rgb = info[0].As<Napi::Uint8Array>();
    if (rgb.ElementLength() != size_t(p.width) * size_t(p.height) * 3) {
        throw args::expected(info.Env(), "width x height x 3 bytes", "rgb");
    }
    const uint8_t * pixels = rgb.Data();

    auto out = std::make_shared<std::vector<uint8_t>>();
    auto job = std::make_shared<worker_job>();
    job->held.push_back(Napi::Persistent(info[0].As<Napi::Object>()));
    job->run = [=](worker_job & j) {
        sd_resample_params params = p;
        params.cancel = &j.cancel;
        out->resize(size_t(p.side) * p.side * 3);
        sd_resample(params, pixels, out->data());
    };
    job->result = [out](Napi::Env env) -> Napi::Value { return Napi::Buffer<uint8_t>::Copy(env, out->data(), out->size()); };
    return w->submit(job);
}

Napi::Value image_wrap::cancel(const Napi::CallbackInfo & info) {
    w->cancel(uint64_t(args::number(info[0], "id")));
    return info.Env().Undefined();
}

Napi::Value image_wrap::close(const Napi::CallbackInfo &) {
    return w->close();
}
