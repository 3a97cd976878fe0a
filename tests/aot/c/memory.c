/* Makes instances until there is no more memory: a status and a text then, and what there is goes on working. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tiny.h"

enum { MOST = 1 << 20 };

#define CHECK(condition) \
    if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, tiny_last_error()); return 1; }

int main(void) {
    static tiny *made[MOST];
    static float x[24], probabilities[12], loss;
    static const int32_t y[4] = {0, 1, 2, 1};
    struct rlimit limit = {64 << 20, 64 << 20};
    tiny_status status = TINY_OK;
    size_t count = 0;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    while (count < MOST && (status = tiny_create(&made[count])) == TINY_OK) count++;
    CHECK(count > 0 && status == TINY_OUT_OF_MEMORY && *tiny_last_error());
    CHECK(tiny_init(made[0], 1) == TINY_OK);
    status = tiny_train_step(made[0], 4, x, y, &loss); /* needs memory on its first call */
    CHECK(status == TINY_OK || status == TINY_OUT_OF_MEMORY);
    while (count > 1) tiny_destroy(made[--count]);
    CHECK(tiny_train_step(made[0], 4, x, y, &loss) == TINY_OK);
    CHECK(tiny_predict(made[0], 4, x, probabilities) == TINY_OK);
    tiny_destroy(made[0]);
    puts("fine");
    return 0;
}
