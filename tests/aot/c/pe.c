/* Trains with the freestanding functions in a library for Windows, which it loads by itself: prints the bits of every loss. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mnist.h"

#ifdef __x86_64__
#define WINDOWS __attribute__((ms_abi))
#else
#define WINDOWS
#endif

#define BATCH 100
#define STEPS 4

static unsigned char *image;

static uint32_t word(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Maps the sections of a file to where it says that they belong; nothing has to be relocated then. */
static void load(const char *path) {
    static unsigned char file[1 << 20];
    FILE *in = fopen(path, "rb");
    if (!in || fread(file, 1, sizeof file, in) < 1024) exit(2);
    fclose(in);
    const unsigned char *pe = file + word(file + 0x3c), *optional = pe + 24;
    uint64_t base = word(optional + 24) | (uint64_t)word(optional + 28) << 32;
    image = mmap((void *)(uintptr_t)base, word(optional + 56), PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (image != (unsigned char *)(uintptr_t)base) exit(3);
    const unsigned char *section = optional + (pe[20] | pe[21] << 8);
    for (int i = 0; i < (pe[6] | pe[7] << 8); i++, section += 40) {
        unsigned char *to = image + word(section + 12);
        memcpy(to, file + word(section + 20), word(section + 16));
        __builtin___clear_cache((char *)to, (char *)to + word(section + 16));
    }
    /* The first directory is that of what is exported. */
    memcpy(image, optional + 112, 8);
}

/* What the library exports by this name. */
static void *find(const char *name) {
    const unsigned char *exports = image + word(image), *names = image + word(exports + 32);
    for (uint32_t i = 0; i < word(exports + 24); i++) {
        if (strcmp((const char *)image + word(names + 4 * i), name)) continue;
        const unsigned char *ordinal = image + word(exports + 36) + 2 * i;
        return image + word(image + word(exports + 28) + 4 * (ordinal[0] | ordinal[1] << 8));
    }
    exit(4);
}

static uint64_t numbers = 42;

static float unit(void) {
    uint64_t z = numbers += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (float)((z ^ (z >> 31)) >> 40) / (float)(1 << 24);
}

static _Alignas(MNIST_ALIGN) unsigned char state[MNIST_STATE_BYTES], scratch[MNIST_SCRATCH_BYTES(1)];
static float x[BATCH * 784];
static int32_t y[BATCH];

int main(int argc, char **argv) {
    WINDOWS mnist_status (*init)(mnist_context *, void *, void *, uint64_t);
    WINDOWS mnist_status (*train_step)(mnist_context *, void *, void *, size_t, const float *, const int32_t *, float *);
    if (argc != 2) return 1;
    load(argv[1]);
    *(void **)&init = find("mnist_raw_init");
    *(void **)&train_step = find("mnist_raw_train_step");
    if (init(NULL, state, scratch, 7) != MNIST_OK) return 5;
    for (int step = 0; step < STEPS; step++) {
        float loss;
        uint32_t bits;
        for (int i = 0; i < BATCH * 784; i++) x[i] = unit();
        for (int i = 0; i < BATCH; i++) y[i] = (int32_t)(unit() * 10);
        if (train_step(NULL, state, scratch, BATCH, x, y, &loss) != MNIST_OK) return 6;
        memcpy(&bits, &loss, sizeof bits);
        printf("%08x\n", (unsigned)bits);
    }
    return 0;
}
