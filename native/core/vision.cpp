#include "vision.h"

#include "error.h"
#include "ggml.h"
#include "gguf-file.h"
#include "log.h"

#include "llama.h"
#include "mtmd.h"

#include <cmath>
#include <set>
#include <utility>

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

// how many hidden states the projector reads side by side
static int count_features(const gguf_file & f, int n_layer) {
    const int64_t key = gguf_find_key(f.ctx, "clip.vision.feature_layer");
    std::set<int32_t> layers;
    for (size_t i = 0; key >= 0 && i < gguf_get_arr_n(f.ctx, key); i++) {
        const int32_t layer = static_cast<const int32_t *>(gguf_get_arr_data(f.ctx, key))[i];
        if (layer > n_layer) {
            throw sd_error("MMPROJ_INVALID", sd_format("mmproj file %s reads the state after block %d, but it has %d blocks", f.path.c_str(), layer, n_layer));
        }
        if (layer >= 0) {
            layers.insert(layer);
        }
    }
    return layers.empty() ? 1 : int(layers.size());
}

// the shapes that the graph takes for granted
static void check_tensors(const gguf_file & f, int width, int n_layer, int patch_size, int n_tokens) {
    auto optional = [&](const std::string & name, int64_t n) {
        if (f.tensor(name)) {
            f.vector(name, n);
        }
    };
    auto norm = [&](const std::string & name, int64_t n) {
        f.vector(name + ".weight", n);
        f.vector(name + ".bias", n);
    };
    const ggml_tensor * patch = f.tensor("v.patch_embd.weight");
    if (!patch || patch->ne[0] != patch_size || patch->ne[1] != patch_size || patch->ne[2] != 3 || patch->ne[3] != width
        || (patch->type != GGML_TYPE_F32 && patch->type != GGML_TYPE_F16)) {
        throw sd_error("MMPROJ_INVALID",
            sd_format("mmproj file %s has no f16 or f32 tensor v.patch_embd.weight of shape [%d, %d, 3, %d]", f.path.c_str(), patch_size, patch_size, width));
    }
    optional("v.patch_embd.bias", width);
    optional("v.class_embd", width);
    f.matrix("v.position_embd.weight", width, n_tokens + (f.tensor("v.class_embd") ? 1 : 0));
    for (const char * name : { "v.pre_ln", "v.post_ln" }) {
        if (f.tensor(std::string(name) + ".weight") || f.tensor(std::string(name) + ".bias")) {
            norm(name, width);
        }
    }
    for (int il = 0; il < n_layer; il++) {
        const std::string b = "v.blk." + std::to_string(il) + ".";
        norm(b + "ln1", width);
        norm(b + "ln2", width);
        for (const char * name : { "attn_q", "attn_k", "attn_v", "attn_out" }) {
            f.matrix(b + name + ".weight", width, width);
            optional(b + name + ".bias", width);
        }
        // files of old converters have the two names swapped, and mtmd swaps them back
        std::string up = b + "ffn_up", down = b + "ffn_down";
        const ggml_tensor * t = f.tensor(down + ".weight");
        if (t && t->ne[0] == width) {
            std::swap(up, down);
        }
        t = f.tensor(up + ".weight");
        const int64_t n_ff = t ? t->ne[1] : 0;
        f.matrix(up + ".weight", width, n_ff);
        f.matrix(down + ".weight", n_ff, width);
        optional(up + ".bias", n_ff);
        optional(down + ".bias", width);
        if (f.tensor(b + "ffn_gate.weight") || f.tensor(b + "ffn_gate_exps.weight")) {
            throw sd_error("MMPROJ_INVALID", "mmproj file " + f.path + " has gated blocks, which CLIP has not");
        }
    }
}

