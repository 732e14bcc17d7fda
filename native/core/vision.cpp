#include "vision.h"

#include "error.h"
#include "ggml.h"
#include "gguf-file.h"
#include "log.h"
#include "vision-header.h"

#include "llama.h"
#include "mtmd.h"

#include <algorithm>
#include <cmath>
#include <map>

// mtmd asserts on a key of another type
static void check_key_types(const gguf_file & f) {
    for (const char * key : { "clip.has_vision_encoder", "clip.has_audio_encoder", "clip.has_gen_audio_encoder", "clip.use_gelu", "clip.use_silu" }) {
        f.expect(key, GGUF_TYPE_BOOL);
    }
    for (const char * key : { "general.name", "general.description", "clip.projector_type", "clip.vision.projector_type", "clip.vision.mm_patch_merge_type" }) {
        f.expect(key, GGUF_TYPE_STRING);
    }
    for (const char * key : { "embedding_length", "feed_forward_length", "block_count", "projection_dim", "image_size", "patch_size", "attention.head_count",
             "attention.head_count_kv", "attention.head_dim" }) {
        f.expect(std::string("clip.vision.") + key, GGUF_TYPE_UINT32);
    }
    f.expect("clip.minicpmv_version", GGUF_TYPE_INT32);
    f.expect("clip.minicpmv_query_num", GGUF_TYPE_UINT32);
    f.expect("clip.vision.attention.layer_norm_epsilon", GGUF_TYPE_FLOAT32);
    f.expect_array("clip.vision.feature_layer", GGUF_TYPE_INT32);
}

// what mtmd would only find out by asserting, or not at all
void sd_vision_check_header(sd_vision_info & v, const std::string & path, int n_embd) {
    gguf_file f;
    gguf_file_open(f, path, "mmproj", "MMPROJ_INVALID");
    auto bad = [&](const std::string & why) { return sd_error("MMPROJ_INVALID", "mmproj file " + f.path + " " + why); };
    if (f.str("general.architecture") != "clip") {
        throw bad("has architecture " + f.str("general.architecture") + " instead of clip: give the mmproj file that belongs to the model");
    }
    check_key_types(f);
    v.projector = f.str_or("clip.projector_type", f.str_or("clip.vision.projector_type", "mlp"));
    v.name = f.str_or("general.name", "");

    static const std::map<std::string, sd_vision_kind> known = {
        { "mlp", SD_VISION_LLAVA },
        { "mlp_norm", SD_VISION_LLAVA },
        { "qwen2.5vl_merger", SD_VISION_QWEN25 },
        { "qwen3vl_merger", SD_VISION_QWEN3 },
    };
    const auto kind = known.find(v.projector);
    if (kind == known.end()) {
        throw bad("has a projector of type " + v.projector
            + ", but only those of LLaVA-1.5 (mlp), Qwen2.5-VL (qwen2.5vl_merger) and Qwen3-VL (qwen3vl_merger) are supported");
    }
    v.kind = kind->second;
    if (f.has("clip.vision.image_grid_pinpoints")) {
        throw bad("is of a LLaVA-1.6 model, which cuts pictures into tiles; only LLaVA-1.5 models are supported");
    }
    for (const char * key : { "clip.has_audio_encoder", "clip.has_gen_audio_encoder" }) {
        if (f.has(key) && gguf_get_val_bool(f.ctx, gguf_find_key(f.ctx, key))) {
            throw bad("has an audio encoder, which is not supported");
        }
    }
    sd_tower_shape shape;
    const uint32_t image_size = f.u32("clip.vision.image_size"), patch_size = f.u32("clip.vision.patch_size");
    const uint32_t width = f.u32("clip.vision.embedding_length"), n_head = f.u32("clip.vision.attention.head_count");
    const uint32_t n_layer = f.u32("clip.vision.block_count");
    if (image_size == 0 || image_size > 4096 || patch_size == 0 || image_size % patch_size != 0) {
        throw bad(sd_format("has image size %u and patch size %u, which give no whole grid", image_size, patch_size));
    }
    if (width == 0 || width > 1 << 16 || n_head == 0 || width % n_head != 0 || n_layer == 0 || n_layer > 128
        || f.u32_or("clip.vision.attention.head_dim", width / n_head) != width / n_head) {
        throw bad(sd_format("has width %u, %u heads and %u layers, which is no vision tower", width, n_head, n_layer));
    }
    shape.image_size = int(image_size);
    shape.patch_size = int(patch_size);
    shape.width = int(width);
    shape.n_head = int(n_head);
    shape.n_layer = int(n_layer);
    // pixels in several forms, and what a block computes: queries, keys, values, the wide middle of the feed-forward network
    v.patch_bytes = int(sizeof(float)) * (12 * shape.patch_size * shape.patch_size + 16 * shape.width);
    // flash attention keeps no scores, but Qwen2.5-VL's windows are a mask: in F32 on both sides of mtmd, and in F16
    v.pair_bytes = v.kind == SD_VISION_QWEN25 ? 10 : 0;
    const int64_t n_out = v.kind == SD_VISION_LLAVA ? sd_vision_check_llava(f, shape, v) : sd_vision_check_qwen(f, shape, v);

    const float eps = f.f32("clip.vision.attention.layer_norm_epsilon");
    if (!std::isfinite(eps) || eps < 0) {
        throw bad(sd_format("has %g as epsilon of its layer norms", double(eps)));
    }
    const std::vector<float> mean = f.f32_array("clip.vision.image_mean"), dev = f.f32_array("clip.vision.image_std");
    if (mean.size() != 3 || dev.size() != 3) {
        throw bad(sd_format("has %zu values in clip.vision.image_mean and %zu in image_std instead of 3", mean.size(), dev.size()));
    }
    for (int c = 0; c < 3; c++) {
        if (!std::isfinite(mean[c]) || !std::isfinite(dev[c]) || dev[c] <= 0) {
            throw bad(sd_format("normalizes colours by mean %g and deviation %g", double(mean[c]), double(dev[c])));
        }
    }
    for (int c = 0; c < 3; c++) {
        const double x = double(mean[c]) * 255.0;
        v.fill[c] = uint8_t(x < 0 ? 0 : x > 255 ? 255 : x);
    }

    if (n_out != n_embd) {
        throw sd_error("MMPROJ_MISMATCH",
            sd_format("The projector in %s gives vectors of width %lld, but the model's are %d wide: give the mmproj file that belongs to the model",
                f.path.c_str(), (long long) n_out, n_embd));
    }
    v.n_embd = n_embd;
}

