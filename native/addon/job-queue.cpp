#include "job-queue.h"

#include <algorithm>

void job_queue::push(int client, worker_job_ptr job) {
    auto & own = waiting[client];
    if (own.empty()) {
        turns.push_back(client);
    }
    own.push_back(std::move(job));
}

worker_job_ptr job_queue::pop() {
    if (turns.empty()) {
        return nullptr;
    }
    const int client = turns.front();
    turns.pop_front();
    auto it = waiting.find(client);
    worker_job_ptr job = std::move(it->second.front());
    it->second.pop_front();
    if (it->second.empty()) {
        waiting.erase(it);
    } else {
        turns.push_back(client);
    }
    return job;
}

bool job_queue::erase(const worker_job_ptr & job) {
    for (auto it = waiting.begin(); it != waiting.end(); ++it) {
        auto at = std::find(it->second.begin(), it->second.end(), job);
        if (at == it->second.end()) {
            continue;
        }
        it->second.erase(at);
        if (it->second.empty()) {
            turns.erase(std::find(turns.begin(), turns.end(), it->first));
            waiting.erase(it);
        }
        return true;
    }
    return false;
}

std::vector<worker_job_ptr> job_queue::drain() {
    std::vector<worker_job_ptr> out;
    while (worker_job_ptr job = pop()) {
        out.push_back(std::move(job));
    }
    return out;
}
