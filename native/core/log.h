#pragma once

// ggml, llama and mtmd log through process-wide callbacks. They are set once to functions here, which pass each message
// to the sink of the calling thread: each model works on its own thread, so it gets its own messages, and nothing is
// written to stdout or stderr.

#include <functional>
#include <string>

enum sd_log_level { SD_LOG_DEBUG, SD_LOG_INFO, SD_LOG_WARN, SD_LOG_ERROR };

using sd_log_sink = std::function<void(sd_log_level, const std::string &)>;

// install the process-wide callbacks; safe to call from any thread, any number of times
void sd_log_install();

// messages of the calling thread go to this sink (empty: dropped)
void sd_log_set_sink(sd_log_sink sink);

// the first error line logged on this thread since the last call; empty when there was none
std::string sd_log_take_error();

// whether that line says that memory could not be had; ggml and llama.cpp tell it in words only
bool sd_log_about_memory(const std::string & error);
