// Models on several threads at once, each used by its own: what the host's worker threads do. Run under ThreadSanitizer too
// (docs/reliability.md).

#include "demo-model.h"
#include "generate.h"
#include "log.h"
#include "test.h"

#include <atomic>
#include <thread>

static const char * QUESTION = "Which word is written on the red sign?";

static sd_view picture() {
    int w = 0, h = 0;
    return demo_view(test_load_rgb(test_fixture("pico/parity/1-whole.png"), w, h));
}

struct outcome {
    std::string text;
    std::vector<float> map;
};

// load, look, answer, free, all on the calling thread
static outcome work(int n_threads, const sd_view & view) {
    outcome o;
    auto d = demo_load(true, 0, 1, n_threads);
    sd_model * m = d.model.get();
    auto s = sd_session_open(*d.cells, demo_system(*m), view);
    sd_timings t;
    int reused = 0;
    o.map = sd_session_roi(*s, demo_question(*m, QUESTION), t, reused);
    sd_generate_params p;
    p.max_tokens = 8;
    auto a = sd_answer_start(*s, demo_question(*m, QUESTION), {}, p, nullptr);
    while (a->finish == SD_FINISH_NONE) {
        sd_answer_step(*d.cells, { a.get() });
    }
    o.text = a->text.text;
    return o;
}

static void check_own_models() {
    const sd_view view = picture();
    const outcome alone = work(1, view);
    std::vector<outcome> results(3);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
        threads.emplace_back([&, i] { results[i] = work(i == 2 ? 2 : 1, view); });
    }
    for (std::thread & t : threads) {
        t.join();
    }
    for (const outcome & o : results) {
        CHECK(o.text == alone.text);
        CHECK_LE(rel_l2(o.map, alone.map), 1e-3);
    }
}

// a flag that another thread raises while ggml's own threads compute
static void check_cancel_from_outside() {
    const sd_view view = picture();
    auto d = demo_load(true, 0, 1, 2);
    sd_model * m = d.model.get();
    for (int i = 0; i < 6; i++) {
        auto s = sd_session_open(*d.cells, demo_system(*m), view);
        sd_cancel cancel{ false };
        m->cancel = &cancel;
        std::thread other([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(2 + 4 * i));
            cancel = true;
        });
        try {
            for (;;) { // until it is cancelled
                sd_timings t;
                int reused = 0;
                sd_session_roi(*s, demo_question(*m, QUESTION), t, reused);
                sd_check_cancel(*m);
            }
        } catch (const sd_error & e) {
            CHECK(e.code == "ABORTED");
        }
        other.join();
        m->cancel = nullptr;
    }
    CHECK(d.cells->free_seqs.size() == 64);
}

int main() {
    return test_main("threads", [] {
        check_own_models();
        check_cancel_from_outside();
    });
}
