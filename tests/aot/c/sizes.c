/* Trains and predicts from the same start at every batch size that is named: what a library does at a size must not depend
   on whether it has code for that size or for a range. */
#include "mnist.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static float unit(void)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)((z ^ (z >> 31)) >> 40) / (1 << 24);
}

static uint64_t hash(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (; count > 0; count--) hash = (hash ^ *at++) * 0x100000001b3u;
    return hash;
}

int main(int argc, char **argv)
{
    mnist *model = NULL;
    if (mnist_create(&model) != MNIST_OK) return 2;
    char *parameters = malloc(MNIST_PARAMETER_BYTES);
    if (parameters == NULL) return 3;
    for (int i = 1; i < argc; i++) {
        size_t n = (size_t)atoi(argv[i]);
        /* Exactly as large as they must be. */
        float *x = malloc(n * 784 * sizeof *x), *p = malloc(n * 10 * sizeof *p), loss = -1;
        int32_t *y = malloc(n * sizeof *y);
        if (x == NULL || p == NULL || y == NULL) return 3;
        state = n;
        mnist_status status = mnist_init(model, 7);
        for (int step = 0; step < 3 && status == MNIST_OK; step++) {
            for (size_t j = 0; j < 784 * n; j++) x[j] = unit();
            for (size_t j = 0; j < n; j++) y[j] = (int32_t)(unit() * 10);
            mnist_set_num_threads(model, 1 + (uint32_t)step % 2);
            status = mnist_train_step(model, n, x, y, &loss);
        }
        if (status == MNIST_OK) status = mnist_predict(model, n, x, p);
        if (status == MNIST_OK) status = mnist_get_parameters(model, parameters, MNIST_PARAMETER_BYTES);
        if (status != MNIST_OK) {
            printf("%zu: %s\n", n, mnist_last_error());
        } else {
            uint64_t h = hash(hash(0xcbf29ce484222325u, p, n * 10 * sizeof *p), parameters, MNIST_PARAMETER_BYTES);
            printf("%zu: %016llx %.9g\n", n, (unsigned long long)h, (double)loss);
        }
        free(x), free(y), free(p);
    }
    free(parameters);
    mnist_destroy(model);
    return 0;
}
