/* Tells how making an instance and giving it first values went, and the first elements of `w`. */
#include <stdio.h>

#include "model.h"

int main(void) {
    model *made = NULL;
    float w[3] = {0};
    model_status status = model_create(&made);
    if (status == MODEL_OK) status = model_init(made, 1);
    if (status == MODEL_OK) status = model_get_variable(made, "w", w, 3);
    printf("%d %s; %g %g %g\n", (int)status, model_last_error(), (double)w[0], (double)w[1], (double)w[2]);
    model_destroy(made);
    return 0;
}
