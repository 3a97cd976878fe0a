/*
 * Freestanding functions: for systems without malloc, threads or files. They are all that the object file
 * alone has, and it refers to nothing else. The caller provides memory, aligned to NAME_ALIGN bytes:
 * a state for each instance, and scratch for each call, whose content need not be kept. No two calls may
 * overlap that use the same scratch, or the same state if one of them changes variables. A state belongs to
 * the machine that made it: take variables out to keep them.
 *
 * The context may be NULL: then kernels run on the calling thread.
 */
#define NAME_ALIGN ALIGNMENT
#define NAME_STATE_BYTES UINT64_C(STATE)
#define NAME_SCRATCH_BYTES(threads) (UINT64_C(SCRATCH) + UINT64_C(WORKER) * (threads))

/* Runs chunks begin..end of a kernel as a thread with a number below `workers`. */
typedef void NAME_task(const void *frame, uint64_t begin, uint64_t end, uint32_t worker);

/* What a call may ask of its caller. All zero but the first two fields is fine. */
typedef struct NAME_context {
    uint32_t abi_version; /* NAME_ABI_VERSION */
    uint32_t workers; /* threads that may run tasks, the calling one included; at least 1 */
    /* Runs chunks 0..chunks of the task, each once, and returns when all are done. NULL: no threads. */
    void (*parallel_for)(void *pool, NAME_task *task, const void *frame, uint64_t chunks);
    void *pool; /* first argument of parallel_for */
    /* Told of each index out of range; the smallest site and position is to be kept. May be NULL. */
    void (*report_index_error)(struct NAME_context *, uint32_t site, uint64_t position, int64_t value);
    struct {
        uint32_t flag; /* not zero where an index was out of range */
        uint32_t site;
        uint64_t position;
        int64_t value;
    } index_error;
    uint64_t reserved[9]; /* zero */
} NAME_context;

/* Positions of the variables. */
typedef enum NAME_variable_index {
VARIABLES
} NAME_variable_index;

/* Makes NAME_STATE_BYTES of memory a state, whose variables are still to be given values: with
 * NAME_raw_set, or all at once by NAME_raw_init. NAME_UNSUPPORTED_CPU if the code cannot run here. */
NAME_status NAME_raw_setup(void *state);

/* The same, and gives all variables their first values. */
NAME_status NAME_raw_init(NAME_context *context, void *state, void *scratch, uint64_t seed);

/* Copies the `bytes` bytes of a variable, given by its position: dense, row-major, in
 * whatever layout the state has it. */
NAME_status NAME_raw_get(const void *state, uint32_t variable, void *out, uint64_t bytes);
NAME_status NAME_raw_set(void *state, uint32_t variable, const void *values, uint64_t bytes);

/* The entry points. */
