/* An instance: variables, and the threads that kernels run on. */
typedef struct NAME NAME;

/* Element types. A bool is a byte, 0 or 1. */
typedef enum NAME_dtype {
DTYPES
} NAME_dtype;

/* A variable, parameter or result. Texts and extents live as long as the library. */
typedef struct NAME_tensor {
    const char *name;
    uint32_t dtype; /* a NAME_dtype */
    uint32_t rank; /* how many extents */
    const int64_t *extents; /* c, or -c for c times the batch size */
    uint64_t bytes; /* of a parameter or result: at batch size 1 */
    uint32_t is_parameter; /* a variable that training changes, no slot of an optimizer */
    uint32_t reserved;
} NAME_tensor;

/* An entry point. */
typedef struct NAME_entry_info {
    const char *name;
    uint32_t params;
    uint32_t results;
    uint32_t batch_sizes; /* how many it takes */
    uint32_t has_batch; /* its function takes the batch size */
    uint32_t changes_variables;
    uint32_t reserved;
} NAME_entry_info;