namespace {

struct mtmd_deleter {
    void operator()(mtmd_context * ctx) const { mtmd_free(ctx); }
};

struct vision_mtmd : sd_vision {
    std::unique_ptr<mtmd_context, mtmd_deleter> ctx;

    std::vector<float> encode(const sd_view & view) override;
};

// a failure of mtmd, which says why in its log only
sd_error failed(const char * code, const std::string & what) {
    const std::string why = sd_log_take_error();
    return sd_error(sd_log_about_memory(why) ? "OUT_OF_MEMORY" : code, what + why);
}

} // namespace

// mtmd refuses such files too, but in its log only
static void check_fits(const sd_vision_info & v, const llama_model * lm, const std::string & path) {
    auto mismatch = [&](const std::string & why) {
        return sd_error("MMPROJ_MISMATCH", "The vision tower in " + path + " " + why + ": give the mmproj file that belongs to the model");
    };
    const llama_rope_type rope = llama_model_rope_type(lm);
    const bool sections = rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
    if (sections != v.any_size() || (sections && (rope == LLAMA_ROPE_TYPE_IMROPE) != (v.kind == SD_VISION_QWEN3))) {
        throw mismatch("has a projector of type " + v.projector + ", but the model has positions of another kind");
    }
    if (llama_model_n_embd_inp(lm) != v.n_row()) {
        throw mismatch(sd_format("gives %d numbers for each token, but the model takes %d", v.n_row(), llama_model_n_embd_inp(lm)));
    }
}

