/* Loads a file and tells how that went. */
#include <stdio.h>

#include "tiny.h"

int main(int argc, char **argv) {
    tiny *model;
    if (argc != 2 || tiny_create(&model) != TINY_OK) return 1;
    tiny_status status = tiny_load(model, argv[1]);
    printf("%d: %s\n", (int)status, tiny_last_error());
    tiny_destroy(model);
    return 0;
}
