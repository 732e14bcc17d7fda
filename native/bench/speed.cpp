// Times the core's work on one model, without Node: what the JavaScript benchmark does through the library, and the
// reference's flow built from the same parts. `speed --help` tells the options.
//
// Every run does all phases, one after the other, so that a machine's moods fall on all of them alike; a first run warms up
// and is not counted. The answer's region is a fixed crop. The JSON on stdout:
//
//   { "model": { "name", "layers", "width", "branch", "blocks", "imageTokens", "prefixTokens", "questionTokens", "contextSize", "parallel" },
//     "machine": { "backend", "device", "threads" }, "versions": { "llama", "ggml" },
//     "options": { "runs", "maxTokens", "decodeTokens", "sessions" },
//     "peakBytes": resident memory at its highest, 0 where the system does not tell,
//     "phases": { NAME: { "ms": [per run, all of it], "vision": [ms of the vision tower within it], "cpu": [ms of all cores],
//                         "median": of ms, "medianWithoutVision": of ms - vision } } }
//
// Phases (a session is a picture that is open; "fresh" means that nothing of it is in the model):
//   vision          one view through the vision tower
//   full_prefill    [system][image][question] of a fresh session through all layers, with the last token's logits
//   roi_first       the region of a fresh session's first question
//   roi_repeat      the region of another question in that session
//   one_view        fresh session, no region: picture, prompt and --max-tokens tokens
//   answer_first    fresh session: region, crop, --max-tokens tokens
//   answer_next     the same for another question in that session
//   reference       the same as answer_first done as the reference does: layers 0..K-1 and T-1 blocks of the region network
//                   over [system][image][question], then every layer over [system][image][crop][question] from scratch
//   decode          --decode-tokens tokens after the prompt, end tokens passed over
//   in_a_row        --decode-tokens tokens for each of --sessions open pictures, one after the other
//   together        the same in one batch
//   head_first      the region network's head alone, as answers run it: what is kept of the picture, and the first question's map
//   head_next       another question's map
//   head_keys_first, head_keys_next   the same with keys, as models with norms or rotations in the head need it

#include "error.h"
#include "generate.h"

#include "ggml.h"
#include "nlohmann/json.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <random>

using json = nlohmann::json;

static const char * HELP =
    "speed --model FILE --mmproj FILE --rpn FILE [options]\n"
    "\n"
    "  --runs N            counted runs of every phase (5)\n"
    "  --phases A,B        only these\n"
    "  --threads N         default: as the library chooses\n"
    "  --context N         tokens of one call (2048)\n"
    "  --sessions N        pictures decoded at once in the phases in_a_row and together (4); 1 leaves these out\n"
    "  --max-tokens N      tokens of an answer (8)\n"
    "  --decode-tokens N   tokens of the decoding phases (64)\n"
    "  --prefix TEXT       before the image (vicuna_v1)\n"
    "  --suffix TEXT       after it; a # is replaced by the question's number\n";

struct options {
    std::string model, mmproj, rpn;
    int runs = 5, threads = 0, context = 2048, sessions = 4, max_tokens = 8, decode_tokens = 64;
    std::vector<std::string> phases;
    std::string prefix = "A chat between a curious user and an artificial intelligence assistant. "
                         "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: ";
    std::string suffix = "\nWhat is the total amount printed on line # of the invoice? ASSISTANT:";
};

static options parse(int argc, char ** argv) {
    std::map<std::string, std::string> given;
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) {
            throw sd_error("INVALID_ARGUMENT", std::string("Expected --option value but received ") + argv[i]);
        }
        given[argv[i] + 2] = argv[i + 1];
    }
    auto text = [&](const char * name, std::string & to) {
        const auto it = given.find(name);
        if (it != given.end()) {
            to = it->second;
            given.erase(it);
        }
    };
    auto number = [&](const char * name, int & to) {
        std::string s;
        text(name, s);
        char * end = nullptr;
        const long value = strtol(s.c_str(), &end, 10);
        if (!s.empty() && (*end || value < 1 || value > 1 << 20)) {
            throw sd_error("INVALID_ARGUMENT", std::string("Expected a whole number above 0 for --") + name + " but received " + s);
        }
        to = s.empty() ? to : int(value);
    };
    options o;
    std::string phases;
    text("model", o.model);
    text("mmproj", o.mmproj);
    text("rpn", o.rpn);
    text("phases", phases);
    text("prefix", o.prefix);
    text("suffix", o.suffix);
    number("runs", o.runs);
    number("threads", o.threads);
    number("context", o.context);
    number("sessions", o.sessions);
    number("max-tokens", o.max_tokens);
    number("decode-tokens", o.decode_tokens);
    for (size_t at = 0; at < phases.size();) {
        const size_t comma = std::min(phases.find(',', at), phases.size());
        o.phases.push_back(phases.substr(at, comma - at));
        at = comma + 1;
    }
    if (!given.empty()) {
        throw sd_error("INVALID_ARGUMENT", "There is no option --" + given.begin()->first);
    }
    if (o.model.empty() || o.mmproj.empty() || o.rpn.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected --model, --mmproj and --rpn");
    }
    return o;
}

