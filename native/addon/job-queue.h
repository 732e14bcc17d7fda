#pragma once

// Jobs that wait. Clients take turns, one job each; a client's own jobs keep their order. So fifty questions about one picture
// delay a single one about another by one job, not by fifty.

#include <deque>
#include <map>
#include <memory>
#include <vector>

struct worker_job;
using worker_job_ptr = std::shared_ptr<worker_job>;

struct job_queue {
    void push(int client, worker_job_ptr job);
    worker_job_ptr pop();                   // null when nothing waits
    bool erase(const worker_job_ptr & job); // whether it was waiting
    std::vector<worker_job_ptr> drain();
    bool empty() const { return turns.empty(); }

private:
    std::map<int, std::deque<worker_job_ptr>> waiting; // no empty ones
    std::deque<int> turns;                             // their keys, whose turn it is first
};
