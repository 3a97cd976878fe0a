/* Loads and unloads a library a thousand times, in turn with calls: memory must not grow by more than 1 MB. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tiny.h"

static long resident_kib(void) {
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &ignored, &pages) != 2) exit(2);
    fclose(file);
    return pages * 4;
}

static const char *path;

static void *once(void *nothing) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(3);
    }
    tiny_status (*create)(tiny **);
    tiny_status (*save)(const tiny *, const char *);
    void (*destroy)(tiny *);
    const char *(*last_error)(void);
    /* As POSIX has it. */
    *(void **)&create = dlsym(library, "tiny_create");
    *(void **)&save = dlsym(library, "tiny_save");
    *(void **)&destroy = dlsym(library, "tiny_destroy");
    *(void **)&last_error = dlsym(library, "tiny_last_error");
    tiny *model;
    if (create(&model) != TINY_OK || save(model, NULL) != TINY_INVALID_ARGUMENT || !*last_error()) exit(4);
    destroy(model);
    dlclose(library);
    return nothing;
}

int main(int argc, char **argv) {
    if (argc != 2) return 1;
    path = argv[1];
    long before = 0;
    for (int i = 0; i < 1100; i++) {
        if (i == 100) before = resident_kib();
        once(NULL);
        if (i % 10 == 0) { /* and in a thread that ends */
            pthread_t thread;
            if (pthread_create(&thread, NULL, once, NULL)) return 5;
            pthread_join(thread, NULL);
        }
    }
    long grown = resident_kib() - before;
    printf("%ld KiB\n", grown);
    return grown > 1024;
}