struct bench {
    options o;
    std::unique_ptr<sd_model> model;
    std::unique_ptr<sd_cells> cells;
    rpn_hidden hidden; // of the reference's flow
    std::vector<llama_token> system;
    std::vector<sd_view> pictures; // one for each session, and a crop last
    int n_questions = 0;

    sd_generate_params params(int n_tokens) const {
        sd_generate_params p;
        p.max_tokens = n_tokens;
        p.ignore_eos = true;
        return p;
    }
    std::vector<llama_token> question() { // another one each time
        std::string text = o.suffix;
        const size_t mark = text.find('#');
        if (mark != std::string::npos) {
            text.replace(mark, 1, std::to_string(n_questions++ % 8 + 1));
        }
        return sd_tokenize(model->tokenizer, { { SD_SEGMENT_MARKUP, text } }, false);
    }
    std::unique_ptr<sd_session> open(int i = 0) { return sd_session_open(*cells, system, pictures[i]); }
    std::vector<sd_view> crop() const { return { pictures.back() }; }
};

static void step(sd_cells & c, std::vector<std::unique_ptr<sd_answer>> & answers) {
    for (;;) {
        std::vector<sd_answer *> active;
        for (auto & a : answers) {
            if (a->finish == SD_FINISH_NONE) {
                active.push_back(a.get());
            }
        }
        if (active.empty()) {
            return;
        }
        sd_answer_step(c, active);
    }
}

// prompt and tokens of one answer
static void answer(bench & b, sd_session & s, const std::vector<llama_token> & question, const std::vector<sd_view> & views, int n_tokens, sd_timings & t) {
    std::vector<std::unique_ptr<sd_answer>> answers;
    answers.push_back(sd_answer_start(s, question, views, b.params(n_tokens), nullptr));
    step(*b.cells, answers);
    t.vision += answers[0]->timings.vision;
}

static void answer_with_roi(bench & b, sd_session & s, sd_timings & t) {
    const auto question = b.question();
    int reused = 0;
    sd_session_roi(s, question, t, reused);
    answer(b, s, question, b.crop(), b.o.max_tokens, t);
}

// the reference's flow: nothing is kept between the two passes
static void reference(bench & b, sd_timings & t) {
    sd_model & m = *b.model;
    const auto question = b.question();
    const sd_layout prefix = sd_layout_prefix(*m.family, b.system, sd_part{ m.family->grid, false, {}, false, {}, 0 }),
                    rest = sd_layout_question(*m.family, prefix, {}, question);
    const int n = prefix.size() + rest.size();

    int64_t start = ggml_time_us();
    const std::vector<float> image = m.vision->encode(b.pictures[0]);
    t.vision += (ggml_time_us() - start) / 1000.0;
    {
        rpn_hidden_reset(m.rpn.get(), b.hidden, n);
        sd_seq_scope work(*b.cells);
        sd_decode_tapped(*b.cells, work.seq, prefix, image.data(), m.tap, b.hidden, true);
        sd_decode_tapped(*b.cells, work.seq, rest, nullptr, m.tap, b.hidden, true);
        rpn_score(m.rpn.get(), b.hidden, prefix.size() - prefix.n_rows, prefix.n_rows, n - 1);
    }
    auto s = b.open();
    s->features = image; // the picture's own encoding is used twice there too
    answer(b, *s, question, b.crop(), b.o.max_tokens, t);
}

