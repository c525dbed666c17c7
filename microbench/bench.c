/* Kernels over many rows: filling, checking, timing. */
#include <string.h>

#include "fitcheck.h"

typedef struct {
    fc_format format;
    uint8_t *data;
    int64_t rows, cols, first, count;
    uint64_t seed;
} fill_job;

static void fill_task(void *argument, int thread, int threads) {
    const fill_job *job = argument;
    fc_span mine = fc_split(job->count, fc_row_step(job->format), thread, threads);
    fc_fill_rows(job->format, job->data, job->rows, job->cols, job->first + mine.begin, job->first + mine.end, job->seed);
}

void fc_fill(fc_pool *pool, fc_format format, uint8_t *data, int64_t rows, int64_t cols, int64_t first, int64_t count,
             uint64_t seed) {
    fill_job job = {format, data, rows, cols, first, count, seed};
    fc_pool_run(pool, fill_task, &job);
}

/* Once for all passes: they stand for the rows of a matrix too large for the cache. */
static void make_sums(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_activation *const *x,
                      int tokens, int thread, int threads) {
    if (!kernels->sums[format]) return;
    for (int t = 0; t < tokens; t++) fc_make_sums(kernels, format, x[t], thread, threads);
    fc_pool_barrier(pool, thread);
}

typedef struct {
    fc_pool *pool;
    const fc_kernels *kernels;
    fc_format format;
    const fc_matrix *w;
    const fc_activation *x;
    int rounds, passes;
    float *y;
    double *seconds;
} gemv_job;

static void gemv_task(void *argument, int thread, int threads) {
    const gemv_job *job = argument;
    fc_gemv *gemv = job->kernels->gemv[job->format];
    fc_span mine = fc_split(job->w->rows, fc_row_step(job->format), thread, threads);
    for (int round = 0; round < job->rounds; round++) {
        fc_pool_barrier(job->pool, thread);
        double start = fc_now();
        make_sums(job->pool, job->kernels, job->format, &job->x, 1, thread, threads);
        for (int pass = 0; pass < job->passes; pass++) gemv(job->w, job->x, mine.begin, mine.end, job->y + mine.begin);
        fc_pool_barrier(job->pool, thread);
        if (thread == 0) job->seconds[round] = fc_now() - start;
    }
}

void fc_time_gemv(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                  const fc_activation *x, int rounds, int passes, float *y, double *seconds) {
    gemv_job job = {pool, kernels, format, w, x, rounds, passes, y, seconds};
    fc_pool_run(pool, gemv_task, &job);
}

typedef struct {
    fc_pool *pool;
    const fc_kernels *kernels;
    fc_format format;
    int together; /* else one by one */
    const fc_matrix *w;
    const fc_activation *const *x;
    int tokens, rounds, passes;
    float *y;
    double *seconds;
} gemm_job;

static void multiply(const gemm_job *job, fc_span rows) {
    float *y = job->y + rows.begin;
    const fc_kernels *k = job->kernels;
    if (job->together) k->gemm[job->format](job->w, job->x, job->tokens, rows.begin, rows.end, y, job->w->rows);
    else
        for (int t = 0; t < job->tokens; t++)
            k->gemv[job->format](job->w, job->x[t], rows.begin, rows.end, y + t * job->w->rows);
}

static void gemm_task(void *argument, int thread, int threads) {
    const gemm_job *job = argument;
    fc_span mine = fc_split(job->w->rows, fc_row_step(job->format), thread, threads);
    for (int round = 0; round < job->rounds; round++) {
        fc_pool_barrier(job->pool, thread);
        double start = fc_now();
        make_sums(job->pool, job->kernels, job->format, job->x, job->tokens, thread, threads);
        for (int pass = 0; pass < job->passes; pass++) multiply(job, mine);
        fc_pool_barrier(job->pool, thread);
        if (thread == 0) job->seconds[round] = fc_now() - start;
    }
}

void fc_time_gemm(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                  const fc_activation *const *x, int tokens, int rounds, int passes, float *y, double *seconds) {
    int together = fc_batch_wins(kernels, format, tokens);
    gemm_job job = {pool, kernels, format, together, w, x, tokens, rounds, passes, y, seconds};
    fc_pool_run(pool, gemm_task, &job);
}

int64_t fc_check_gemv(const fc_kernels *kernels, fc_format format, const fc_matrix *w, const fc_activation *x,
                      int64_t row_begin, int64_t row_end) {
    int64_t differ = 0;
    /* A few rows at a time, so that results need no allocation; the odd count
     * also exercises the kernels' left-over rows. */
    enum { AT_ONCE = 61 };
    fc_make_sums(kernels, format, x, 0, 1);
    for (int64_t row = row_begin; row < row_end; row += AT_ONCE) {
        float got[AT_ONCE], want[AT_ONCE];
        int64_t end = row + AT_ONCE < row_end ? row + AT_ONCE : row_end;
        kernels->gemv[format](w, x, row, end, got);
        fc_isa(0)->gemv[format](w, x, row, end, want);
        for (int64_t i = 0; i < end - row; i++) differ += memcmp(&got[i], &want[i], sizeof *got) != 0;
    }
    return differ;
}

int64_t fc_check_gemm(const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                      const fc_activation *const *x, int tokens, int64_t row_begin, int64_t row_end) {
    int64_t differ = 0;
    enum { AT_ONCE = 13 };
    for (int t = 0; t < tokens; t++) fc_make_sums(kernels, format, x[t], 0, 1);
    for (int64_t row = row_begin; row < row_end; row += AT_ONCE) {
        float got[FC_MOST_TOKENS * AT_ONCE], want[AT_ONCE];
        int64_t end = row + AT_ONCE < row_end ? row + AT_ONCE : row_end;
        kernels->gemm[format](w, x, tokens, row, end, got, AT_ONCE);
        for (int t = 0; t < tokens; t++) {
            fc_isa(0)->gemv[format](w, x[t], row, end, want);
            for (int64_t i = 0; i < end - row; i++)
                differ += memcmp(&got[t * AT_ONCE + i], &want[i], sizeof *want) != 0;
        }
    }
    return differ;
}
