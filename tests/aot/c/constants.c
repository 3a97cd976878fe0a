/* Constants of training that may be changed: every number here is exact in binary. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define CHECK(condition) \
    if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, model_last_error()); return 1; }

int main(int argc, char **argv) {
    static const float x[6] = {1, 1, 1, 1, 1, 1};
    float w[6], kept[6], loss;
    double value;
    model *m;
    CHECK(argc == 2 && model_create(&m) == MODEL_OK && model_init(m, 1) == MODEL_OK);
    CHECK(model_get_constant(m, "momentum", &value) == MODEL_OK && value == 0.5);
    CHECK(model_get_constant(m, "loss/dropout_rate", &value) == MODEL_OK && value == 0.5);
    CHECK(model_set_constant(m, "beta1", 0.5) == MODEL_NOT_FOUND && strstr(model_last_error(), "no constant `beta1`"));
    CHECK(model_set_constant(m, "w", 0.5) == MODEL_NOT_FOUND); /* a parameter */
    CHECK(model_set_constant(m, "momentum", INFINITY) == MODEL_INVALID_ARGUMENT);
    CHECK(model_set_constant(m, NULL, 1) == MODEL_INVALID_ARGUMENT);
    CHECK(model_get_constant(m, "momentum", NULL) == MODEL_INVALID_ARGUMENT);

    /* w = 1. With the first values, some inputs are dropped. */
    CHECK(model_train_step(m, x, &loss, kept) == MODEL_OK && loss < 6);
    CHECK(model_init(m, 1) == MODEL_OK);
    CHECK(model_set_constant(m, "dropout_rate", 0) == MODEL_OK && model_set_constant(m, "weight_decay", 0) == MODEL_OK);
    CHECK(model_set_constant(m, "momentum", 0) == MODEL_OK && model_set_learning_rate(m, 0.5) == MODEL_OK);
    CHECK(model_train_step(m, x, &loss, kept) == MODEL_OK && loss == 6 && kept[5] == 1);
    CHECK(model_get_variable(m, "w", w, 6) == MODEL_OK && w[0] == 0.5f); /* 1 - 0.5 * 1 */
    CHECK(model_set_constant(m, "weight_decay", 2) == MODEL_OK);
    CHECK(model_train_step(m, x, &loss, kept) == MODEL_OK);
    CHECK(model_get_variable(m, "w", w, 6) == MODEL_OK && w[0] == -0.5f); /* 0.5 - 0.5 * (1 + 2 * 0.5) */
    CHECK(model_set_constant(m, "weight_decay", 0) == MODEL_OK && model_set_constant(m, "momentum", 4) == MODEL_OK);
    CHECK(model_train_step(m, x, &loss, kept) == MODEL_OK);
    CHECK(model_get_variable(m, "w", w, 6) == MODEL_OK && w[0] == -5); /* -0.5 - 0.5 * (4 * 2 + 1) */
    CHECK(model_set_constant(m, "dropout_rate", 1) == MODEL_OK);
    CHECK(model_train_step(m, x, &loss, kept) == MODEL_OK && loss == 0 && kept[0] == 0);

    /* They are saved like any other variable. */
    CHECK(model_save(m, argv[1]) == MODEL_OK && model_init(m, 1) == MODEL_OK);
    CHECK(model_get_constant(m, "momentum", &value) == MODEL_OK && value == 0.5);
    CHECK(model_load(m, argv[1]) == MODEL_OK);
    CHECK(model_get_constant(m, "momentum", &value) == MODEL_OK && value == 4);
    model_destroy(m);
    return 0;
}
