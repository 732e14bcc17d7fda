#pragma once

// One native thread and its jobs; nothing of Node is known here.
//
// Jobs run one after the other on the thread. The job of an answer then becomes an active job; all active jobs advance
// together, one token per step. An exception in a job's functions becomes that job's error, and the thread continues with the next job.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct queue_job {
    std::atomic<bool> cancel{ false };
    std::string error_code, error_message; // empty code: success

    // all on the thread; what the first three throw is the job's error
    std::function<void(queue_job &)> run;
    std::function<bool(queue_job &)> active;    // true while the job has steps to go
    std::function<void(queue_job &)> on_cancel; // an active job was cancelled and is to end; its result counts
    std::function<void()> on_end;               // must not throw: the job has ended, the functions above are gone
    std::shared_ptr<void> state;                // what the functions share; of a failed job freed before on_end

    // short, and not limited by the number of active jobs: runs between their steps
    bool between_steps = false;

    queue_job() { error_code.reserve(32); } // so that an error can be noted when there is no memory
    virtual ~queue_job() = default;
    void fail(const char * code, const char * message) noexcept; // the first error stays
    void fail_with_current_exception() noexcept;                 // within a catch block
    void fail_as_disposed() noexcept;                            // over any other error
};

using queue_job_ptr = std::shared_ptr<queue_job>;

struct job_queue {
    ~job_queue() { halt(); }

    // set before the first submit or on the thread, which calls the functions
    size_t max_active = 1;
    std::function<void()> on_start;                                // before the first job; where it throws, that job fails and the next one tries again
    std::function<void()> on_stop;                                 // last: frees the core's objects
    std::function<void(const std::vector<queue_job *> &)> on_step; // one step of every active job
    std::function<void(const std::string & error)> on_closed;      // must not throw: the end, with what on_stop threw

    // --- the owner's thread
    void submit(const queue_job_ptr & job);   // throws OUT_OF_MEMORY, DISPOSED, std::bad_alloc: the job is not taken then
    bool withdraw(const queue_job_ptr & job); // true where it waited and will not run; a job under way is cancelled
    bool close();                             // what waits fails with DISPOSED, then the thread ends; false: there is none
    void halt();                              // the same, and waits for the thread

    const std::atomic<bool> & stopping() const { return stop; }

private:
    std::thread thread;
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<queue_job_ptr> queue;   // guarded by mutex
    queue_job_ptr current;             // guarded by mutex
    std::vector<queue_job_ptr> active; // guarded by mutex where read from another thread
    std::atomic<bool> stop{ false };
    bool started = false; // on the thread
    std::mutex joining;   // the process may exit on another thread than the owner's

    void cancel_all();
    void loop();
    bool take(queue_job_ptr & job);
    void run(const queue_job_ptr & job);
    void step();
    bool goes_on(queue_job & job);
    void finish(queue_job & job);
    void end_all();
};
