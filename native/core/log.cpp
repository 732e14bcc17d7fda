#include "log.h"

#include "ggml.h"
#include "llama.h"
#include "mtmd.h"

#include <mutex>

static thread_local sd_log_sink tl_sink;
static thread_local sd_log_level tl_level = SD_LOG_INFO;
static thread_local std::string tl_error;

static void log_line(ggml_log_level level, const char * text) {
    switch (level) {
        case GGML_LOG_LEVEL_DEBUG: tl_level = SD_LOG_DEBUG; break;
        case GGML_LOG_LEVEL_WARN:  tl_level = SD_LOG_WARN; break;
        case GGML_LOG_LEVEL_ERROR: tl_level = SD_LOG_ERROR; break;
        case GGML_LOG_LEVEL_CONT:  break; // goes on at the level of the message before
        default:                   tl_level = SD_LOG_INFO; break;
    }
    // the first error names the cause, those after it just say that something failed
    if (tl_level == SD_LOG_ERROR && tl_error.empty()) {
        tl_error = text;
        while (!tl_error.empty() && (tl_error.back() == '\n' || tl_error.back() == ' ')) {
            tl_error.pop_back();
        }
    }
    if (tl_sink) {
        tl_sink(tl_level, text);
    }
}

static void on_log(ggml_log_level level, const char * text, void * /*user_data*/) {
    try {
        log_line(level, text);
    } catch (...) { // no memory for the line, and the caller is C code
    }
}

void sd_log_install() {
    static std::once_flag once;
    std::call_once(once, [] {
        llama_log_set(on_log, nullptr);
        ggml_log_set(on_log, nullptr);
        mtmd_log_set(on_log, nullptr);
    });
}

void sd_log_set_sink(sd_log_sink sink) {
    tl_sink = std::move(sink);
}

std::string sd_log_take_error() {
    std::string error;
    error.swap(tl_error);
    return error;
}

bool sd_log_about_memory(const std::string & error) {
    return error.find(" allocate ") != std::string::npos; // "failed to allocate CPU buffer", "unable to allocate CPU buffer"
}
