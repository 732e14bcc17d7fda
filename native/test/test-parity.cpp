// The language and vision side against PyTorch: projector features of both views of a picture, and next-token logits after
// [USER: ][view 1][question] and [USER: ][view 1][view 2][question]. Fails without native/patches/0001 and 0002.

#include "convert/safetensors.h"
#include "demo-model.h"
#include "generate.h"
#include "test.h"

#include "nlohmann/json.hpp"

#include <fstream>

int main() {
    return test_main("parity", [] {
        auto d = demo_load();
        sd_model * model = d.model.get();

        auto tensors = safetensors_open(test_fixture("pico/parity/parity.safetensors"));
        std::ifstream in(test_fixture("pico/parity/cases.json"));
        const auto cases = nlohmann::json::parse(in);
        CHECK(cases.size() == 6);

        for (size_t i = 0; i < cases.size(); i++) {
            const auto & c = cases[i];
            auto expected = [&](const char * name) { return safetensor_read_f32(tensors.at(std::to_string(i) + "." + name)); };
            int w = 0, h = 0;
            const sd_view whole = demo_view(test_load_rgb(test_fixture("pico/parity/" + c["images"][0].get<std::string>()), w, h));
            const sd_view crop = demo_view(test_load_rgb(test_fixture("pico/parity/" + c["images"][1].get<std::string>()), w, h));

            std::vector<float> features = model->vision->encode(whole);
            const std::vector<float> second = model->vision->encode(crop);
            features.insert(features.end(), second.begin(), second.end());
            CHECK_LE(rel_l2(features, expected("features")), 2e-3);

            // the tokens are the reference's, and ours are the same
            const auto prefix = c["prefixTokens"].get<std::vector<llama_token>>();
            const auto question = c["questionTokens"].get<std::vector<llama_token>>();
            CHECK(demo_system(*model) == prefix);
            CHECK(demo_question(*model, c["question"]) == question);

            auto session = sd_session_open(*d.cells, prefix, whole);
            CHECK_LE(rel_l2(sd_next_logits(*session, question, {}), expected("logits_one")), 1e-2);
            CHECK_LE(rel_l2(sd_next_logits(*session, question, { crop }), expected("logits_two")), 1e-2);
        }
    });
}
