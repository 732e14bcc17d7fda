#include "demo-model.h"

#include "test.h"

#include <cmath>

std::unique_ptr<sd_model> demo_model(bool with_rpn, int context_size, int parallel, int n_threads) {
    const sd_cancel cancel{ false };
    sd_model_params p;
    p.model = test_demo("pico-llava-f16.gguf");
    p.mmproj = test_demo("pico-mmproj-f16.gguf");
    p.rpn = with_rpn ? test_demo("pico-rpn-f16.gguf") : "";
    p.n_threads = n_threads;
    p.gpu_layers = test_device() ? -1 : 0;
    p.context_size = context_size;
    p.parallel = parallel;
    return sd_model_load(p, cancel);
}

demo demo_load(bool with_rpn, int context_size, int parallel, int n_threads) {
    demo d;
    d.model = demo_model(with_rpn, context_size, parallel, n_threads);
    d.cells = sd_cells_init(*d.model);
    return d;
}

sd_view demo_view(std::vector<uint8_t> rgb) {
    sd_view v;
    v.width = v.height = int(std::lround(std::sqrt(double(rgb.size()) / 3)));
    v.rgb = std::move(rgb);
    return v;
}

std::vector<llama_token> demo_system(const sd_model & m) {
    return sd_tokenize(m.tokenizer, { { SD_SEGMENT_MARKUP, "USER: " } }, true);
}

std::vector<llama_token> demo_question(const sd_model & m, const std::string & question) {
    return sd_tokenize(m.tokenizer, { { SD_SEGMENT_MARKUP, "\n" }, { SD_SEGMENT_TEXT, question }, { SD_SEGMENT_MARKUP, " ASSISTANT:" } }, false);
}
