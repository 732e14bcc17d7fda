// No failed allocation spoils the calls after it (alloc-check.h), with Qwen-VL: views of two sizes, the gate, tokens taken out of the
// prompt, second looks that share positions with what they show.

#include "alloc-check.h"
#include "convert-cases.h"
#include "demo-model.h"
#include "generate.h"
#include "test.h"

#include <map>
#include <memory>

static std::map<std::string, std::shared_ptr<demo>> & kept_models() {
    static std::map<std::string, std::shared_ptr<demo>> models;
    return models;
}

// the golden checkpoint of that name, converted once
static std::string files_of(const std::string & name) {
    static std::map<std::string, std::string> converted;
    std::string & dir = converted[name];
    if (dir.empty()) {
        sd_convert_params p;
        p.checkpoint = test_fixture("golden/qwen/" + name);
        p.out = dir = test_empty_dir("alloc-" + name);
        p.whole = true;
        p.type = "f32";
        convert(p);
    }
    return dir;
}

static std::shared_ptr<demo> model(const std::string & name) {
    std::shared_ptr<demo> & kept = kept_models()[name];
    if (!kept) {
        const sd_cancel cancel{ false };
        const std::string dir = files_of(name);
        sd_model_params p;
        p.model = dir + "/model.gguf";
        p.mmproj = dir + "/mmproj.gguf";
        p.rpn = dir + "/rpn.gguf";
        p.n_threads = 1;
        p.context_size = 512;
        kept = std::make_shared<demo>();
        kept->model = sd_model_load(p, cancel);
        kept->cells = sd_cells_init(*kept->model);
    }
    return kept;
}

static sd_view picture(const sd_model & m, int columns, int rows) {
    sd_view v;
    v.width = columns * m.vision->cell;
    v.height = rows * m.vision->cell;
    v.rgb.resize(size_t(v.width) * v.height * 3);
    for (size_t i = 0; i < v.rgb.size(); i++) {
        v.rgb[i] = uint8_t(i * 2654435761u >> 24);
    }
    return v;
}

// a model with two pictures of different sizes
struct opened {
    std::shared_ptr<demo> loaded;
    sd_model & m;
    std::unique_ptr<sd_session> first, other;
    std::vector<llama_token> code, shape;

    explicit opened(const std::string & name) : loaded(::model(name)), m(*loaded->model) {
        const std::vector<llama_token> system = tokens("<|im_start|>user\n");
        first = sd_session_open(*loaded->cells, system, picture(m, 7, 5));
        other = sd_session_open(*loaded->cells, system, picture(m, 3, 6));
        code = tokens("What the?<|im_end|>\n<|im_start|>assistant\n");
        shape = tokens("the<|im_end|>\n<|im_start|>assistant\n");
    }

    std::vector<llama_token> tokens(const std::string & markup) const { return sd_tokenize(m.tokenizer, { { SD_SEGMENT_MARKUP, markup } }, false); }

    alloc_result region(sd_session & s, const std::vector<llama_token> & question, bool gate, bool every_token) {
        sd_timings t;
        sd_region_params p;
        p.gate = gate;
        p.gate_least = 0;
        p.every_token = every_token;
        const sd_region r = sd_session_region(s, question, p, t);
        alloc_result out = r.logits;
        out.insert(out.end(), r.most.begin(), r.most.end());
        out.insert(out.end(), r.sink.begin(), r.sink.end());
        out.push_back(r.gate);
        return out;
    }

    alloc_result answer(sd_session & s, const std::vector<llama_token> & question, const std::vector<sd_view> & views) {
        sd_generate_params p;
        p.max_tokens = 4;
        p.ignore_eos = true;
        p.logprobs = true;
        auto a = sd_answer_start(s, question, views, p, nullptr);
        while (a->finish == SD_FINISH_NONE) {
            sd_answer_step(s.cells, { a.get() });
        }
        alloc_result out;
        for (const sd_token_logprobs & t : a->logprobs) {
            out.push_back(t.chosen.logprob);
        }
        return out;
    }

    // a look at the cells 1..3 x 1..2, as a network with positions of its own or aligned ones would have it
    sd_view look(bool aligned) const {
        sd_view v = picture(m, 4, 4);
        v.aligned = aligned;
        v.box = { 1, 1, 4, 3 };
        v.masked = !aligned;
        for (int cell = 0; v.masked && cell < 16; cell += 2) {
            v.keep.push_back(cell);
        }
        return v;
    }
};

static alloc_subject regions(const std::string & name, bool gate, bool every_token) {
    auto o = std::make_shared<opened>(name);
    return { [=] { return o->region(*o->other, o->shape, false, false); }, [=] { return o->region(*o->first, o->code, gate, every_token); } };
}

// the region first, then the answer that goes on from it, with a second look
static alloc_subject answers(const std::string & name, bool aligned) {
    auto o = std::make_shared<opened>(name);
    return {
        [=] { return o->answer(*o->other, o->shape, {}); },
        [=] {
        o->region(*o->first, o->code, false, false);
        return o->answer(*o->first, o->code, { o->look(aligned) });
    },
    };
}

// above 1,024 tokens SD-RPN answers with a part of the picture's cells
static alloc_subject pruned(const std::string & name) {
    auto o = std::make_shared<opened>(name);
    auto ask = [=](sd_session & s, const std::vector<llama_token> & question) {
        sd_timings t;
        auto part = sd_session_pruned(s, { 0, 2, 3, 7, 11, 12 }, t);
        return o->answer(*part, question, { o->look(false) });
    };
    return { [=] { return ask(*o->other, o->shape); }, [=] { return ask(*o->first, o->code); } };
}

static void check(const char * name, size_t limit, std::function<alloc_subject()> make) {
    alloc_check({ name, limit, 1e-3, std::move(make), [] { kept_models().clear(); } });
}

int main() {
    return test_main("alloc-qwen", [] {
        check("SD-RPN, region", 60, [] { return regions("sdrpn-qwen2.5", false, true); });
        check("SD-RPN, answer", 60, [] { return answers("sdrpn-qwen2.5", false); });
        check("SD-RPN, pruned", 60, [] { return pruned("sdrpn-qwen2.5"); });
        check("Q-Zoom, region", 60, [] { return regions("qzoom-qwen2.5", true, false); });
        check("Q-Zoom, answer", 60, [] { return answers("qzoom-qwen2.5", true); });
        check("Qwen3-VL, region", 60, [] { return regions("qzoom-qwen3", true, false); });
        check("Qwen3-VL, answer", 60, [] { return answers("qzoom-qwen3", true); });
    });
}
