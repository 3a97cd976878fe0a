/*
 * Trains a network on handwritten digits, saves it, loads it into a second instance, and predicts.
 *
 *     bessemer compile examples/models/mnist_mlp.bsm -o build/mnist --batch 100
 *     cc -std=c11 -O2 -Ibuild examples/c/train_mnist.c build/mnist.so -Wl,-rpath,'$ORIGIN' -o build/train_mnist
 *     gunzip -k examples/data/mnist/*.gz
 *     build/train_mnist examples/data/mnist
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mnist.h"

enum { BATCH = 100, PIXELS = 28 * 28, EPOCHS = 3 };

static void check(mnist_status status) {
    if (status != MNIST_OK) {
        fprintf(stderr, "error: %s\n", mnist_last_error());
        exit(1);
    }
}

/* Reads the bytes of an IDX file behind its header of 8 bytes and 4 more for each further axis. */
static unsigned char *read_idx(const char *folder, const char *name, size_t header, size_t size, size_t *count) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    unsigned char head[16] = {0};
    if (!file || fread(head, 1, header, file) != header) {
        fprintf(stderr, "error: cannot read %s\n", path);
        exit(1);
    }
    *count = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
    unsigned char *bytes = malloc(*count * size);
    if (!bytes || fread(bytes, size, *count, file) != *count) {
        fprintf(stderr, "error: %s is truncated\n", path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

/* Examples, and the order in which they are taken. */
typedef struct {
    unsigned char *images, *labels;
    uint32_t *order;
    size_t count;
} dataset;

static dataset load(const char *folder, const char *prefix) {
    char name[64];
    dataset data;
    size_t labels;
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
    data.images = read_idx(folder, name, 16, PIXELS, &data.count);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    data.labels = read_idx(folder, name, 8, 1, &labels);
    data.order = malloc(data.count * sizeof *data.order);
    if (!data.order || labels != data.count) exit(1);
    for (size_t i = 0; i < data.count; i++) data.order[i] = (uint32_t)i;
    return data;
}

static void unload(dataset *data) {
    free(data->images);
    free(data->labels);
    free(data->order);
}

/* Fisher and Yates. */
static void shuffle(dataset *data) {
    for (size_t i = data->count - 1; i > 0; i--) {
        size_t j = (size_t)rand() % (i + 1);
        uint32_t other = data->order[j];
        data->order[j] = data->order[i];
        data->order[i] = other;
    }
}

static float x[BATCH * PIXELS];
static int32_t y[BATCH];

static void fill(const dataset *data, size_t batch) {
    for (size_t i = 0; i < BATCH; i++) {
        size_t example = data->order[batch * BATCH + i];
        for (size_t p = 0; p < PIXELS; p++) x[i * PIXELS + p] = (float)data->images[example * PIXELS + p] / 255;
        y[i] = data->labels[example];
    }
}

static double accuracy(mnist *model, const dataset *data) {
    int64_t all = 0, correct;
    float loss;
    size_t batches = data->count / BATCH;
    for (size_t batch = 0; batch < batches; batch++) {
        fill(data, batch);
        check(mnist_eval(model, BATCH, x, y, &loss, &correct));
        all += correct;
    }
    return (double)all / (double)(batches * BATCH);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "examples/data/mnist";
    dataset train = load(folder, "train"), test = load(folder, "t10k");

    mnist *model;
    check(mnist_create(&model));
    check(mnist_init(model, 1));
    srand(1);
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        float loss = 0;
        shuffle(&train);
        for (size_t batch = 0; batch < train.count / BATCH; batch++) {
            fill(&train, batch);
            check(mnist_train_step(model, BATCH, x, y, &loss));
        }
        printf("epoch %d: loss %.4f, test accuracy %.4f\n", epoch, (double)loss, accuracy(model, &test));
    }
    check(mnist_save(model, "mnist.safetensors"));
    mnist_destroy(model);

    mnist *again;
    check(mnist_create(&again));
    check(mnist_load(again, "mnist.safetensors"));
    printf("loaded: test accuracy %.4f\n", accuracy(again, &test));
    static float probabilities[BATCH * 10];
    fill(&test, 0);
    check(mnist_predict(again, BATCH, x, probabilities));
    int best = 0;
    for (int digit = 1; digit < 10; digit++)
        if (probabilities[digit] > probabilities[best]) best = digit;
    printf("the first test image is a %d with probability %.3f; its label is %d\n", best, (double)probabilities[best], (int)y[0]);
    mnist_destroy(again);
    unload(&train);
    unload(&test);
    return 0;
}
