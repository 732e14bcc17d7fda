// Preloaded into a child: while NO_THREADS is set in the environment, the system has no thread left.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

int pthread_create(pthread_t * thread, const pthread_attr_t * attr, void * (*start)(void *), void * arg) {
    int (*real)(pthread_t *, const pthread_attr_t *, void * (*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return getenv("NO_THREADS") ? EAGAIN : real(thread, attr, start, arg);
}
