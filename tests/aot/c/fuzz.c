/* Saves, and loads the file in so many damaged forms: each is refused, or gives exactly what was saved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiny.h"

#define VALUES (TINY_PARAMETER_BYTES / sizeof(float))

static uint64_t state = 1;

static uint64_t number(void) {
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void check(int line, int condition) {
    if (!condition) {
        fprintf(stderr, "line %d: %s\n", line, tiny_last_error());
        exit(1);
    }
}

#define CHECK(condition) check(__LINE__, condition)

int main(int argc, char **argv) {
    CHECK(argc == 4);
    unsigned count = (unsigned)atoi(argv[3]);
    tiny *model;
    static float saved[VALUES], other[VALUES], now[VALUES], x[24];
    static unsigned char file[1 << 16], damaged[1 << 16];
    int32_t y[4] = {0, 1, 2, 1};
    float loss;
    for (int i = 0; i < 24; i++) x[i] = (float)i / 24;
    CHECK(tiny_create(&model) == TINY_OK && tiny_init(model, 5) == TINY_OK);
    for (int i = 0; i < 3; i++) CHECK(tiny_train_step(model, 4, x, y, &loss) == TINY_OK);
    CHECK(tiny_save(model, argv[1]) == TINY_OK);
    CHECK(tiny_get_parameters(model, saved, sizeof saved) == TINY_OK);
    FILE *in = fopen(argv[1], "rb");
    CHECK(in != NULL);
    size_t size = fread(file, 1, sizeof file, in);
    fclose(in);
    CHECK(tiny_init(model, 6) == TINY_OK);
    CHECK(tiny_get_parameters(model, other, sizeof other) == TINY_OK && memcmp(saved, other, sizeof saved));

    unsigned loaded = 0, refused[16] = {0};
    for (unsigned i = 0; i < count; i++) {
        size_t length = size;
        memcpy(damaged, file, size);
        if (i < size) length = i;                              /* every truncation */
        else if (i % 3 == 0) length = number() % size;
        else for (unsigned flips = 1 + i % 3; flips; flips--) damaged[number() % size] ^= (unsigned char)(1u << (number() % 8));
        remove(argv[2]);
        FILE *out = fopen(argv[2], "wb");
        CHECK(out != NULL);
        CHECK(fwrite(damaged, 1, length, out) == length && fclose(out) == 0);
        tiny_status status = tiny_load(model, argv[2]);
        CHECK(tiny_get_parameters(model, now, sizeof now) == TINY_OK);
        if (status == TINY_OK) {
            uint64_t step, seed;
            CHECK(memcmp(now, saved, sizeof now) == 0);
            CHECK(tiny_get_step(model, &step) == TINY_OK && step == 3);
            CHECK(tiny_get_seed(model, &seed) == TINY_OK && seed == 5);
            CHECK(tiny_init(model, 6) == TINY_OK);
            loaded++;
        } else {
            CHECK(memcmp(now, other, sizeof now) == 0 && status < 16 && *tiny_last_error());
            refused[status]++;
        }
    }
    CHECK(tiny_load(model, argv[1]) == TINY_OK);
    CHECK(tiny_get_parameters(model, now, sizeof now) == TINY_OK && memcmp(now, saved, sizeof now) == 0);
    printf("%u malformed, %u of another model, %u loaded\n", refused[TINY_MALFORMED], refused[TINY_PROGRAM_MISMATCH], loaded);
    CHECK(refused[TINY_MALFORMED] + refused[TINY_PROGRAM_MISMATCH] + loaded == count);
    tiny_destroy(model);
    return 0;
}
