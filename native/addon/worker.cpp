#include "worker.h"

#include "error.h"

#include <new>
#include <set>

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

worker::worker(Napi::Env env) : env(env) {
    queue.on_closed = [this](const std::string & error) {
        try {
            closing_error = error;
        } catch (...) {
            closing_error = "out of memory";
        }
        if (closed_message) {
            send(std::move(closed_message));
        }
    };
    napi_value name = Napi::String::New(env, "sd-rpn");
    napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, call_js, &tsfn);
    if (status != napi_ok) {
        throw worker_error(env, "INTERNAL", "A thread-safe function could not be made");
    }
    napi_unref_threadsafe_function(env, tsfn); // held while jobs are pending only
    try {
        std::lock_guard<std::mutex> lock(registry().mutex);
        registry().workers.insert(this);
    } catch (...) {
        napi_release_threadsafe_function(tsfn, napi_tsfn_abort);
        throw;
    }
    hook();
}

worker::~worker() {
    {
        std::lock_guard<std::mutex> lock(registry().mutex);
        registry().workers.erase(this);
    }
    shutdown();
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

void worker::cleanup(void * self) {
    worker * w = static_cast<worker *>(self);
    w->hooked = false;
    w->shutdown();
}

void worker::shutdown() {
    queue.halt();
    if (hooked) {
        napi_remove_env_cleanup_hook(env, cleanup, this);
        hooked = false;
    }
    if (tsfn) {
        napi_release_threadsafe_function(tsfn, napi_tsfn_abort);
        tsfn = nullptr;
    }
}

void worker::stop_all(napi_env env) {
    std::lock_guard<std::mutex> lock(registry().mutex);
    for (worker * w : registry().workers) {
        if (!env || napi_env(w->env) == env) {
            w->queue.halt();
        }
    }
}

void worker::stop_at_exit() {
    // not std::atexit, which may keep the function's address when Node unloads the addon with its last environment
    static const struct at_exit {
        ~at_exit() { stop_all(nullptr); }
    } guard;
}

Napi::Value worker::enqueue(worker_job_ptr job) {
    const uint64_t id = next_id++;
    job->id = id;
    job->deferred = std::make_unique<Napi::Promise::Deferred>(env);
    job->end = std::make_unique<worker_message>([this, id](Napi::Env) { settle(id); });
    job->on_end = [this, j = job.get()] {
        if (!j->error_code.empty()) {
            j->result = nullptr; // what it captured belongs to the thread
        }
        send(std::move(j->end)); // the job may be gone from here on
    };
    Napi::Object out = Napi::Object::New(env);
    out.Set("id", Napi::Number::New(env, double(id)));
    out.Set("promise", job->deferred->Promise());

    if (queue.stopping()) {
        job->deferred->Reject(worker_error(env, "DISPOSED", "The object was disposed: load it again").Value());
        return out;
    }
    if (!job->held.empty()) {
        hook();
    }
    pending.emplace(id, job);
    napi_ref_threadsafe_function(env, tsfn);
    try {
        queue.submit(job);
    } catch (...) {
        job->fail_with_current_exception();
        settle(id);
    }
    return out;
}

void worker::cancel(uint64_t id) {
    const auto it = pending.find(id);
    if (it == pending.end()) {
        return;
    }
    const worker_job_ptr job = it->second;
    if (queue.withdraw(job)) { // never started: settled at once
        job->fail("ABORTED", "The operation was aborted");
        settle(id);
    }
}

Napi::Value worker::close() {
    auto deferred = std::make_unique<Napi::Promise::Deferred>(env);
    Napi::Value promise = deferred->Promise();
    auto message = std::make_unique<worker_message>([this](Napi::Env env) {
        const auto deferred = std::move(closed);
        shutdown();
        if (closing_error.empty()) {
            deferred->Resolve(env.Undefined());
        } else {
            deferred->Reject(worker_error(env, "INTERNAL", "Not everything could be freed: " + closing_error).Value());
        }
    });
    if (!queue.stopping()) {
        closed = std::move(deferred);
        closed_message = std::move(message);
        napi_ref_threadsafe_function(env, tsfn);
        if (queue.close()) {
            return promise;
        }
        deferred = std::move(closed);
    }
    shutdown(); // no thread is there to tell of its end
    deferred->Resolve(env.Undefined());
    return promise;
}

void worker::post(worker_message fn) noexcept {
    try {
        send(std::make_unique<worker_message>(std::move(fn)));
    } catch (...) { // no memory
    }
}

void worker::send(std::unique_ptr<worker_message> message) noexcept {
    if (napi_call_threadsafe_function(tsfn, message.get(), napi_tsfn_nonblocking) == napi_ok) {
        message.release(); // call_js has it
    } // otherwise the environment is going away
}

// a callback may end its job
void worker::call_back(uint64_t id, Napi::Value value) {
    const auto it = pending.find(id);
    if (it == pending.end()) {
        return;
    }
    const worker_job_ptr job = it->second;
    job->callback->Call({ value });
}

void worker::call_js(napi_env raw, napi_value, void *, void * data) {
    const std::unique_ptr<worker_message> message(static_cast<worker_message *>(data));
    if (!raw) {
        return;
    }
    Napi::Env env(raw);
    Napi::HandleScope scope(env);
    try {
        (*message)(env);
    } catch (const Napi::Error & e) {
        // a callback of the caller threw: as for any event handler, that is an uncaught exception of the program
        napi_fatal_exception(env, e.Value());
    } catch (const std::exception & e) {
        napi_fatal_exception(env, worker_error(env, "INTERNAL", e.what()).Value());
    } catch (...) {
        napi_fatal_exception(env, worker_error(env, "INTERNAL", "Something that is no exception was thrown").Value());
    }
}

worker_job_ptr worker::take_pending(uint64_t id) {
    const auto it = pending.find(id);
    worker_job_ptr job = std::move(it->second);
    pending.erase(it);
    if (pending.empty() && !closed) {
        napi_unref_threadsafe_function(env, tsfn);
    }
    return job;
}

static std::string message_of(const Napi::Error & error) {
    try {
        return error.Message();
    } catch (...) {
        return "an error without a message";
    }
}

void worker::settle(uint64_t id) {
    const worker_job_ptr job = take_pending(id);
    job->held.clear();
    job->callback.reset();
    if (queue.stopping() && job->error_code.empty()) { // the result may need what the thread frees at its end
        job->fail_as_disposed();
    }
    if (job->error_code.empty()) {
        try {
            const Napi::Value value = job->result(env);
            job->deferred->Resolve(value);
            return;
        } catch (const Napi::Error & e) {
            job->fail("INTERNAL", ("The result could not be handed to JavaScript: " + message_of(e)).c_str());
        } catch (...) {
            job->fail_with_current_exception();
        }
    }
    job->deferred->Reject(worker_error(env, job->error_code, job->error_message).Value());
}
