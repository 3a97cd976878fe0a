/*
 * Trains without an operating system's help: no C library, no allocation, no threads. Memory is two arrays. This file and
 * start.c are all there is beside the object file of the model.
 *
 *     bessemer compile examples/models/mnist_softmax.bsm -o build/mnist --emit obj,header --batch 16
 *     cc -std=c11 -O2 -ffreestanding -nostdlib -static -Ibuild examples/c/freestanding.c examples/c/start.c build/mnist.o \
 *         -o build/freestanding
 *
 * Image i has every tenth pixel set, from its label on, so that a few steps learn them.
 */
#include "mnist.h"

enum { BATCH = 16, STEPS = 50 };

void write_text(const char *text, size_t length);

static _Alignas(MNIST_ALIGN) unsigned char state[MNIST_STATE_BYTES];
static _Alignas(MNIST_ALIGN) unsigned char scratch[MNIST_SCRATCH_BYTES(1)];
static float x[BATCH * 784];
static int32_t y[BATCH];

static void say(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    write_text(text, length);
}

/* Writes a loss in thousandths. */
static void say_loss(float loss) {
    char text[16];
    int at = sizeof text, thousandths = (int)(loss * 1000);
    text[--at] = '\n';
    do text[--at] = (char)('0' + thousandths % 10);
    while (thousandths /= 10);
    write_text(text + at, sizeof text - (size_t)at);
}

int run(void) {
    float loss = 0, first = 0;
    for (int i = 0; i < BATCH; i++) {
        y[i] = i % 10;
        for (int p = 0; p < 784; p++) x[i * 784 + p] = p % 10 == y[i] ? 1.0f : 0.0f;
    }
    if (mnist_raw_init(0, state, scratch, 1) != MNIST_OK) {
        say("this CPU cannot run the code\n");
        return 2;
    }
    for (int step = 0; step < STEPS; step++) {
        if (mnist_raw_train_step(0, state, scratch, BATCH, x, y, &loss) != MNIST_OK) return 3;
        if (step == 0) first = loss;
    }
    y[3] = 10;
    if (mnist_raw_train_step(0, state, scratch, BATCH, x, y, &loss) != MNIST_INDEX_OUT_OF_RANGE) return 4;
    y[3] = 3;
    if (mnist_raw_loss(0, state, scratch, BATCH, x, y, &loss) != MNIST_OK) return 5;
    say("loss in thousandths, first and last:\n");
    say_loss(first);
    say_loss(loss);
    return loss < first / 10 ? 0 : 6;
}
