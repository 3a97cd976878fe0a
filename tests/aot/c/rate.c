/* The learning rate is a variable of the library. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tiny.h"

#define CHECK(condition) \
    if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, tiny_last_error()); return 1; }

int main(int argc, char **argv) {
    static float before[TINY_PARAMETER_BYTES / sizeof(float)], after[TINY_PARAMETER_BYTES / sizeof(float)], x[24], loss, kept;
    static const int32_t y[4] = {0, 1, 2, 1};
    double rate;
    tiny *model;
    for (int i = 0; i < 24; i++) x[i] = (float)i / 24;
    CHECK(argc == 2 && tiny_create(&model) == TINY_OK && tiny_init(model, 1) == TINY_OK);
    CHECK(tiny_get_learning_rate(model, &rate) == TINY_OK && (float)rate == 0.01f);
    CHECK(tiny_set_learning_rate(model, NAN) == TINY_INVALID_ARGUMENT);
    CHECK(tiny_set_learning_rate(model, 0) == TINY_OK);
    CHECK(tiny_get_parameters(model, before, sizeof before) == TINY_OK);
    CHECK(tiny_train_step(model, 4, x, y, &loss) == TINY_OK);
    CHECK(tiny_get_parameters(model, after, sizeof after) == TINY_OK && !memcmp(before, after, sizeof before));
    CHECK(tiny_set_learning_rate(model, 0.25) == TINY_OK);
    CHECK(tiny_train_step(model, 4, x, y, &loss) == TINY_OK);
    CHECK(tiny_get_parameters(model, after, sizeof after) == TINY_OK && memcmp(before, after, sizeof before));
    CHECK(tiny_get_variable(model, "train_step/learning_rate", &kept, 1) == TINY_OK && kept == 0.25f);
    CHECK(tiny_save(model, argv[1]) == TINY_OK && tiny_init(model, 1) == TINY_OK);
    CHECK(tiny_get_learning_rate(model, &rate) == TINY_OK && (float)rate == 0.01f);
    CHECK(tiny_load(model, argv[1]) == TINY_OK);
    CHECK(tiny_get_learning_rate(model, &rate) == TINY_OK && rate == 0.25);
    tiny_destroy(model);
    return 0;
}
