#pragma once

// Connects JavaScript with the thread of a job queue.
//
// A job is a promise. Results travel through a thread-safe function. The thread is joined when its owner closes it, in an
// environment cleanup hook when the environment goes first (a terminated worker thread), and before the process exits:
// process.exit() and an uncaught exception run no such hook, and a thread still at work would use statics that have been
// destroyed. So the thread never outlives the objects it uses. No libuv pool thread is occupied.

#include "job_queue.h"

#include <napi.h>

#include <map>
#include <type_traits>
#include <utility>

using worker_message = std::function<void(Napi::Env)>; // runs on the JavaScript thread

struct worker_job : queue_job {
    uint64_t id = 0;
    std::function<Napi::Value(Napi::Env)> result;      // on the JavaScript thread, after success
    std::unique_ptr<Napi::FunctionReference> callback; // where the caller listens
    std::vector<Napi::ObjectReference> held;           // buffers that `run` reads in place: alive until the job has ended

    std::unique_ptr<Napi::Promise::Deferred> deferred; // JavaScript thread only
    std::unique_ptr<worker_message> end;               // made before the job starts, so that its end can always be told
};

using worker_job_ptr = std::shared_ptr<worker_job>;

struct worker {
    explicit worker(Napi::Env env);
    ~worker();

    job_queue queue; // its functions are set before the first submit

    // --- JavaScript thread
    Napi::Value enqueue(worker_job_ptr job); // { id, promise }
    void cancel(uint64_t id);
    Napi::Value close();                // promise, to be asked for once; waiting jobs reject with DISPOSED
    static void stop_all(napi_env env); // joins the threads of this environment's workers, or of all (null)
    static void stop_at_exit();         // calls stop_all when the process exits, before statics made so far are destroyed

    // Enqueues run(job) -> T or nothing, on the thread, and what convert(env, T) or convert(env) makes of it.
    template <typename Run> Napi::Value submit(worker_job_ptr job, Run run) {
        return submit(std::move(job), std::move(run), [](Napi::Env env, auto &&...) { return env.Undefined(); });
    }
    template <typename Run, typename Convert> Napi::Value submit(worker_job_ptr job, Run run, Convert convert) {
        using T = std::invoke_result_t<Run &, worker_job &>;
        if constexpr (std::is_void_v<T>) {
            job->run = [run = std::move(run)](queue_job & j) mutable { run(static_cast<worker_job &>(j)); };
            job->result = [convert = std::move(convert)](Napi::Env env) -> Napi::Value { return convert(env); };
        } else {
            auto out = std::make_shared<T>();
            job->run = [out, run = std::move(run)](queue_job & j) mutable { *out = run(static_cast<worker_job &>(j)); };
            job->result = [out, convert = std::move(convert)](Napi::Env env) -> Napi::Value { return convert(env, *out); };
        }
        return enqueue(std::move(job));
    }

    // --- the queue's thread
    void post(worker_message fn) noexcept; // dropped where there is no memory for it, or no environment any more
    // Calls the job's callback with a value, if it has one. Where there is no memory for it the job fails.
    template <typename T> void emit(worker_job & job, const T & value) noexcept {
        if (!job.callback) {
            return;
        }
        try {
            send(std::make_unique<worker_message>([this, id = job.id, value](Napi::Env env) { call_back(id, Napi::Value::From(env, value)); }));
        } catch (...) {
            job.fail_with_current_exception();
            job.cancel = true;
        }
    }

private:
    Napi::Env env;
    napi_threadsafe_function tsfn = nullptr;
    std::map<uint64_t, worker_job_ptr> pending; // JavaScript thread only, as what follows
    uint64_t next_id = 1;
    bool hooked = false;
    std::unique_ptr<Napi::Promise::Deferred> closed;
    std::unique_ptr<worker_message> closed_message; // made before the thread ends
    std::string closing_error;                      // written by the thread before it sends closed_message

    void hook();
    void shutdown();
    void send(std::unique_ptr<worker_message> message) noexcept;
    void call_back(uint64_t id, Napi::Value value);
    worker_job_ptr take_pending(uint64_t id);
    void settle(uint64_t id);
    static void call_js(napi_env env, napi_value, void *, void * data);
    static void cleanup(void * self);
};

// an Error with a code property
Napi::Error worker_error(Napi::Env env, const std::string & code, const std::string & message);
