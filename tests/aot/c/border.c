/* Everything that a caller can do wrong: each gives a status and a text, and changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiny.h"

#define N 4

static tiny *model;
static float before[TINY_PARAMETER_BYTES / sizeof(float)], after[TINY_PARAMETER_BYTES / sizeof(float)];

static void expect(int line, tiny_status found, tiny_status wanted, const char *text) {
    if (found != wanted || (text && !strstr(tiny_last_error(), text))) {
        fprintf(stderr, "line %d: status %d (%s), `%s`; wanted %d, `%s`\n", line, found, tiny_status_text(found),
                tiny_last_error(), wanted, text ? text : "");
        exit(1);
    }
    if (found != TINY_OK && model) {
        if (tiny_get_parameters(model, after, sizeof after) != TINY_OK || memcmp(before, after, sizeof before)) {
            fprintf(stderr, "line %d: variables have changed\n", line);
            exit(1);
        }
    }
}

#define EXPECT(call, status, text) expect(__LINE__, call, status, text)

int main(int argc, char **argv) {
    (void)argc;
    float x[N * 6] = {0}, loss, probabilities[N * 3], w[18];
    int32_t y[N] = {0, 1, 2, 0};
    size_t n = N;
    EXPECT(tiny_create(NULL), TINY_INVALID_ARGUMENT, "`out` is null");
    EXPECT(tiny_check_header(TINY_ABI_VERSION + 1, TINY_INTERFACE), TINY_ABI_MISMATCH, "ABI version");
    EXPECT(tiny_check_header(TINY_ABI_VERSION, TINY_INTERFACE + 1), TINY_PROGRAM_MISMATCH, "header of `tiny`");
    tiny *created;
    EXPECT(tiny_create(&created), TINY_OK, NULL);
    model = created;
    EXPECT(tiny_init(model, 3), TINY_OK, NULL);
    EXPECT(tiny_get_parameters(model, before, sizeof before), TINY_OK, NULL);

    EXPECT(tiny_train_step(NULL, n, x, y, &loss), TINY_INVALID_ARGUMENT, "`instance` is null");
    EXPECT(tiny_train_step(model, n, NULL, y, &loss), TINY_INVALID_ARGUMENT, "`x` is null");
    EXPECT(tiny_train_step(model, n, x, NULL, &loss), TINY_INVALID_ARGUMENT, "`y` is null");
    EXPECT(tiny_train_step(model, n, x, y, NULL), TINY_INVALID_ARGUMENT, "`loss` is null");
    EXPECT(tiny_train_step(model, n, (float *)(void *)((char *)x + 1), y, &loss), TINY_INVALID_ARGUMENT, "not aligned");
    EXPECT(tiny_train_step(model, n, x, y, &x[3]), TINY_INVALID_ARGUMENT, "`loss` overlaps `x`");
    for (size_t wrong = 0; wrong < 6; wrong++)
        if (wrong != 1 && wrong != N) EXPECT(tiny_train_step(model, wrong, x, y, &loss), TINY_BATCH_SIZE, "for 1, 4");
    EXPECT(tiny_train_step(model, (size_t)-1, x, y, &loss), TINY_BATCH_SIZE, "for n = 18446744073709551615");
    static const int32_t labels[] = {3, -1, 2147483647, (-2147483647 - 1)};
    for (int i = 0; i < 4; i++) {
        char text[96];
        y[2] = labels[i];
        sprintf(text, "`y[2]` of `train_step` is %d; it must be at least 0 and below 3", (int)labels[i]);
        EXPECT(tiny_train_step(model, n, x, y, &loss), TINY_INDEX_OUT_OF_RANGE, text);
    }
    y[2] = 2;
    EXPECT(tiny_predict(model, 3, x, probabilities), TINY_BATCH_SIZE, "`predict` was not compiled for n = 3");

    EXPECT(tiny_get_variable(model, "w", w, 18), TINY_NOT_FOUND, "no variable `w`");
    EXPECT(tiny_get_variable(model, NULL, w, 18), TINY_INVALID_ARGUMENT, "`name` is null");
    EXPECT(tiny_get_variable(model, "logits/kernel", w, 17), TINY_INVALID_ARGUMENT, "18 elements, not 17");
    EXPECT(tiny_get_variable(model, "logits/kernel", NULL, 18), TINY_INVALID_ARGUMENT, "`out` is null");
    EXPECT(tiny_set_variable(model, "logits/kernel", NULL, 18), TINY_INVALID_ARGUMENT, "`values` is null");
    EXPECT(tiny_set_parameters(model, before, sizeof before - 1), TINY_INVALID_ARGUMENT, "bytes");
    EXPECT(tiny_set_parameters(model, NULL, sizeof before), TINY_INVALID_ARGUMENT, "`values` is null");
    EXPECT(tiny_save(model, "/nowhere/at/all"), TINY_IO, "No such file or directory");
    EXPECT(tiny_save(model, NULL), TINY_INVALID_ARGUMENT, "`path` is null");
    EXPECT(tiny_save(model, argv[1]), TINY_IO, "rename"); /* a folder */
    EXPECT(tiny_load(model, "/nowhere"), TINY_IO, "No such file or directory");
    EXPECT(tiny_load(model, argv[1]), TINY_IO, NULL);
    EXPECT(tiny_load(model, argv[0]), TINY_MALFORMED, "no safetensors file"); /* this program */
    EXPECT(tiny_load(model, "/dev/null"), TINY_MALFORMED, "too few");
    EXPECT(tiny_set_num_threads(model, 100000), TINY_INVALID_ARGUMENT, "the most is 1024");
    EXPECT(tiny_describe_variable(tiny_num_variables(), NULL), TINY_INVALID_ARGUMENT, "`out` is null");
    tiny_tensor tensor;
    EXPECT(tiny_describe_variable(tiny_num_variables(), &tensor), TINY_NOT_FOUND, NULL);
    EXPECT(tiny_describe_argument(99, 0, &tensor), TINY_NOT_FOUND, NULL);

    /* What is right after all that is wrong. */
    EXPECT(tiny_set_num_threads(model, 2), TINY_OK, NULL);
    if (tiny_num_threads(model) != 2) return 2;
    EXPECT(tiny_train_step(model, n, x, y, &loss), TINY_OK, NULL);
    EXPECT(tiny_predict(model, 1, x, probabilities), TINY_OK, NULL);
    uint64_t step;
    EXPECT(tiny_get_step(model, &step), TINY_OK, NULL);
    if (step != 1) return 3;

    /* What there is. */
    EXPECT(tiny_describe_variable(0, &tensor), TINY_OK, NULL);
    if (strcmp(tensor.name, "logits/kernel") || tensor.rank != 2 || tensor.extents[0] != 6 || tensor.bytes != 72) return 4;
    tiny_entry_info entry;
    size_t at = 0;
    do EXPECT(tiny_describe_entry(at, &entry), TINY_OK, NULL);
    while (strcmp(entry.name, "train_step") && ++at);
    if (entry.params != 2 || entry.results != 1 || !entry.changes_variables || !entry.has_batch) return 5;
    if (tiny_batch_size(at, 0) != 1 || tiny_batch_size(at, 1) != 4 || tiny_batch_size(at, 2) != 0) return 6;
    EXPECT(tiny_describe_argument(at, 0, &tensor), TINY_OK, NULL);
    if (strcmp(tensor.name, "x") || tensor.extents[0] != -1 || tensor.dtype != TINY_F32) return 7;
    if (tiny_num_parameters() != 21 || tiny_state_bytes() != TINY_STATE_BYTES) return 8;
    if (tiny_scratch_bytes(NULL) != TINY_SCRATCH_BYTES(1)) return 9;
    tiny_destroy(NULL);
    tiny_destroy(model);
    puts("fine");
    return 0;
}
