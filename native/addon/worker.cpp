#include "worker.h"

#include "error.h"

#include <algorithm>
#include <new>
#include <set>

#ifdef __GLIBC__
#include <malloc.h>
#endif

// The workers of all environments. Never freed: it is read while the process exits.
struct worker_registry {
    std::mutex mutex;
    std::set<worker *> workers;
};

static worker_registry & registry() {
    static worker_registry * r = new worker_registry;
    return *r;
}

Napi::Error worker_error(Napi::Env env, const std::string & code, const std::string & message) {
    Napi::Error e = Napi::Error::New(env, message);
    e.Value().Set("code", Napi::String::New(env, code));
    return e;
}

// Each thread of a model allocates from an arena of its own, and glibc keeps what was freed there: a program that loads
// again and again would hold the pages of all of them.
static void return_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

worker::worker(Napi::Env env) : env(env) {
    napi_value name = Napi::String::New(env, "sd-rpn");
    napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, call_js, &tsfn);
    if (status != napi_ok) {
        throw worker_error(env, "INTERNAL", "A thread-safe function could not be made");
    }
    napi_unref_threadsafe_function(env, tsfn); // held while jobs are pending only
    hook();
    std::lock_guard<std::mutex> lock(registry().mutex);
    registry().workers.insert(this);
}

// Hooks run in reverse order: the one that joins the thread has to be younger than that of the thread-safe function and,
// since an environment frees the memory of external buffers in hooks too, than that of each buffer the thread reads.
void worker::hook() {
    if (hooked) {
        napi_remove_env_cleanup_hook(env, cleanup, this);
    }
    napi_add_env_cleanup_hook(env, cleanup, this);
    hooked = true;
}

worker::~worker() {
    {
        std::lock_guard<std::mutex> lock(registry().mutex);
        registry().workers.erase(this);
    }
    shutdown();
}

void worker::stop_all(napi_env env) {
    std::lock_guard<std::mutex> lock(registry().mutex);
    for (worker * w : registry().workers) {
        if (!env || napi_env(w->env) == env) {
            w->halt();
        }
    }
}

void worker::cleanup(void * self) {
    worker * w = static_cast<worker *>(self);
    w->hooked = false;
    w->shutdown();
}

void worker::stop_at_exit() {
    // not std::atexit, which may keep the function's address when Node unloads the addon with its last environment
    static const struct at_exit { ~at_exit() { stop_all(nullptr); } } guard;
}

// cancels everything and waits for the thread's end
void worker::halt() {
    std::lock_guard<std::mutex> lock(joining);
    stop = true;
    cancel_all();
    wake.notify_all();
    if (thread.joinable()) {
        thread.join();
    }
}

void worker::shutdown() {
    halt();
    if (hooked) {
        napi_remove_env_cleanup_hook(env, cleanup, this);
        hooked = false;
    }
    if (tsfn) {
        napi_release_threadsafe_function(tsfn, napi_tsfn_abort);
        tsfn = nullptr;
    }
}

void worker::cancel_all() {
    std::lock_guard<std::mutex> lock(mutex);
    if (current) {
        current->cancel = true;
    }
    for (auto & j : active) {
        j->cancel = true;
    }
}

Napi::Value worker::submit(worker_job_ptr job) {
    job->id       = next_id++;
    job->deferred = std::make_unique<Napi::Promise::Deferred>(env);
    Napi::Object out = Napi::Object::New(env);
    out.Set("id", Napi::Number::New(env, double(job->id)));
    out.Set("promise", job->deferred->Promise());

    if (stop) {
        job->deferred->Reject(worker_error(env, "DISPOSED", "The object was disposed: load it again").Value());
        return out;
    }
    if (!job->held.empty()) {
        hook();
    }
    if (pending.empty()) {
        napi_ref_threadsafe_function(env, tsfn);
    }
    pending[job->id] = job;
    {
        std::lock_guard<std::mutex> lock(mutex);
        queue.push_back(job);
    }
    if (!thread.joinable()) {
        thread = std::thread([this] { loop(); });
    }
    wake.notify_all();
    return out;
}

void worker::cancel(uint64_t id) {
    auto it = pending.find(id);
    if (it == pending.end()) {
        return;
    }
    worker_job_ptr job = it->second;
    job->cancel = true;
    bool waiting = false;
    {
        std::lock_guard<std::mutex> lock(mutex);
        auto at = std::find(queue.begin(), queue.end(), job);
        if (at != queue.end()) {
            queue.erase(at);
            waiting = true;
        }
    }
    if (waiting) { // never started: settled at once
        fail(job, "ABORTED", "The operation was aborted");
        settle(job);
    }
}

Napi::Value worker::close() {
    auto deferred = std::make_unique<Napi::Promise::Deferred>(env);
    Napi::Value promise = deferred->Promise();
    if (!thread.joinable() || stop) { // nothing ever ran, or it is over
        shutdown();
        deferred->Resolve(env.Undefined());
        return promise;
    }
    closed = std::move(deferred);
    if (pending.empty()) {
        napi_ref_threadsafe_function(env, tsfn);
    }
    stop = true;
    cancel_all();
    wake.notify_all();
    return promise;
}

void worker::post(message fn) {
    auto * data = new message(std::move(fn));
    if (napi_call_threadsafe_function(tsfn, data, napi_tsfn_nonblocking) != napi_ok) {
        delete data; // the environment is going away
    }
}

