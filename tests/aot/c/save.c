/* Saves over a file that is there: `save PATH first` makes it, `save PATH second` saves other values over it, `save PATH
 * check` tells which of the two it loads. */
#include <stdio.h>
#include <string.h>

#include "tiny.h"

int main(int argc, char **argv) {
    static float w[TINY_PARAMETER_BYTES / sizeof(float)], now[TINY_PARAMETER_BYTES / sizeof(float)];
    tiny *model;
    if (argc != 3 || tiny_create(&model) != TINY_OK || tiny_set_num_threads(model, 1) != TINY_OK) return 9;
    if (strcmp(argv[2], "check") == 0) {
        if (tiny_load(model, argv[1]) != TINY_OK) {
            puts(tiny_last_error());
            return 8;
        }
        tiny_get_parameters(model, now, sizeof now);
        for (int value = 1; value <= 2; value++) {
            for (size_t i = 0; i < sizeof w / sizeof *w; i++) w[i] = (float)value;
            if (memcmp(w, now, sizeof w) == 0) return printf("%d\n", value) < 0;
        }
        return 7;
    }
    for (size_t i = 0; i < sizeof w / sizeof *w; i++) w[i] = argv[2][0] == 'f' ? 1.0f : 2.0f;
    tiny_set_parameters(model, w, sizeof w);
    tiny_status status = tiny_save(model, argv[1]);
    if (status != TINY_OK) fprintf(stderr, "%s\n", tiny_last_error());
    return status;
}
