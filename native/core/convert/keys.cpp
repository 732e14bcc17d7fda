// Keys and types of a language model and a vision tower, as llama.cpp reads them.

#include "write.h"

#include "gguf.h"
#include "llama-ext.h"
#include "llama.h"

#include <algorithm>
#include <memory>

void convert_keys_model(gguf_context * g, const convert_config & c, const convert_vision & v) {
    const rpn_hparams & hp = c.net;
    const std::string a = hp.base_architecture + ".";
    const auto u32 = [&](const char * key, int v) { gguf_set_val_u32(g, (a + key).c_str(), uint32_t(v)); };
    gguf_set_val_str(g, "general.architecture", hp.base_architecture.c_str());
    gguf_set_val_str(g, "general.name", c.name.c_str());
    u32("context_length", c.n_ctx_train);
    u32("embedding_length", hp.n_embd);
    u32("block_count", hp.base_n_layer);
    u32("feed_forward_length", hp.n_ff);
    u32("attention.head_count", hp.n_head);
    u32("attention.head_count_kv", hp.n_head_kv);
    gguf_set_val_f32(g, (a + "rope.freq_base").c_str(), hp.rope_base);
    gguf_set_val_f32(g, (a + "attention.layer_norm_rms_epsilon").c_str(), hp.eps);
    if (c.family == CONVERT_LLAVA) {
        u32("rope.dimension_count", hp.rope_dim);
        u32("vocab_size", hp.base_n_vocab);
        return;
    }
    const int32_t sections[] = { hp.rope_sections[0], hp.rope_sections[1], hp.rope_sections[2], 0 };
    gguf_set_arr_data(g, (a + "rope.dimension_sections").c_str(), GGUF_TYPE_INT32, sections, 4);
    if (c.family == CONVERT_QWEN3) {
        u32("attention.key_length", hp.d_head);
        u32("attention.value_length", hp.d_head);
        u32("n_deepstack_layers", int(v.deepstack.size()));
    }
}

void convert_keys_mmproj(gguf_context * g, const convert_config & c, const convert_vision & v) {
    const auto u32 = [&](const char * key, int value) { gguf_set_val_u32(g, (std::string("clip.vision.") + key).c_str(), uint32_t(value)); };
    gguf_set_val_str(g, "general.architecture", "clip");
    gguf_set_val_str(g, "general.type", "mmproj");
    gguf_set_val_bool(g, "clip.has_vision_encoder", true);
    switch (c.family) {
        case CONVERT_LLAVA: {
            gguf_set_val_str(g, "clip.projector_type", "mlp");
            gguf_set_val_bool(g, "clip.use_gelu", false); // CLIP's own approximation
            const int32_t layer = v.feature_layer;
            gguf_set_arr_data(g, "clip.vision.feature_layer", GGUF_TYPE_INT32, &layer, 1);
        } break;
        case CONVERT_QWEN25:
            gguf_set_val_str(g, "clip.projector_type", "qwen2.5vl_merger");
            gguf_set_val_bool(g, "clip.use_silu", true);
            u32("n_wa_pattern", v.full_attention);
            break;
        case CONVERT_QWEN3: {
            gguf_set_val_str(g, "clip.projector_type", "qwen3vl_merger");
            gguf_set_val_bool(g, "clip.use_gelu", true);
            const std::unique_ptr<bool[]> deep(new bool[size_t(v.n_layer)]());
            for (int layer : v.deepstack) {
                deep[size_t(layer)] = true;
            }
            gguf_set_arr_data(g, "clip.vision.is_deepstack_layers", GGUF_TYPE_BOOL, deep.get(), size_t(v.n_layer));
        } break;
    }
    u32("image_size", v.image_size);
    u32("patch_size", v.patch);
    u32("embedding_length", v.n_embd);
    u32("feed_forward_length", v.n_ff);
    u32("projection_dim", v.n_out);
    u32("block_count", v.n_layer);
    u32("attention.head_count", v.n_head);
    gguf_set_val_f32(g, "clip.vision.attention.layer_norm_epsilon", v.eps);
    if (c.family != CONVERT_LLAVA) {
        u32("spatial_merge_size", v.merge);
    }
    gguf_set_arr_data(g, "clip.vision.image_mean", GGUF_TYPE_FLOAT32, v.mean.data(), 3);
    gguf_set_arr_data(g, "clip.vision.image_std", GGUF_TYPE_FLOAT32, v.dev.data(), 3);
}

