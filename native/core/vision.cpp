#include "vision.h"

#include "error.h"
#include "gguf-file.h"
#include "ggml.h"
#include "log.h"

#include "llama.h"
#include "mtmd.h"

#include <set>

struct sd_vision::impl {
    mtmd_context * ctx = nullptr;
    ~impl() { mtmd_free(ctx); }
};

sd_vision::sd_vision() : p(new impl) {}
sd_vision::~sd_vision() = default;

// what mtmd would only find out by asserting
static void check_header(sd_vision & v, const gguf_file & f, int n_embd) {
    auto bad = [&](const std::string & why) {
        return sd_error("MMPROJ_INVALID", "mmproj file " + f.path + " " + why);
    };
    if (f.str("general.architecture") != "clip") {
        throw bad("has architecture " + f.str("general.architecture") + " instead of clip: give the mmproj file that belongs to the model");
    }
    v.projector = f.str_or("clip.projector_type", f.str_or("clip.vision.projector_type", "mlp"));
    v.name      = f.str_or("general.name", "");

    // projectors of the LLaVA graph that give one token a patch
    static const std::set<std::string> known = { "mlp", "mlp_norm" };
    if (!known.count(v.projector)) {
        throw bad("has a projector of type " + v.projector + ", but only LLaVA-1.5 projectors (mlp) are supported");
    }
    if (f.has("clip.vision.image_grid_pinpoints")) {
        throw bad("is of a LLaVA-1.6 model, which cuts pictures into tiles; only LLaVA-1.5 models are supported");
    }
    const uint32_t image_size = f.u32("clip.vision.image_size");
    const uint32_t patch_size = f.u32("clip.vision.patch_size");
    const uint32_t width      = f.u32("clip.vision.embedding_length");
    const uint32_t n_head     = f.u32("clip.vision.attention.head_count");
    const uint32_t n_layer    = f.u32("clip.vision.block_count");
    if (image_size == 0 || image_size > 4096 || patch_size == 0 || image_size % patch_size != 0) {
        throw bad(sd_format("has image size %u and patch size %u, which give no whole grid", image_size, patch_size));
    }
    if (width == 0 || n_head == 0 || width % n_head != 0 || n_layer == 0) {
        throw bad(sd_format("has width %u, %u heads and %u layers, which is no vision tower", width, n_head, n_layer));
    }
    v.side     = image_size;
    v.grid     = image_size / patch_size;
    v.n_tokens = v.grid * v.grid;

    const int64_t n_pos = v.n_tokens + (f.tensor("v.class_embd") ? 1 : 0);
    f.require("v.position_embd.weight", width, n_pos);

    const std::vector<float> mean = f.f32_array("clip.vision.image_mean");
    if (mean.size() != 3) {
        throw bad(sd_format("has %zu values in clip.vision.image_mean instead of 3", mean.size()));
    }
    for (int c = 0; c < 3; c++) {
        const double x = double(mean[c]) * 255.0;
        v.fill[c] = uint8_t(x < 0 ? 0 : x > 255 ? 255 : x);
    }

    const char * last[] = { "mm.4.weight", "mm.3.weight", "mm.2.weight", "mm.0.weight" };
    const ggml_tensor * out = nullptr;
    for (const char * name : last) {
        const ggml_tensor * t = f.tensor(name);
        if (t && ggml_n_dims(t) == 2) {
            out = t;
            break;
        }
    }
    if (!out) {
        throw bad("has no projector weights");
    }
    if (out->ne[1] != n_embd) {
        throw sd_error("MMPROJ_MISMATCH", sd_format("The projector in %s gives vectors of width %lld, but the model's are %d wide: give the mmproj file that belongs to the model",
            f.path.c_str(), (long long) out->ne[1], n_embd));
    }
    v.n_embd = n_embd;
}

std::unique_ptr<sd_vision> sd_vision_load(const sd_vision_params & params, const llama_model * lm, int n_embd) {
    auto v = std::make_unique<sd_vision>();
    {
        gguf_file f;
        gguf_file_open(f, params.path, "mmproj", "MMPROJ_INVALID");
        check_header(*v, f, n_embd);
    }
    mtmd_context_params mp = mtmd_context_params_default();
    mp.use_gpu       = params.use_gpu;
    mp.print_timings = false;
    mp.n_threads     = params.n_threads;
    mp.warmup        = false;
    sd_log_take_error();
    v->p->ctx = mtmd_init_from_file(params.path.c_str(), lm, mp);
    if (!v->p->ctx || !mtmd_support_vision(v->p->ctx)) {
        throw sd_error("MMPROJ_INVALID", "mmproj file " + params.path + " could not be loaded: " + sd_log_take_error());
    }
    if (mtmd_decode_use_mrope(v->p->ctx)) {
        throw sd_error("MMPROJ_INVALID", "mmproj file " + params.path + " is of a model with two-dimensional positions, which is not supported");
    }
    return v;
}

std::vector<float> sd_vision_encode(sd_vision & v, const uint8_t * rgb, size_t size) {
    if (size != size_t(v.side) * v.side * 3) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a view of %d x %d RGB pixels (%d bytes) but received %zu bytes", v.side, v.side, v.side * v.side * 3, size));
    }
    std::unique_ptr<mtmd_bitmap, void (*)(mtmd_bitmap *)> bitmap(mtmd_bitmap_init(v.side, v.side, rgb), mtmd_bitmap_free);
    std::unique_ptr<mtmd_input_chunks, void (*)(mtmd_input_chunks *)> chunks(mtmd_input_chunks_init(), mtmd_input_chunks_free);

    const char *    marker = mtmd_default_marker();
    mtmd_input_text text   = { marker, std::string(marker).size(), /*add_special*/ false, /*parse_special*/ false };
    const mtmd_bitmap * bitmaps[] = { bitmap.get() };
    sd_log_take_error();
    if (mtmd_tokenize(v.p->ctx, chunks.get(), &text, bitmaps, 1) != 0) {
        throw sd_error("INTERNAL", "The view could not be prepared: " + sd_log_take_error());
    }
    const mtmd_input_chunk * image = nullptr;
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); i++) {
        const mtmd_input_chunk * c = mtmd_input_chunks_get(chunks.get(), i);
        if (mtmd_input_chunk_get_type(c) == MTMD_INPUT_CHUNK_TYPE_IMAGE) {
            image = c;
        }
    }
    if (!image || int(mtmd_input_chunk_get_n_tokens(image)) != v.n_tokens) {
        throw sd_error("MMPROJ_INVALID", sd_format("The vision tower gives %zu tokens where a grid of %d x %d was expected",
            image ? mtmd_input_chunk_get_n_tokens(image) : size_t(0), v.grid, v.grid));
    }
    if (mtmd_encode_chunk(v.p->ctx, image) != 0) {
        throw sd_error("INTERNAL", "The vision tower failed: " + sd_log_take_error());
    }
    const float * out = mtmd_get_output_embd(v.p->ctx);
    return std::vector<float>(out, out + size_t(v.n_tokens) * v.n_embd);
}
