/* Reads and writes variables in every way that there is: all are dense and row-major. `layouts save FILE` then saves other
 * values than the first ones, which `layouts load FILE` expects to load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define WIDE (32 * 144)
#define DEEP (2 * 5 * 45)

static _Alignas(MODEL_ALIGN) unsigned char state[MODEL_STATE_BYTES], scratch[MODEL_SCRATCH_BYTES(1)];
static float first[WIDE + DEEP + 7], other[WIDE + DEEP + 7], now[WIDE + DEEP + 7];

static void check(int line, int condition) {
    if (!condition) {
        fprintf(stderr, "line %d: %s\n", line, model_last_error());
        exit(1);
    }
}

#define CHECK(condition) check(__LINE__, condition)

static void check_variables(model *made, const float *expected) {
    memset(now, 0, sizeof now);
    CHECK(model_get_variable(made, "wide", now, WIDE) == MODEL_OK);
    CHECK(model_get_variable(made, "deep", now + WIDE, DEEP) == MODEL_OK);
    CHECK(model_get_variable(made, "bias", now + WIDE + DEEP, 7) == MODEL_OK);
    CHECK(memcmp(now, expected, sizeof now) == 0);
    memset(now, 0, sizeof now);
    CHECK(model_get_parameters(made, now, sizeof now) == MODEL_OK);
    CHECK(memcmp(now, expected, sizeof now) == 0);
}

static void check_raw(const float *expected) {
    memset(now, 0, sizeof now);
    CHECK(model_raw_get(state, MODEL_VARIABLE_WIDE, now, WIDE * sizeof(float)) == MODEL_OK);
    CHECK(model_raw_get(state, MODEL_VARIABLE_DEEP, now + WIDE, DEEP * sizeof(float)) == MODEL_OK);
    CHECK(model_raw_get(state, MODEL_VARIABLE_BIAS, now + WIDE + DEEP, 7 * sizeof(float)) == MODEL_OK);
    CHECK(memcmp(now, expected, sizeof now) == 0);
}

int main(int argc, char **argv) {
    model *made;
    CHECK(argc == 3);
    for (int i = 0; i < WIDE; i++) first[i] = (float)i;
    for (int i = 0; i < DEEP; i++) first[WIDE + i] = (float)(10000 + i);
    for (int i = 0; i < WIDE + DEEP + 7; i++) other[i] = -(float)i;
    CHECK(model_create(&made) == MODEL_OK);
    if (strcmp(argv[1], "load") == 0) {
        CHECK(model_load(made, argv[2]) == MODEL_OK);
        check_variables(made, other);
        model_destroy(made);
        return 0;
    }
    CHECK(model_init(made, 1) == MODEL_OK);
    check_variables(made, first);
    CHECK(model_get_variable(made, "wide", now, WIDE - 1) == MODEL_INVALID_ARGUMENT);
    CHECK(model_set_variable(made, "wide", other, WIDE) == MODEL_OK);
    CHECK(model_set_variable(made, "deep", other + WIDE, DEEP) == MODEL_OK);
    CHECK(model_set_variable(made, "bias", other + WIDE + DEEP, 7) == MODEL_OK);
    check_variables(made, other);
    CHECK(model_set_parameters(made, first, sizeof first) == MODEL_OK);
    check_variables(made, first);
    CHECK(model_set_parameters(made, other, sizeof other) == MODEL_OK);
    CHECK(model_save(made, argv[2]) == MODEL_OK);
    model_destroy(made);

    CHECK(model_raw_init(NULL, state, scratch, 1) == MODEL_OK);
    check_raw(first);
    CHECK(model_raw_set(state, MODEL_VARIABLE_WIDE, other, WIDE * sizeof(float) - 4) == MODEL_INVALID_ARGUMENT);
    CHECK(model_raw_set(state, MODEL_VARIABLE_WIDE, other, WIDE * sizeof(float)) == MODEL_OK);
    CHECK(model_raw_set(state, MODEL_VARIABLE_DEEP, other + WIDE, DEEP * sizeof(float)) == MODEL_OK);
    CHECK(model_raw_set(state, MODEL_VARIABLE_BIAS, other + WIDE + DEEP, 7 * sizeof(float)) == MODEL_OK);
    check_raw(other);
    return 0;
}
