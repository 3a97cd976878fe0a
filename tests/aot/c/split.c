/* A training step, and its two parts one after the other, give the same bits. */
#include <stdio.h>
#include <string.h>

#include "tiny.h"

#define CHECK(condition) \
    if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, tiny_last_error()); return 1; }

int main(void) {
    static float a[TINY_PARAMETER_BYTES / sizeof(float)], b[TINY_PARAMETER_BYTES / sizeof(float)], x[24];
    static const int32_t y[4] = {0, 1, 2, 1};
    float loss, other, kernel[18], bias[3];
    tiny *whole, *parts;
    CHECK(tiny_create(&whole) == TINY_OK && tiny_create(&parts) == TINY_OK);
    CHECK(tiny_init(whole, 1) == TINY_OK && tiny_init(parts, 1) == TINY_OK);
    for (int step = 0; step < 5; step++) {
        for (int i = 0; i < 24; i++) x[i] = (float)(i * (step + 1) % 7) / 7;
        CHECK(tiny_train_step(whole, 4, x, y, &loss) == TINY_OK);
        CHECK(tiny_get_parameters(parts, a, sizeof a) == TINY_OK);
        CHECK(tiny_train_step_grad(parts, 4, x, y, &other, kernel, bias) == TINY_OK);
        CHECK(tiny_get_parameters(parts, b, sizeof b) == TINY_OK && !memcmp(a, b, sizeof a));
        CHECK(tiny_train_step_apply(parts, kernel, bias) == TINY_OK);
        CHECK(!memcmp(&loss, &other, sizeof loss));
        CHECK(tiny_get_parameters(whole, a, sizeof a) == TINY_OK && tiny_get_parameters(parts, b, sizeof b) == TINY_OK);
        CHECK(!memcmp(a, b, sizeof a));
    }
    tiny_destroy(whole);
    tiny_destroy(parts);
    return 0;
}
