// An addon that exports llama.cpp's functions, as careless ones do. Whoever calls them by mistake ends the process.
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>

#define TRAP(name)                                                     \
    __attribute__((visibility("default"))) void name(void) {           \
        fprintf(stderr, "called the neighbour's " #name "\n");         \
        abort();                                                       \
    }

TRAP(ggml_init)
TRAP(ggml_free)
TRAP(ggml_log_set)
TRAP(ggml_new_tensor)
TRAP(ggml_backend_cpu_init)
TRAP(ggml_backend_cpu_reg)
TRAP(ggml_backend_reg_count)
TRAP(ggml_backend_dev_count)
TRAP(ggml_backend_graph_compute)
TRAP(ggml_backend_sched_new)
TRAP(gguf_init_from_file)
TRAP(gguf_find_key)
TRAP(llama_log_set)
TRAP(llama_backend_init)
TRAP(llama_model_default_params)
TRAP(llama_model_load_from_file)
TRAP(llama_init_from_model)
TRAP(llama_decode)
TRAP(mtmd_log_set)
TRAP(mtmd_context_params_default)
TRAP(mtmd_init_from_file)

static napi_value init(napi_env env, napi_value exports) {
    (void) env;
    return exports;
}

NAPI_MODULE(neighbour, init)
