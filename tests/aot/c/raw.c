/* Trains with the freestanding functions, and prints the bits of every loss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mnist.h"

#define BATCH 100
#define STEPS 4

static uint64_t numbers = 42;

static float unit(void) {
    uint64_t z = numbers += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (float)((z ^ (z >> 31)) >> 40) / (float)(1 << 24);
}

static _Alignas(MNIST_ALIGN) unsigned char state[MNIST_STATE_BYTES], scratch[MNIST_SCRATCH_BYTES(1)];
static float x[BATCH * 784], bias[10], other[10];
static int32_t y[BATCH];

#define CHECK(call, status) \
    if ((call) != (status)) { fprintf(stderr, "line %d\n", __LINE__); return 1; }

int main(void) {
    float loss;
    CHECK(mnist_raw_train_step(NULL, state, scratch, BATCH, x, y, &loss), MNIST_INVALID_ARGUMENT); /* no state yet */
    CHECK(mnist_raw_setup(NULL), MNIST_INVALID_ARGUMENT);
    CHECK(mnist_raw_setup(state + 8), MNIST_INVALID_ARGUMENT);
    CHECK(mnist_raw_init(NULL, state, NULL, 7), MNIST_INVALID_ARGUMENT);
    CHECK(mnist_raw_init(NULL, state, scratch, 7), MNIST_OK);
    CHECK(mnist_raw_train_step(NULL, state, scratch + 4, BATCH, x, y, &loss), MNIST_INVALID_ARGUMENT);
    CHECK(mnist_raw_train_step(NULL, state, scratch, BATCH, NULL, y, &loss), MNIST_INVALID_ARGUMENT);
    CHECK(mnist_raw_train_step(NULL, state, scratch, 99, x, y, &loss), MNIST_BATCH_SIZE);
    mnist_context context = {0};
    CHECK(mnist_raw_train_step(&context, state, scratch, BATCH, x, y, &loss), MNIST_ABI_MISMATCH);
    context.abi_version = MNIST_ABI_VERSION;
    context.workers = 1;
    y[0] = 10;
    CHECK(mnist_raw_train_step(&context, state, scratch, BATCH, x, y, &loss), MNIST_INDEX_OUT_OF_RANGE);
    if (!context.index_error.flag) return 1;
    for (int step = 0; step < STEPS; step++) {
        uint32_t bits;
        for (int i = 0; i < BATCH * 784; i++) x[i] = unit();
        for (int i = 0; i < BATCH; i++) y[i] = (int32_t)(unit() * 10);
        CHECK(mnist_raw_train_step(&context, state, scratch, BATCH, x, y, &loss), MNIST_OK);
        memcpy(&bits, &loss, sizeof bits);
        printf("%08x\n", (unsigned)bits);
    }
    CHECK(mnist_raw_get(state, MNIST_VARIABLE_LOGITS_BIAS, bias, sizeof bias - 1), MNIST_INVALID_ARGUMENT);
    CHECK(mnist_raw_get(state, MNIST_VARIABLE_COUNT, bias, sizeof bias), MNIST_NOT_FOUND);
    CHECK(mnist_raw_get(state, MNIST_VARIABLE_LOGITS_BIAS, bias, sizeof bias), MNIST_OK);
    bias[3] = 0.5f;
    CHECK(mnist_raw_set(state, MNIST_VARIABLE_LOGITS_BIAS, bias, sizeof bias), MNIST_OK);
    CHECK(mnist_raw_get(state, MNIST_VARIABLE_LOGITS_BIAS, other, sizeof other), MNIST_OK);
    return memcmp(bias, other, sizeof bias) != 0;
}