// wall and processor time since it was made, in ms
struct measure {
    int64_t wall = ggml_time_us();
    clock_t cpu = clock();
    double ms = 0, cpu_ms = 0;
    measure & stop() {
        ms += (ggml_time_us() - wall) / 1000.0;
        cpu_ms += double(clock() - cpu) * 1000.0 / CLOCKS_PER_SEC;
        return *this;
    }
    void start() {
        wall = ggml_time_us();
        cpu = clock();
    }
};

// decoding alone: prompts are fed outside of the clock
static measure decode(bench & b, int n_sessions, bool together) {
    std::vector<std::unique_ptr<sd_session>> sessions;
    sd_timings ignored;
    for (int i = 0; i < n_sessions; i++) {
        sessions.push_back(b.open(i));
        sd_session_prefix(*sessions.back(), SD_PREFIX_FULL, ignored);
    }
    measure m;
    for (int first = 0; first < n_sessions; first += together ? n_sessions : 1) {
        std::vector<std::unique_ptr<sd_answer>> answers;
        for (int i = first; i < (together ? n_sessions : first + 1); i++) {
            answers.push_back(sd_answer_start(*sessions[i], b.question(), {}, b.params(b.o.decode_tokens + 1), nullptr));
        }
        m.start();
        step(*b.cells, answers);
        m.stop();
    }
    return m;
}

static double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v.empty() ? 0 : v.size() % 2 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
}

static double peak_bytes() {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);) {
        if (line.rfind("VmHWM:", 0) == 0) {
            return strtod(line.c_str() + 6, nullptr) * 1024;
        }
    }
    return 0;
}

static json run(bench & b) {
    struct phase {
        std::string name;
        std::function<void()> prepare;
        std::function<measure(sd_timings &)> body;
        std::vector<double> ms, vision, rest, cpu;
    };
    sd_model & m = *b.model;
    std::unique_ptr<sd_session> session; // of the phase before, where a phase goes on with it
    sd_timings ignored;
    auto fresh = [&] {
        session.reset();
        session = b.open();
        sd_session_features(*session, ignored);
    };
    std::vector<phase> phases;
    auto add = [&](const char * name, std::function<void()> prepare, std::function<measure(sd_timings &)> body) {
        const auto & only = b.o.phases;
        if (only.empty() || std::find(only.begin(), only.end(), name) != only.end()) {
            phases.push_back({ name, prepare, body, {}, {}, {}, {} });
        }
    };
    auto call = [&](const char * name, std::function<void()> prepare, std::function<void(sd_timings &)> body) {
        add(name, prepare, [body](sd_timings & t) {
            measure c;
            body(t);
            return c.stop();
        });
    };
    auto none = [] {};
    auto nothing = [&] { session = nullptr; };
    auto unread = [&] {
        session = nullptr;
        session = b.open();
    };
    auto there = [&] { // a session that has answered a question
        if (!session || !session->rpn || session->level != SD_PREFIX_FULL) {
            fresh();
            answer_with_roi(b, *session, ignored);
        }
    };
    auto roi = [&](sd_timings & t) {
        int reused;
        sd_session_roi(*session, b.question(), t, reused);
    };

    call("vision", none, [&](sd_timings &) { m.vision->encode(b.pictures[0]); });
    call("full_prefill", fresh, [&](sd_timings &) { sd_next_logits(*session, b.question(), {}); });
    call("roi_first", fresh, roi);
    call("roi_repeat", there, roi);
    call("one_view", unread, [&](sd_timings & t) {
        sd_session_features(*session, t);
        answer(b, *session, b.question(), {}, b.o.max_tokens, t);
    });
    call("answer_first", unread, [&](sd_timings & t) { answer_with_roi(b, *session, t); });
    call("answer_next", there, [&](sd_timings & t) { answer_with_roi(b, *session, t); });
    call("reference", nothing, [&](sd_timings & t) { reference(b, t); });
    const int n_img = m.family->grid.area();
    rpn_hidden states; // any will do: no value of them changes the work
    rpn_hidden_reset(m.rpn.get(), states, n_img + 1);
    std::vector<float> values(size_t(n_img + 1) * m.info.n_embd);
    std::mt19937 rng(1);
    for (float & v : values) {
        v = float(rng() / 4294967296.0 * 2 - 1);
    }
    rpn_hidden_set(states, values.data(), n_img + 1);
    rpn_state image;
    auto keep = [&](rpn_head_kind kind) { rpn_head_image(m.rpn.get(), states, 0, n_img, image, {}, kind); };
    auto map = [&](sd_timings &) { rpn_head_map(m.rpn.get(), image, states, n_img); };
    call("head_first", none, [&](sd_timings & t) {
        keep(RPN_HEAD_BEST);
        map(t);
    });
    call("head_next", [&] { keep(RPN_HEAD_BEST); }, map);
    call("head_keys_first", none, [&](sd_timings & t) {
        keep(RPN_HEAD_KEYS);
        map(t);
    });
    call("head_keys_next", [&] { keep(RPN_HEAD_KEYS); }, map);
    add("decode", none, [&](sd_timings &) { return decode(b, 1, false); });
    if (b.o.sessions > 1) {
        add("in_a_row", none, [&](sd_timings &) { return decode(b, b.o.sessions, false); });
        add("together", none, [&](sd_timings &) { return decode(b, b.o.sessions, true); });
    }

    for (int r = -1; r < b.o.runs; r++) {
        for (phase & p : phases) {
            sd_timings t;
            p.prepare();
            const measure c = p.body(t);
            if (r >= 0) {
                p.ms.push_back(c.ms);
                p.vision.push_back(t.vision);
                p.rest.push_back(c.ms - t.vision);
                p.cpu.push_back(c.cpu_ms);
            }
        }
    }
    json out = json::object();
    for (const phase & p : phases) {
        out[p.name] = { { "ms", p.ms }, { "vision", p.vision }, { "cpu", p.cpu }, { "median", median(p.ms) }, { "medianWithoutVision", median(p.rest) } };
    }
    return out;
}