// the projector's layers; returns the width of its output
static int64_t check_projector(const gguf_file & f, int64_t n_in) {
    auto linear = [&](const std::string & name, int64_t n) {
        const ggml_tensor * t = f.tensor(name + ".weight");
        const int64_t n_out = t ? t->ne[1] : 0;
        f.matrix(name + ".weight", n, n_out);
        f.vector(name + ".bias", n_out);
        return n_out;
    };
    const int64_t n_hidden = linear("mm.0", n_in);
    if (!f.tensor("mm.3.weight")) {
        return linear("mm.2", n_hidden);
    }
    // with layer norms, as Yi-VL has it
    f.vector("mm.1.weight", n_hidden);
    f.vector("mm.1.bias", n_hidden);
    const int64_t n_out = linear("mm.3", n_hidden);
    f.vector("mm.4.weight", n_out);
    f.vector("mm.4.bias", n_out);
    return n_out;
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

    // projectors of the LLaVA graph that give one token a patch
    static const std::set<std::string> known = { "mlp", "mlp_norm" };
    if (!known.count(v.projector)) {
        throw bad("has a projector of type " + v.projector + ", but only LLaVA-1.5 projectors (mlp) are supported");
    }
    if (f.has("clip.vision.image_grid_pinpoints")) {
        throw bad("is of a LLaVA-1.6 model, which cuts pictures into tiles; only LLaVA-1.5 models are supported");
    }
    for (const char * key : { "clip.has_audio_encoder", "clip.has_gen_audio_encoder" }) {
        if (f.has(key) && gguf_get_val_bool(f.ctx, gguf_find_key(f.ctx, key))) {
            throw bad("has an audio encoder; only LLaVA-1.5 models are supported");
        }
    }
    const uint32_t image_size = f.u32("clip.vision.image_size");
    const uint32_t patch_size = f.u32("clip.vision.patch_size");
    const uint32_t width = f.u32("clip.vision.embedding_length");
    const uint32_t n_head = f.u32("clip.vision.attention.head_count");
    const uint32_t n_layer = f.u32("clip.vision.block_count");
    if (image_size == 0 || image_size > 4096 || patch_size == 0 || image_size % patch_size != 0) {
        throw bad(sd_format("has image size %u and patch size %u, which give no whole grid", image_size, patch_size));
    }
    if (width == 0 || width > 1 << 16 || n_head == 0 || width % n_head != 0 || n_layer == 0 || n_layer > 128
        || f.u32_or("clip.vision.attention.head_dim", width / n_head) != width / n_head) {
        throw bad(sd_format("has width %u, %u heads and %u layers, which is no vision tower", width, n_head, n_layer));
    }
    v.pixels = { int(image_size), int(image_size) };
    v.grid = { int(image_size / patch_size), int(image_size / patch_size) };

    check_tensors(f, width, n_layer, patch_size, v.grid.area());

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

    const int64_t n_out = check_projector(f, int64_t(width) * count_features(f, n_layer));
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

std::unique_ptr<sd_vision> sd_vision_load(const sd_vision_params & params, const llama_model * lm, int n_embd) {
    auto v = std::make_unique<vision_mtmd>();
    sd_vision_check_header(*v, params.path, n_embd);
    mtmd_context_params mp = mtmd_context_params_default();
    mp.use_gpu = params.use_gpu;
    mp.print_timings = false;
    mp.n_threads = params.n_threads;
    mp.warmup = false;
    sd_log_take_error();
    v->ctx.reset(mtmd_init_from_file(params.path.c_str(), lm, mp));
    if (!v->ctx || !mtmd_support_vision(v->ctx.get())) {
        throw failed("MMPROJ_INVALID", "mmproj file " + params.path + " could not be loaded: ");
    }
    if (mtmd_decode_use_mrope(v->ctx.get())) {
        throw sd_error("MMPROJ_INVALID", "mmproj file " + params.path + " is of a model with two-dimensional positions, which is not supported");
    }
    return v;
}

std::vector<float> vision_mtmd::encode(const sd_view & view) {
    if (view.size() != pixels || view.rgb.size() != size_t(pixels.area()) * 3) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Expected a view of %d x %d RGB pixels (%d bytes) but received %d x %d (%zu bytes)", pixels.width, pixels.height, pixels.area() * 3,
                view.width, view.height, view.rgb.size()));
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
    if (!image || int(mtmd_input_chunk_get_n_tokens(image)) != grid.area()) {
        throw sd_error("MMPROJ_INVALID",
            sd_format("The vision tower gives %zu tokens where a grid of %d x %d was expected", image ? mtmd_input_chunk_get_n_tokens(image) : size_t(0),
                grid.width, grid.height));
    }
    if (mtmd_encode_chunk(ctx.get(), image) != 0) {
        throw failed("INTERNAL", "The vision tower failed: ");
    }
    const float * out = mtmd_get_output_embd(ctx.get());
    return std::vector<float>(out, out + size_t(grid.area()) * n_embd);
}
