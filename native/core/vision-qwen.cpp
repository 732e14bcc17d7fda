// What mtmd takes for granted of the files of Qwen2.5-VL's and Qwen3-VL's towers: patches of two frames, rotary positions, cells of
// 2 x 2 patches. Qwen2.5-VL's attends within windows in most blocks; Qwen3-VL's has learned positions, and deepstack: features
// of some blocks that the language model adds to its states after its first layers.

#include "error.h"
#include "vision-header.h"

#include "ggml.h"

// mtmd's graphs have this number in many places
static constexpr int MERGE = 2;

namespace {

struct checker {
    const gguf_file & f;
    const sd_tower_shape & shape;

    sd_error bad(const std::string & why) const { return sd_error("MMPROJ_INVALID", "mmproj file " + f.path + " " + why); }

    void linear(const std::string & name, int64_t n_in, int64_t n_out) const {
        f.matrix(name + ".weight", n_in, n_out);
        f.vector(name + ".bias", n_out);
    }

    void layer_norm(const std::string & name, int64_t n) const {
        f.vector(name + ".weight", n);
        f.vector(name + ".bias", n);
    }

    void absent(const std::string & name) const {
        if (f.tensor(name)) {
            throw bad("has the tensor " + name + ", which towers of its kind do not have");
        }
    }

    void patches(const std::string & name) const {
        const ggml_tensor * t = f.tensor(name);
        if (!t || t->ne[0] != shape.patch_size || t->ne[1] != shape.patch_size || t->ne[2] != 3 || t->ne[3] != shape.width
            || (t->type != GGML_TYPE_F32 && t->type != GGML_TYPE_F16)) {
            throw bad(sd_format("has no f16 or f32 tensor %s of shape [%d, %d, 3, %d]", name.c_str(), shape.patch_size, shape.patch_size, shape.width));
        }
    }

    // the width of a linear layer's output, 0 where it is missing
    int64_t width_of(const std::string & name) const {
        const ggml_tensor * t = f.tensor(name + ".weight");
        return t ? t->ne[1] : 0;
    }

    void common() const {
        patches("v.patch_embd.weight");
        patches("v.patch_embd.weight.1");
        absent("v.class_embd");
        absent("v.pre_ln.weight");
        if (f.u32_or("clip.vision.spatial_merge_size", MERGE) != uint32_t(MERGE)) {
            throw bad(sd_format("merges %u x %u patches into a cell instead of %d x %d", f.u32("clip.vision.spatial_merge_size"),
                f.u32("clip.vision.spatial_merge_size"), MERGE, MERGE));
        }
        if ((shape.width / shape.n_head) % 4 != 0) {
            throw bad(sd_format("has heads of width %d, which cannot be rotated by rows and columns", shape.width / shape.n_head));
        }
    }

    void block25(int il) const {
        const std::string b = "v.blk." + std::to_string(il) + ".";
        f.vector(b + "ln1.weight", shape.width);
        f.vector(b + "ln2.weight", shape.width);
        for (const char * name : { "attn_q", "attn_k", "attn_v", "attn_out" }) {
            linear(b + name, shape.width, shape.width);
        }
        const int64_t n_ff = width_of(b + "ffn_up");
        linear(b + "ffn_up", shape.width, n_ff);
        linear(b + "ffn_gate", shape.width, n_ff);
        linear(b + "ffn_down", n_ff, shape.width);
    }

    void block3(int il) const {
        const std::string b = "v.blk." + std::to_string(il) + ".";
        layer_norm(b + "ln1", shape.width);
        layer_norm(b + "ln2", shape.width);
        linear(b + "attn_qkv", shape.width, 3 * int64_t(shape.width));
        linear(b + "attn_out", shape.width, shape.width);
        const int64_t n_ff = width_of(b + "ffn_up");
        linear(b + "ffn_up", shape.width, n_ff);
        linear(b + "ffn_down", n_ff, shape.width);
        absent(b + "ffn_gate.weight");
    }

    // the merger behind block `il`, if it has one
    bool deepstack(int il, int64_t n_out) const {
        const std::string d = "v.deepstack." + std::to_string(il) + ".";
        if (!f.tensor(d + "fc1.weight")) {
            return false;
        }
        const int64_t n_in = int64_t(MERGE * MERGE) * shape.width, n_hidden = width_of(d + "fc1");
        layer_norm(d + "norm", n_in);
        linear(d + "fc1", n_in, n_hidden);
        linear(d + "fc2", n_hidden, n_out);
        return true;
    }
};

} // namespace

int64_t sd_vision_check_qwen(const gguf_file & f, const sd_tower_shape & shape, sd_vision_info & info) {
    const checker c{ f, shape };
    f.expect("clip.vision.spatial_merge_size", GGUF_TYPE_UINT32);
    f.expect("clip.vision.n_wa_pattern", GGUF_TYPE_UINT32);
    f.expect_array("clip.vision.wa_layer_indexes", GGUF_TYPE_INT32);
    f.expect_array("clip.vision.is_deepstack_layers", GGUF_TYPE_BOOL);
    c.common();
    info.cell = MERGE * shape.patch_size;

    const int64_t n_hidden = c.width_of("mm.0"), n_out = c.width_of("mm.2");
    c.linear("mm.0", int64_t(MERGE * MERGE) * shape.width, n_hidden);
    c.linear("mm.2", n_hidden, n_out);

    if (info.kind == SD_VISION_QWEN25) {
        if (f.u32("clip.vision.n_wa_pattern") == 0) {
            throw c.bad("attends to whole pictures in every block (n_wa_pattern 0), which is no Qwen2.5-VL tower");
        }
        f.vector("v.post_ln.weight", shape.width);
        c.absent("v.patch_embd.bias");
        c.absent("v.position_embd.weight");
        for (int il = 0; il < shape.n_layer; il++) {
            c.block25(il);
        }
        return n_out;
    }
    const int side = shape.image_size / shape.patch_size;
    f.vector("v.patch_embd.bias", shape.width);
    f.matrix("v.position_embd.weight", shape.width, int64_t(side) * side);
    c.layer_norm("v.post_ln", shape.width);
    for (int il = 0; il < shape.n_layer; il++) {
        c.block3(il);
        info.n_deepstack += c.deepstack(il, n_out);
    }
    return n_out;
}