int main(int argc, char ** argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, stdout);
        return 0;
    }
    try {
        bench b;
        b.o = parse(argc, argv);
        sd_model_params p;
        p.model = b.o.model;
        p.mmproj = b.o.mmproj;
        p.rpn = b.o.rpn;
        p.n_threads = b.o.threads;
        p.context_size = b.o.context;
        p.parallel = b.o.sessions;
        const sd_cancel cancel{ false };
        b.model = sd_model_load(p, cancel);
        b.cells = sd_cells_init(*b.model);
        sd_model & m = *b.model;
        b.system = sd_tokenize(m.tokenizer, { { SD_SEGMENT_MARKUP, b.o.prefix } }, m.info.add_bos);
        for (int i = 0; i <= b.o.sessions; i++) {
            std::mt19937 rng(i + 1);
            sd_view view;
            view.width = m.family->pixels.width;
            view.height = m.family->pixels.height;
            view.rgb.resize(size_t(view.width) * view.height * 3);
            for (uint8_t & v : view.rgb) {
                v = uint8_t(rng());
            }
            b.pictures.push_back(std::move(view));
        }
        const rpn_hparams & r = rpn_get_hparams(m.rpn.get());
        json out;
        out["phases"] = run(b);
        out["model"] = { { "name", m.info.name }, { "layers", m.info.n_layer }, { "width", m.info.n_embd }, { "branch", r.branch }, { "blocks", r.n_block },
            { "imageTokens", m.family->grid.area() }, { "prefixTokens", b.system.size() + m.family->grid.area() }, { "questionTokens", b.question().size() },
            { "contextSize", m.info.context_size }, { "parallel", m.info.parallel } };
        out["machine"] = { { "backend", m.info.backend }, { "device", m.info.device }, { "threads", m.info.n_threads } };
        out["versions"] = { { "llama", m.info.llama_version }, { "ggml", m.info.ggml_version } };
        out["options"] = { { "runs", b.o.runs }, { "maxTokens", b.o.max_tokens }, { "decodeTokens", b.o.decode_tokens }, { "sessions", b.o.sessions } };
        out["peakBytes"] = peak_bytes();
        printf("%s\n", out.dump(1).c_str());
        return 0;
    } catch (const sd_error & e) {
        fprintf(stderr, "speed: %s: %s\n", e.code.c_str(), e.what());
    } catch (const std::exception & e) {
        fprintf(stderr, "speed: %s\n", e.what());
    }
    return 1;
}
