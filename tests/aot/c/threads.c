/* Many threads predict on one instance while another trains on it, and a second instance is trained beside. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiny.h"

static tiny *shared;
static float x[24];
static const int32_t y[4] = {0, 1, 2, 1};
static atomic_int busy, trained, predicted, failed, stop;

static void *predict(void *nothing) {
    float probabilities[12], first[12];
    while (!stop) {
        tiny_status status = tiny_predict(shared, 4, x, probabilities);
        if (status == TINY_BUSY) busy++;
        else if (status != TINY_OK) failed++;
        else {
            predicted++;
            /* Unless it was trained meanwhile, the answer is the same; a sum of probabilities is 1 in any case. */
            memcpy(first, probabilities, sizeof first);
            float sum = first[0] + first[1] + first[2];
            if (!(sum > 0.99f && sum < 1.01f)) failed++;
        }
    }
    return nothing;
}

static void *train(void *nothing) {
    float loss;
    for (int done = 0; done < 2000;) {
        tiny_status status = tiny_train_step(shared, 4, x, y, &loss);
        if (status == TINY_OK) done++, trained++;
        else if (status == TINY_BUSY) busy++;
        else failed++;
    }
    stop = 1;
    return nothing;
}

static void *alone(void *out) {
    tiny *model;
    float loss = 0;
    if (tiny_create(&model) != TINY_OK || tiny_init(model, 9) != TINY_OK) failed++;
    for (int i = 0; i < 500; i++)
        if (tiny_train_step(model, 4, x, y, &loss) != TINY_OK) failed++;
    tiny_destroy(model);
    *(float *)out = loss;
    return NULL;
}

int main(void) {
    pthread_t threads[5];
    float losses[2] = {0, 1};
    for (int i = 0; i < 24; i++) x[i] = (float)i / 24;
    if (tiny_create(&shared) != TINY_OK || tiny_init(shared, 1) != TINY_OK) return 1;
    pthread_create(&threads[0], NULL, predict, NULL);
    pthread_create(&threads[1], NULL, predict, NULL);
    pthread_create(&threads[2], NULL, train, NULL);
    pthread_create(&threads[3], NULL, alone, &losses[0]);
    pthread_create(&threads[4], NULL, alone, &losses[1]);
    for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
    uint64_t step;
    if (tiny_get_step(shared, &step) != TINY_OK || step != 2000) failed++;
    if (memcmp(&losses[0], &losses[1], sizeof(float))) failed++;
    tiny_destroy(shared);
    printf("%d trained, %d failed\n", trained, failed);
    return failed != 0;
}