void worker::emit(worker_job & job, size_t callback, std::function<std::vector<napi_value>(Napi::Env)> args) {
    const uint64_t id = job.id;
    post([this, id, callback, args = std::move(args)](Napi::Env env) {
        auto it = pending.find(id);
        if (it == pending.end() || callback >= it->second->callbacks.size() || !it->second->callbacks[callback]) {
            return;
        }
        const worker_job_ptr job = it->second; // the callback may end it
        job->callbacks[callback]->Call(args(env));
    });
}

void worker::call_js(napi_env raw, napi_value, void *, void * data) {
    std::unique_ptr<message> fn(static_cast<message *>(data));
    if (!raw) {
        return;
    }
    Napi::Env env(raw);
    Napi::HandleScope scope(env);
    try {
        (*fn)(env);
    } catch (const Napi::Error & e) {
        // a callback of the caller threw: as for any event handler, that is an uncaught exception of the program
        napi_fatal_exception(env, e.Value());
    } catch (const std::exception & e) {
        napi_fatal_exception(env, worker_error(env, "INTERNAL", e.what()).Value());
    }
}

void worker::fail(const worker_job_ptr & job, const char * code, const std::string & text) {
    job->error_code    = code;
    job->error_message = text;
}

void worker::execute(const worker_job_ptr & job, const std::function<void()> & body) {
    try {
        body();
    } catch (const sd_error & e) {
        fail(job, e.code.c_str(), e.what());
    } catch (const std::bad_alloc &) {
        fail(job, "OUT_OF_MEMORY", "There is not enough memory for this call");
    } catch (const std::exception & e) {
        fail(job, "INTERNAL", e.what());
    }
    if (stop && !job->error_code.empty()) {
        fail(job, "DISPOSED", "The object was disposed while the call was under way");
    }
}

void worker::finish(const worker_job_ptr & job) {
    job->run    = nullptr; // what they captured belongs to this thread
    job->active = nullptr;
    job->on_cancel = nullptr;
    if (!job->error_code.empty()) {
        job->result = nullptr;
        job->state.reset();
    }
    post([this, job](Napi::Env) { settle(job); });
}

void worker::settle(const worker_job_ptr & job) {
    pending.erase(job->id);
    job->held.clear();
    if (pending.empty() && !closed) {
        napi_unref_threadsafe_function(env, tsfn);
    }
    if (stop && job->error_code.empty()) { // the result may need what the thread frees at its end
        fail(job, "DISPOSED", "The object was disposed while the call was under way");
    }
    if (job->error_code.empty()) {
        job->deferred->Resolve(job->result ? job->result(env) : env.Undefined());
    } else {
        job->deferred->Reject(worker_error(env, job->error_code, job->error_message).Value());
    }
    job->callbacks.clear();
}

void worker::step_active() {
    std::vector<worker_job *> running;
    for (auto & j : active) {
        if (stop) {
            fail(j, "DISPOSED", "The object was disposed while the call was under way");
        } else if (j->cancel) {
            j->on_cancel(*j);
        } else {
            running.push_back(j.get());
        }
    }
    if (!running.empty()) {
        std::string code, text;
        try {
            on_step(running);
        } catch (const sd_error & e) {
            code = e.code;
            text = e.what();
        } catch (const std::exception & e) {
            code = "INTERNAL";
            text = e.what();
        }
        if (!code.empty()) { // the batch failed as a whole
            for (auto & j : active) {
                if (j->error_code.empty()) {
                    fail(j, code.c_str(), text);
                }
            }
        }
    }
    std::vector<worker_job_ptr> done;
    {
        std::lock_guard<std::mutex> lock(mutex);
        for (size_t i = 0; i < active.size();) {
            if (!active[i]->error_code.empty() || !active[i]->active(*active[i])) {
                done.push_back(active[i]);
                active.erase(active.begin() + i);
            } else {
                i++;
            }
        }
    }
    for (auto & j : done) {
        finish(j);
    }
}

void worker::loop() {
    if (on_start) {
        on_start();
    }
    for (;;) {
        worker_job_ptr job;
        {
            std::unique_lock<std::mutex> lock(mutex);
            wake.wait(lock, [this] { return stop || !queue.empty() || !active.empty(); });
            if (stop) {
                break;
            }
            if (!queue.empty() && active.size() < max_active) {
                job = queue.front();
                queue.pop_front();
                current = job;
            }
        }
        if (!job) {
            step_active();
            continue;
        }
        execute(job, [&] { job->run(*job); });
        const bool goes_on = job->error_code.empty() && job->active && job->active(*job);
        {
            std::lock_guard<std::mutex> lock(mutex);
            current.reset();
            if (goes_on) {
                active.push_back(job);
            }
        }
        if (!goes_on) {
            finish(job);
        }
    }

    std::vector<worker_job_ptr> rest;
    {
        std::lock_guard<std::mutex> lock(mutex);
        rest.assign(active.begin(), active.end());
        rest.insert(rest.end(), queue.begin(), queue.end());
        active.clear();
        queue.clear();
    }
    for (auto & j : rest) {
        fail(j, "DISPOSED", "The object was disposed before the call had ended");
        finish(j);
    }
    rest.clear();
    if (on_stop) {
        on_stop();
    }
    return_memory();
    post([this](Napi::Env env) {
        if (closed) {
            auto deferred = std::move(closed);
            shutdown();
            deferred->Resolve(env.Undefined());
        }
    });
}
