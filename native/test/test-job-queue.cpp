// The thread behind the addon's promises: whatever a job's functions throw ends that job with a code, and the thread goes on.

#include "job_queue.h"

#include "test.h"

#include <cerrno>
#include <chrono>
#include <future>
#include <new>

#ifdef __linux__
#include <dlfcn.h>
#include <pthread.h>

// the system's own, unless threads are said to have run out
static std::atomic<bool> no_threads{ false };
extern "C" int pthread_create(pthread_t * thread, const pthread_attr_t * attr, void * (*start)(void *), void * arg) {
    static const auto real = reinterpret_cast<int (*)(pthread_t *, const pthread_attr_t *, void * (*) (void *), void *)>(dlsym(RTLD_NEXT, "pthread_create"));
    return no_threads ? EAGAIN : real(thread, attr, start, arg);
}
#endif

struct test_job : queue_job {
    std::promise<void> end;
    std::atomic<int> steps{ 0 };
    test_job() {
        on_end = [this] { end.set_value(); };
    }
    // "": success; an end that never comes is a failed check, not a test that hangs
    std::string outcome() {
        if (end.get_future().wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
            return "never ended";
        }
        return error_code;
    }
};

using job_ptr = std::shared_ptr<test_job>;

static job_ptr make(std::function<void(queue_job &)> run = [](queue_job &) {}) {
    auto j = std::make_shared<test_job>();
    j->run = std::move(run);
    return j;
}

// goes on until `steps` have been made
static job_ptr make_active(int steps) {
    auto j = make();
    j->active = [j = j.get(), steps](queue_job &) { return !j->cancel && j->steps < steps; };
    j->on_cancel = [](queue_job &) {};
    return j;
}

