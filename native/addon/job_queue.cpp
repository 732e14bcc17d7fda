#include "job_queue.h"

#include "error.h"

#include <algorithm>
#include <new>
#include <system_error>

#ifdef __GLIBC__
#include <malloc.h>
#endif

// Each thread of a model allocates from an arena of its own, and glibc keeps what was freed there: a program that loads
// again and again would hold the pages of all of them.
static void return_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void queue_job::fail(const char * code, const char * message) noexcept {
    if (!error_code.empty()) {
        return;
    }
    try {
        error_message = message;
    } catch (...) {
        error_message.clear(); // no memory for the text: the code says enough
    }
    error_code = code;
}

void queue_job::fail_with_current_exception() noexcept {
    try {
        throw;
    } catch (const sd_error & e) {
        fail(e.code.c_str(), e.what());
    } catch (const std::bad_alloc &) {
        fail("OUT_OF_MEMORY", "There is not enough memory for this call");
    } catch (const std::exception & e) {
        fail("INTERNAL", e.what());
    } catch (...) {
        fail("INTERNAL", "Something that is no exception was thrown");
    }
}

void queue_job::fail_as_disposed() noexcept {
    error_code.clear();
    fail("DISPOSED", "The object was disposed while the call was under way");
}

// --- the owner's thread

void job_queue::submit(const queue_job_ptr & job) {
    std::lock_guard<std::mutex> starting(joining);
    if (stop) {
        throw sd_error("DISPOSED", "The object was disposed: load it again");
    }
    {
        std::lock_guard<std::mutex> lock(mutex);
        queue.push_back(job);
    }
    if (!thread.joinable()) {
        try {
            thread = std::thread([this] { loop(); });
        } catch (const std::system_error & e) {
            std::lock_guard<std::mutex> lock(mutex);
            queue.pop_back();
            throw sd_error("OUT_OF_MEMORY", std::string("The system could not start another thread: ") + e.what());
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex);
            queue.pop_back();
            throw;
        }
    }
    wake.notify_all();
}

bool job_queue::withdraw(const queue_job_ptr & job) {
    job->cancel = true;
    std::lock_guard<std::mutex> lock(mutex);
    const auto at = std::find(queue.begin(), queue.end(), job);
    if (at == queue.end()) {
        return false;
    }
    queue.erase(at);
    return true;
}

void job_queue::cancel_all() {
    std::lock_guard<std::mutex> lock(mutex);
    if (current) {
        current->cancel = true;
    }
    for (auto & j : active) {
        j->cancel = true;
    }
}

bool job_queue::close() {
    if (!thread.joinable() || stop) { // nothing ever ran, or it is over
        return false;
    }
    stop = true;
    cancel_all();
    wake.notify_all();
    return true;
}

void job_queue::halt() {
    std::lock_guard<std::mutex> lock(joining);
    stop = true;
    cancel_all();
    wake.notify_all();
    if (thread.joinable()) {
        thread.join();
    }
}

// --- the thread

void job_queue::loop() {
    for (queue_job_ptr job; take(job); job.reset()) {
        if (job) {
            run(job);
        } else {
            step();
        }
    }
    end_all();
    std::string error;
    try {
        if (on_stop) {
            on_stop();
        }
    } catch (const std::exception & e) {
        error = e.what();
    } catch (...) {
        error = "Something that is no exception was thrown";
    }
    return_memory();
    if (on_closed) {
        on_closed(error);
    }
}

// the next job to run, or none where the active ones are to advance; false: it is over
bool job_queue::take(queue_job_ptr & job) {
    std::unique_lock<std::mutex> lock(mutex);
    wake.wait(lock, [this] { return stop || !queue.empty() || !active.empty(); });
    if (stop) {
        return false;
    }
    auto at = queue.begin();
    if (active.size() >= max_active) {
        at = std::find_if(queue.begin(), queue.end(), [](const queue_job_ptr & j) { return j->between_steps; });
    }
    if (at != queue.end()) {
        job = current = *at;
        queue.erase(at);
    }
    return true;
}

void job_queue::run(const queue_job_ptr & job) {
    try {
        if (!started && on_start) {
            on_start();
        }
        started = true;
        std::unique_lock<std::mutex> lock(mutex);
        active.reserve(active.size() + 1);
        lock.unlock();
        job->run(*job);
    } catch (...) {
        job->fail_with_current_exception();
    }
    if (stop && !job->error_code.empty()) {
        job->fail_as_disposed();
    }
    const bool more = goes_on(*job);
    {
        std::lock_guard<std::mutex> lock(mutex);
        current.reset();
        if (more) {
            active.push_back(job);
        }
    }
    if (!more) {
        finish(*job);
    }
}

bool job_queue::goes_on(queue_job & job) {
    try {
        return job.error_code.empty() && job.active && job.active(job);
    } catch (...) {
        job.fail_with_current_exception();
        return false;
    }
}

void job_queue::step() {
    try {
        std::vector<queue_job *> running;
        running.reserve(active.size());
        for (auto & j : active) {
            if (!j->cancel) {
                running.push_back(j.get());
                continue;
            }
            try {
                j->on_cancel(*j);
            } catch (...) {
                j->fail_with_current_exception();
            }
        }
        if (!running.empty()) {
            on_step(running);
        }
    } catch (...) { // the batch failed as a whole
        for (auto & j : active) {
            if (!j->cancel) {
                j->fail_with_current_exception();
            }
        }
    }
    for (size_t i = 0; i < active.size();) {
        const queue_job_ptr job = active[i];
        if (goes_on(*job)) {
            i++;
            continue;
        }
        {
            std::lock_guard<std::mutex> lock(mutex);
            active.erase(active.begin() + i);
        }
        finish(*job);
    }
}

void job_queue::finish(queue_job & job) {
    job.run = nullptr; // what they captured belongs to this thread
    job.active = nullptr;
    job.on_cancel = nullptr;
    if (!job.error_code.empty()) {
        job.state.reset();
    }
    if (job.on_end) {
        job.on_end();
    }
}

void job_queue::end_all() {
    for (;;) {
        queue_job_ptr job;
        {
            std::lock_guard<std::mutex> lock(mutex);
            if (!active.empty()) {
                job = active.back();
                active.pop_back();
            } else if (!queue.empty()) {
                job = queue.front();
                queue.pop_front();
            } else {
                return;
            }
        }
        job->fail_as_disposed();
        finish(*job);
    }
}
