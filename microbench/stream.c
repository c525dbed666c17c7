/* Memory: large arenas of huge or small pages, and timed reads of them. */
#include "platform.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "fitcheck.h"

enum { HUGE_PAGE = 2 << 20 };

static void advise(void *at, size_t bytes, int huge) {
#if defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
    madvise(at, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* a refusal leaves the default */
#else
    (void)at; (void)bytes; (void)huge;
#endif
}

fc_arena *fc_arena_new(size_t bytes, int huge) {
    fc_arena *arena = calloc(1, sizeof *arena);
    if (!arena) return NULL;
    arena->bytes = bytes;
    arena->mapped = (bytes + 2 * HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; /* room to align the base */
    arena->mapping = mmap(NULL, arena->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena->mapping == MAP_FAILED) {
        free(arena);
        return NULL;
    }
    arena->base = (uint8_t *)(((uintptr_t)arena->mapping + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    advise(arena->mapping, arena->mapped, huge);
    return arena;
}

void fc_arena_free(fc_arena *arena) {
    if (!arena) return;
    munmap(arena->mapping, arena->mapped);
    free(arena);
}

/* ---- reading ---------------------------------------------------------------- */

enum { READ_STEP = 1024 };

typedef struct {
    fc_pool *pool;
    fc_read *read;
    const uint8_t *data;
    int64_t bytes;
    int rounds;
    double *seconds;
} read_job;

/* Somewhere for the loops' results to go, so that no compiler drops them. */
static volatile uint64_t sink;

static void read_task(void *argument, int thread, int threads) {
    const read_job *job = argument;
    fc_span mine = fc_split(job->bytes, READ_STEP, thread, threads);
    uint64_t seen = 0;
    for (int round = 0; round < job->rounds; round++) {
        fc_pool_barrier(job->pool, thread);
        double start = fc_now();
        seen += job->read(job->data + mine.begin, (size_t)(mine.end - mine.begin));
        fc_pool_barrier(job->pool, thread);
        if (thread == 0) job->seconds[round] = fc_now() - start;
    }
    if (thread == 0) sink = seen;
}

void fc_time_read(fc_pool *pool, const fc_kernels *kernels, const uint8_t *data, size_t bytes, int rounds,
                  double *seconds) {
    read_job job = {pool, kernels->read, data, (int64_t)(bytes / READ_STEP * READ_STEP), rounds, seconds};
    fc_pool_run(pool, read_task, &job);
}