static void count_steps(job_queue & q) {
    q.on_step = [](const std::vector<queue_job *> & jobs) {
        for (queue_job * j : jobs) {
            static_cast<test_job *>(j)->steps++;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
}

static std::string outcome(job_queue & q, const job_ptr & j) {
    q.submit(j);
    return j->outcome();
}

static std::vector<std::pair<std::function<void()>, std::string>> throwers() {
    return {
        { [] { throw sd_error("DATA_INVALID", "mine"); }, "DATA_INVALID" },
        { [] { throw std::bad_alloc(); }, "OUT_OF_MEMORY" },
        { [] { throw std::runtime_error("mine"); }, "INTERNAL" },
        { [] { throw 7; }, "INTERNAL" },
    };
}

static void every_function_may_throw() {
    for (const auto & [raise, code] : throwers()) {
        job_queue q;
        q.max_active = 3;
        std::atomic<bool> fail_step{ false };
        count_steps(q);
        q.on_step = [&, count = q.on_step](const std::vector<queue_job *> & jobs) {
            count(jobs);
            if (fail_step) {
                raise();
            }
        };

        CHECK(outcome(q, make([&](queue_job &) { raise(); })) == code);

        // of the jobs that advance together, the one that throws
        job_ptr other = make_active(50), bad = make_active(50);
        q.submit(other);
        bad->active = [&, n = 0](queue_job &) mutable {
            if (n++ == 2) raise();
            return true;
        };
        CHECK(outcome(q, bad) == code);
        bad = make_active(50);
        bad->active = [&](queue_job &) -> bool {
            raise();
            return true;
        }; // at once
        CHECK(outcome(q, bad) == code);
        bad = make_active(1 << 30);
        bad->active = [](queue_job &) { return true; };
        bad->on_cancel = [&](queue_job &) { raise(); };
        q.submit(bad);
        while (bad->steps < 1) {
            std::this_thread::yield();
        }
        q.withdraw(bad);
        CHECK(bad->outcome() == code);
        CHECK(other->outcome() == "");
        CHECK(other->steps == 50);

        // a step that fails ends those that were in it
        const job_ptr a = make_active(1 << 30), b = make_active(1 << 30);
        q.submit(a);
        q.submit(b);
        while (b->steps < 3) {
            std::this_thread::yield();
        }
        fail_step = true;
        CHECK(a->outcome() == code);
        CHECK(b->outcome() == code);
        fail_step = false;
        CHECK(outcome(q, make()) == "");
    }
}

static void starting_may_fail() {
    for (const auto & [raise, code] : throwers()) {
        job_queue q;
        int tries = 0;
        q.on_start = [&] {
            if (++tries <= 2) raise();
        };
        bool ran = false;
        CHECK(outcome(q, make([&](queue_job &) { ran = true; })) == code);
        CHECK(outcome(q, make([&](queue_job &) { ran = true; })) == code);
        CHECK(!ran);
        CHECK(outcome(q, make()) == "");
        CHECK(outcome(q, make()) == "");
        CHECK(tries == 3);
    }
}

static void stopping_may_fail() {
    for (const auto & [raise, code] : throwers()) {
        std::promise<std::string> closed;
        job_queue q;
        q.on_stop = raise;
        q.on_closed = [&](const std::string & error) { closed.set_value(error); };
        CHECK(outcome(q, make()) == "");
        CHECK(q.close());
        auto error = closed.get_future();
        CHECK(error.wait_for(std::chrono::seconds(20)) == std::future_status::ready && !error.get().empty());
    }
}

static void no_thread() {
#ifdef __linux__
    job_queue q;
    const job_ptr first = make(), second = make();
    no_threads = true;
    CHECK_CODE(q.submit(first), "OUT_OF_MEMORY");
    CHECK(!q.withdraw(first)); // it was not taken
    no_threads = false;
    CHECK(outcome(q, second) == "");
    CHECK(first->end.get_future().wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
    // closing where no thread was ever made
    job_queue none;
    no_threads = true;
    CHECK_CODE(none.submit(make()), "OUT_OF_MEMORY");
    no_threads = false;
    CHECK(!none.close());
#endif
}

static void order() {
    job_queue q;
    count_steps(q);
    const job_ptr busy = make_active(1 << 30);
    q.submit(busy);
    while (busy->steps < 1) {
        std::this_thread::yield();
    }
    // what needs a place waits, what needs none does not
    std::atomic<bool> ran{ false };
    const job_ptr waiting = make([&](queue_job &) { ran = true; }), aside = make();
    aside->between_steps = true;
    q.submit(waiting);
    CHECK(outcome(q, aside) == "");
    CHECK(!ran);
    const job_ptr dropped = make([](queue_job &) { throw sd_error("INTERNAL", "ran"); });
    q.submit(dropped);
    CHECK(q.withdraw(dropped));
    CHECK(!q.withdraw(busy)); // under way: ends by itself
    CHECK(busy->outcome() == "");
    CHECK(waiting->outcome() == "");
    CHECK(ran);
    CHECK(dropped->end.get_future().wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
}

static void closing() {
    std::promise<std::string> closed;
    job_queue q;
    count_steps(q);
    q.on_closed = [&](const std::string & error) { closed.set_value(error); };
    const job_ptr busy = make_active(1 << 30), waiting = make();
    busy->state = std::make_shared<int>(1);
    const std::weak_ptr<void> state = busy->state;
    q.submit(busy);
    q.submit(waiting);
    while (busy->steps < 1) {
        std::this_thread::yield();
    }
    CHECK(q.close());
    CHECK(waiting->outcome() == "DISPOSED");
    const std::string code = busy->outcome();
    CHECK(code == "DISPOSED" || code == ""); // its last step may have seen the cancel flag
    CHECK(code == "" || state.expired());
    CHECK(closed.get_future().get() == "");
    CHECK_CODE(q.submit(make()), "DISPOSED");
    CHECK(!q.close());
    q.halt();
    q.halt();
}

int main() {
    return test_main("job-queue", [] {
        every_function_may_throw();
        starting_may_fail();
        stopping_may_fail();
        no_thread();
        order();
        closing();
    });
}