static llama_ftype file_type(const std::string & type) {
    return type == "f32" ? LLAMA_FTYPE_ALL_F32
        : type == "f16"  ? LLAMA_FTYPE_MOSTLY_F16
        : type == "bf16" ? LLAMA_FTYPE_MOSTLY_BF16
        : type == "q8_0" ? LLAMA_FTYPE_MOSTLY_Q8_0
                         : LLAMA_FTYPE_MOSTLY_Q4_K_M;
}

static void set_file_type(gguf_context * g, const std::string & type) {
    const llama_ftype ftype = file_type(type);
    if (ftype == LLAMA_FTYPE_ALL_F32) {
        return; // what readers take a file without the key for
    }
    gguf_set_val_u32(g, "general.file_type", uint32_t(ftype));
    if (ggml_is_quantized(llama_ftype_get_default_type(ftype))) {
        gguf_set_val_u32(g, "general.quantization_version", GGML_QNT_VERSION);
    }
}

void convert_types_model(convert_file & file, const convert_config & c, const std::string & type, gguf_context * header) {
    set_file_type(header, type);
    const rpn_hparams & hp = c.net;
    const llama_quant_model_desc desc = { hp.base_architecture.c_str(), uint32_t(hp.n_embd), uint32_t(hp.n_ff), uint32_t(hp.base_n_layer), uint32_t(hp.n_head),
        uint32_t(hp.n_head_kv), 0, uint32_t(hp.d_head), uint32_t(hp.d_head) };
    const std::unique_ptr<llama_model, void (*)(llama_model *)> model(llama_quant_model_from_metadata(&desc), llama_model_free);
    const llama_model_quantize_params params = llama_model_quantize_default_params();
    const std::unique_ptr<quantize_state_impl, void (*)(quantize_state_impl *)> state(llama_quant_init(model.get(), &params), llama_quant_free);

    const std::unique_ptr<ggml_context, void (*)(ggml_context *)> ctx(
        ggml_init({ (file.tensors.size() + 1) * ggml_tensor_overhead(), nullptr, true }), ggml_free);
    std::vector<ggml_tensor *> tensors;
    std::vector<gguf_out_tensor *> out;
    for (gguf_out_tensor & t : file.tensors) {
        ggml_tensor * x = t.ne1 ? ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, t.ne0, t.ne1) : ggml_new_tensor_1d(ctx.get(), GGML_TYPE_F32, t.ne0);
        ggml_set_name(x, t.name.c_str());
        if (llama_quant_tensor_allows_quantization(state.get(), x)) {
            tensors.push_back(x);
            out.push_back(&t);
        }
    }
    std::vector<ggml_type> types(tensors.size());
    llama_quant_compute_types(state.get(), file_type(type), tensors.data(), types.data(), tensors.size());
    for (size_t i = 0; i < out.size(); i++) {
        out[i]->type = types[i];
    }
}

void convert_types_mmproj(convert_file & file, const std::string & type, gguf_context * header) {
    if (type == "f32") {
        return;
    }
    set_file_type(header, "f16");
    for (gguf_out_tensor & t : file.tensors) {
        t.type = t.ne1 && t.name != "v.position_embd.weight" ? GGML_TYPE_F16 : GGML_TYPE_F32;
    }
}

std::vector<std::string> convert_fallbacks(const convert_file & file, ggml_type type) {
    const auto lower = [](ggml_type t) {
        std::string s = ggml_type_name(t);
        std::transform(s.begin(), s.end(), s.begin(), [](unsigned char ch) { return char(std::tolower(ch)); });
        return s;
    };
    std::vector<std::string> out;
    for (const gguf_out_tensor & t : file.tensors) {
        if (t.ne1 && t.ne0 % ggml_blck_size(type) != 0) {
            out.push_back(t.name + ": " + lower(type) + " -> " + lower(t.type));
        }
    }
    return out;
}
