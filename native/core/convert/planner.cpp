#include "planner.h"

const char * const CONVERT_PRUNED =
    "is it complete? A pruned checkpoint takes what it lacks from its base model (--base DIR); --only rpn converts the network alone";

static std::string shape_text(const std::vector<int64_t> & shape) {
    std::string s = "[";
    for (size_t i = 0; i < shape.size(); i++) {
        s += (i ? ", " : "") + std::to_string(shape[i]);
    }
    return s + "]";
}

// a plain name as most checkpoints have it
static std::string published(const std::string & name) {
    for (const char * part : { "layers.", "twig_layers.", "twig_norm.", "high_res_", "embed_tokens.", "norm.", "mm_projector." }) {
        if (name.rfind(part, 0) == 0) {
            return "model." + name;
        }
    }
    return name;
}

const safetensor * planner::find(const std::string & name, const std::vector<int64_t> & shape) {
    const auto it = tensors.find(name);
    if (it == tensors.end()) {
        if (++n_missing <= 4) {
            missing += (missing.empty() ? "" : ", ") + published(name);
        }
        return nullptr;
    }
    const safetensor & t = it->second;
    if (t.shape != shape) {
        throw checkpoint_invalid(path, "has " + t.name + " with shape " + shape_text(t.shape) + ": expected " + shape_text(shape) + " after config.json");
    }
    if (t.dtype != "F32" && t.dtype != "F16" && t.dtype != "BF16") {
        throw checkpoint_invalid(path, "has " + t.name + " in type " + t.dtype + ": expected F32, F16 or BF16");
    }
    return &t;
}

void planner::push(gguf_out_tensor to, convert_source source) {
    out.tensors.push_back(std::move(to));
    out.sources.push_back(source);
}

void planner::matrix(const std::string & to, const std::string & from, int64_t rows, int64_t cols, int n_head) {
    push({ to, cols, rows, GGML_TYPE_F32 }, { find(from, { rows, cols }), 0, n_head, -1 });
}

void planner::vector(const std::string & to, const std::string & from, int64_t n) {
    push({ to, n, 0, GGML_TYPE_F32 }, { find(from, { n }), 0, 0, -1 });
}

void planner::linear(const std::string & to, const std::string & from, int64_t rows, int64_t cols) {
    matrix(to + ".weight", from + ".weight", rows, cols);
    vector(to + ".bias", from + ".bias", rows);
}

void planner::norm(const std::string & to, const std::string & from, int64_t n, bool bias) {
    vector(to + ".weight", from + ".weight", n);
    if (bias) {
        vector(to + ".bias", from + ".bias", n);
    }
}

convert_file planner::end(const char * what) {
    if (n_missing) {
        throw checkpoint_invalid(path, "lacks " + missing + (n_missing > 4 ? sd_format(" and %d more", n_missing - 4) : "") + ": " + hint);
    }
    out.what = what;
    return std::move(out);
}
