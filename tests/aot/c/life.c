/* The whole life of an instance: for tools that watch memory. */
#include <stdio.h>
#include <stdlib.h>

#include "tiny.h"

#define CHECK(call) \
    if ((call) != TINY_OK) { fprintf(stderr, "line %d: %s\n", __LINE__, tiny_last_error()); return 1; }

int main(int argc, char **argv) {
    static float x[24], probabilities[12], loss, parameters[TINY_PARAMETER_BYTES / sizeof(float)];
    static int32_t y[4] = {0, 1, 2, 1};
    if (argc != 2) return 2;
    for (int i = 0; i < 24; i++) x[i] = (float)i / 24;
    for (int round = 0; round < 3; round++) {
        tiny *model, *other;
        CHECK(tiny_create(&model));
        CHECK(tiny_create(&other));
        CHECK(tiny_set_num_threads(model, 2));
        CHECK(tiny_init(model, 1));
        for (int step = 0; step < 3; step++) CHECK(tiny_train_step(model, 4, x, y, &loss));
        CHECK(tiny_save(model, argv[1]));
        CHECK(tiny_load(other, argv[1]));
        CHECK(tiny_predict(other, 4, x, probabilities));
        CHECK(tiny_get_parameters(other, parameters, sizeof parameters));
        CHECK(tiny_set_parameters(model, parameters, sizeof parameters));
        if (tiny_predict(model, 5, x, probabilities) != TINY_BATCH_SIZE) return 3;
        tiny_destroy(model);
        tiny_destroy(other);
    }
    return 0;
}
