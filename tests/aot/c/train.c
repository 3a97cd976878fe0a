/* Trains on numbers that a formula gives, and prints the bits of every loss and a hash of the parameters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mnist.h"

#define BATCH 100
#define STEPS 12

static void check(mnist_status status) {
    if (status != MNIST_OK) {
        fprintf(stderr, "%s: %s\n", mnist_status_text(status), mnist_last_error());
        exit(1);
    }
}

static uint64_t state = 42;

/* A number in 0..1, a multiple of 2 to the -24: by SplitMix64. */
static float unit(void) {
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (float)((z ^ (z >> 31)) >> 40) / (float)(1 << 24);
}

int main(void) {
    static float x[BATCH * 784];
    static int32_t y[BATCH];
    mnist *model;
    check(mnist_check_header(MNIST_ABI_VERSION, MNIST_INTERFACE));
    check(mnist_create(&model));
    check(mnist_init(model, 7));
    for (int step = 0; step < STEPS; step++) {
        float loss;
        uint32_t bits;
        for (int i = 0; i < BATCH * 784; i++) x[i] = unit();
        for (int i = 0; i < BATCH; i++) y[i] = (int32_t)(unit() * 10);
        check(mnist_train_step(model, BATCH, x, y, &loss));
        memcpy(&bits, &loss, sizeof bits);
        printf("%08x\n", (unsigned)bits);
    }
    unsigned char *parameters = malloc(MNIST_PARAMETER_BYTES);
    check(mnist_get_parameters(model, parameters, MNIST_PARAMETER_BYTES));
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < MNIST_PARAMETER_BYTES; i++) hash = (hash ^ parameters[i]) * UINT64_C(0x100000001b3);
    printf("%016llx\n", (unsigned long long)hash);
    free(parameters);
    mnist_destroy(model);
    return 0;
}
