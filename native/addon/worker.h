#pragma once

// One native thread per model, and the road back to JavaScript.
//
// Jobs run one after the other on the thread; an answer's job goes on as an active job afterwards, and all active jobs
// advance together, one token per step. Results travel through a thread-safe function. The thread is joined when its
// owner closes it, in an environment cleanup hook when the environment goes first (a terminated worker thread), and
// before the process exits: process.exit() and an uncaught exception run no such hook, and a thread still at work would
// meet the destructors of the statics it uses. So it never outlives what it points to. No libuv pool thread is held.

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct worker_job {
    uint64_t          id = 0;
    std::atomic<bool> cancel{false};
    std::string       error_code, error_message; // empty code: success

    std::function<void(worker_job &)> run;         // on the thread; throws sd_error
    std::function<bool(worker_job &)> active;      // on the thread: true while the job has steps to go
    std::function<void(worker_job &)> on_cancel;   // on the thread: an active job was cancelled and is to end; its result counts
    std::function<Napi::Value(Napi::Env)> result;  // on the JavaScript thread, after success
    std::shared_ptr<void> state;                   // what the functions share; freed on the thread

    std::unique_ptr<Napi::Promise::Deferred> deferred;       // JavaScript thread only
    std::vector<std::unique_ptr<Napi::FunctionReference>> callbacks;
    std::vector<Napi::ObjectReference> held; // buffers that `run` reads in place: alive until the job has ended
};

using worker_job_ptr = std::shared_ptr<worker_job>;

struct worker {
    explicit worker(Napi::Env env);
    ~worker();

    // --- JavaScript thread
    Napi::Value submit(worker_job_ptr job); // { id, promise }
    void        cancel(uint64_t id);
    Napi::Value close();                    // promise, to be asked for once; waiting jobs reject with DISPOSED
    void        shutdown();                 // the same at once and without JavaScript: joins the thread
    static void stop_all(napi_env env);     // joins the threads of this environment's workers, or of all (null)
    static void stop_at_exit();             // calls stop_all when the process exits, before statics made so far are destroyed

    // --- worker thread
    using message = std::function<void(Napi::Env)>;
    void post(message fn);                                         // run on the JavaScript thread
    void emit(worker_job & job, size_t callback, std::function<std::vector<napi_value>(Napi::Env)> args);
    const std::atomic<bool> & stopping() const { return stop; }

    // set before the first submit
    size_t max_active = 1;
    std::function<void()> on_start;                                 // on the thread, first
    std::function<void()> on_stop;                                  // on the thread, last: frees the core's objects
    std::function<void(const std::vector<worker_job *> &)> on_step; // one step of every active job

private:
    Napi::Env env;
    napi_threadsafe_function tsfn = nullptr;
    std::thread thread;
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<worker_job_ptr> queue;   // guarded by mutex
    worker_job_ptr current;             // guarded by mutex
    std::vector<worker_job_ptr> active; // guarded by mutex where read from the JavaScript thread
    std::atomic<bool> stop{false};
    std::mutex joining; // the process may exit on another thread than the environment's

    std::map<uint64_t, worker_job_ptr> pending; // JavaScript thread only
    uint64_t next_id = 1;
    std::unique_ptr<Napi::Promise::Deferred> closed;
    bool hooked = false;

    void hook();
    void halt();
    void loop();
    void execute(const worker_job_ptr & job, const std::function<void()> & body);
    void finish(const worker_job_ptr & job);            // worker thread
    void settle(const worker_job_ptr & job);            // JavaScript thread
    void fail(const worker_job_ptr & job, const char * code, const std::string & message);
    void cancel_all();
    void step_active();
    static void call_js(napi_env env, napi_value, void *, void * data);
    static void cleanup(void * self);
};

// an Error with a code property
Napi::Error worker_error(Napi::Env env, const std::string & code, const std::string & message);