std::unique_ptr<sd_vision> sd_vision_load(const sd_vision_params & params, const llama_model * lm, int n_embd) {
    auto v = std::make_unique<vision_mtmd>();
    sd_vision_check_header(*v, params.path, n_embd);
    check_fits(*v, lm, params.path);
    mtmd_context_params mp = mtmd_context_params_default();
    mp.use_gpu = params.use_gpu;
    mp.print_timings = false;
    mp.n_threads = params.n_threads;
    mp.warmup = false;
    if (v->any_size()) {
        // views come at the size that they are to have: mtmd is not to scale them
        mp.image_min_tokens = 1;
        mp.image_max_tokens = SD_VISION_MAX_TOKENS;
    }
    sd_log_take_error();
    v->ctx.reset(mtmd_init_from_file(params.path.c_str(), lm, mp));
    if (!v->ctx || !mtmd_support_vision(v->ctx.get())) {
        throw failed("MMPROJ_INVALID", "mmproj file " + params.path + " could not be loaded: ");
    }
    return v;
}

sd_size sd_vision_info::grid_of(sd_size view) const {
    if (!any_size()) {
        if (view != pixels) {
            throw sd_error(
                "INVALID_ARGUMENT", sd_format("Expected a view of %d x %d pixels but received %d x %d", pixels.width, pixels.height, view.width, view.height));
        }
        return grid;
    }
    const sd_size cells = { view.width / cell, view.height / cell };
    if (view.width <= 0 || view.height <= 0 || view.width % cell != 0 || view.height % cell != 0
        || int64_t(cells.width) * cells.height > SD_VISION_MAX_TOKENS) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Expected a view with sides of a whole number of cells of %d pixels, %d cells at most, but received %d x %d", cell, SD_VISION_MAX_TOKENS,
                view.width, view.height));
    }
    return cells;
}

std::vector<float> vision_mtmd::encode(const sd_view & view) {
    const sd_size cells = grid_of(view.size());
    if (view.rgb.size() != size_t(view.size().area()) * 3) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format(
                "Expected %d bytes of RGB pixels for a view of %d x %d but received %zu", view.size().area() * 3, view.width, view.height, view.rgb.size()));
    }
    std::unique_ptr<mtmd_bitmap, void (*)(mtmd_bitmap *)> bitmap(mtmd_bitmap_init(view.width, view.height, view.rgb.data()), mtmd_bitmap_free);
    std::unique_ptr<mtmd_input_chunks, void (*)(mtmd_input_chunks *)> chunks(mtmd_input_chunks_init(), mtmd_input_chunks_free);

    const char * marker = mtmd_default_marker();
    mtmd_input_text text = { marker, std::string(marker).size(), /*add_special*/ false, /*parse_special*/ false };
    const mtmd_bitmap * bitmaps[] = { bitmap.get() };
    sd_log_take_error();
    if (mtmd_tokenize(ctx.get(), chunks.get(), &text, bitmaps, 1) != 0) {
        throw failed("INTERNAL", "The view could not be prepared: ");
    }
    const mtmd_input_chunk * image = nullptr;
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); i++) {
        const mtmd_input_chunk * c = mtmd_input_chunks_get(chunks.get(), i);
        if (mtmd_input_chunk_get_type(c) == MTMD_INPUT_CHUNK_TYPE_IMAGE) {
            image = c;
        }
    }
    if (!image || int(mtmd_input_chunk_get_n_tokens(image)) != cells.area()) {
        throw sd_error("MMPROJ_INVALID",
            sd_format("The vision tower gives %zu tokens where a grid of %d x %d was expected", image ? mtmd_input_chunk_get_n_tokens(image) : size_t(0),
                cells.width, cells.height));
    }
    if (mtmd_encode_chunk(ctx.get(), image) != 0) {
        throw failed("INTERNAL", "The vision tower failed: ");
    }
    const float * out = mtmd_get_output_embd(ctx.get());
    std::vector<float> features(out, out + size_t(cells.area()) * n_row());
    // F16 towers overflow on some back ends at some sizes; a model that is given such features answers nonsense
    if (!std::all_of(features.begin(), features.end(), [](float x) { return std::isfinite(x); })) {
        throw sd_error("INTERNAL",
            sd_format("The vision tower gives values that are not finite for a view of %d x %d pixels: use an mmproj file of type f32 or bf16", view.width,
                view.height));
    }
    return features;
}
