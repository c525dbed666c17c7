/* The only place that chooses a kernel. */
#include "fitcheck.h"

#include <stdlib.h>
#include <string.h>

/* `needs` of a row is part of kernels.def, so one expansion makes the table. */
#define GEMV(format, isa) .gemv[FC_##format] = fc_gemv_##format##_##isa,
#define SUMS(format, isa) .sums[FC_##format] = fc_sums_##format##_##isa,
#define GEMM_OF(format, isa) .gemm[FC_##format] = fc_gemm_##format##_##isa,
#define GEMM FC_EVERY_GEMM
#define GEMM_FROM(format, tokens) .gemm_from[FC_##format] = (tokens),
#define ATTEND(isa_) .attend = fc_attend_f16_##isa_,
#define VECTORS(isa_) .vectors = &fc_vectors_##isa_,
#define READ(isa_) .read = fc_read_bytes_##isa_,
#define FC_ISA(name, bits, kernels) {.isa = #name, .needs = (bits), kernels},
static const fc_kernels table[] = {
#include "kernels.def"
};
#undef FC_ISA
#undef READ
#undef VECTORS
#undef ATTEND
#undef GEMM_FROM
#undef GEMM
#undef GEMM_OF
#undef SUMS
#undef GEMV

enum { ROWS = sizeof table / sizeof *table };

int fc_isa_count(void) { return ROWS; }

const fc_kernels *fc_isa(int index) { return index >= 0 && index < ROWS ? &table[index] : NULL; }

int fc_isa_by_name(const char *name) {
    for (int i = 0; i < ROWS; i++)
        if (strcmp(table[i].isa, name) == 0) return i;
    return -1;
}

int fc_isa_runs_here(int index) {
    const fc_kernels *row = fc_isa(index);
    return row && (fc_cpu_features() & row->needs) == row->needs;
}

/* Index of the highest row allowed, or -1 where the cap names none. */
static int highest(const char *cap) {
    if (!cap) cap = getenv("FITCHECK_ISA");
    if (!cap || !*cap) return ROWS - 1;
    return fc_isa_by_name(cap);
}

typedef int has_operation(const fc_kernels *row, int format);

static const fc_kernels *best(const char *cap, has_operation *has, int format) {
    for (int i = highest(cap); i >= 0; i--)
        if (has(&table[i], format) && fc_isa_runs_here(i)) return &table[i];
    return NULL;
}

static int has_gemv(const fc_kernels *row, int format) { return row->gemv[format] != NULL; }
static int has_gemm(const fc_kernels *row, int format) { return row->gemm[format] != NULL; }
static int has_attend(const fc_kernels *row, int format) { (void)format; return row->attend != NULL; }
static int has_vectors(const fc_kernels *row, int format) { (void)format; return row->vectors != NULL; }
static int has_read(const fc_kernels *row, int format) { (void)format; return row->read != NULL; }

const fc_kernels *fc_best_gemv(fc_format format, const char *cap) { return best(cap, has_gemv, (int)format); }
const fc_kernels *fc_best_gemm(fc_format format, const char *cap) { return best(cap, has_gemm, (int)format); }

int fc_batch_wins(const fc_kernels *kernels, fc_format format, int tokens) {
    return kernels->gemm[format] && tokens >= kernels->gemm_from[format];
}

const fc_kernels *fc_best_batch(fc_format format, int tokens, const char *cap) {
    const fc_kernels *row = fc_best_gemm(format, cap);
    return row && fc_batch_wins(row, format, tokens) ? row : fc_best_gemv(format, cap);
}

void fc_make_sums(const fc_kernels *kernels, fc_format format, const fc_activation *x, int thread, int threads) {
    if (!kernels->sums[format]) return;
    fc_span mine = fc_split((x->cols + 4) / 5, 1, thread, threads);
    kernels->sums[format](x, mine.begin, mine.end);
}

const fc_kernels *fc_best_attend(const char *cap) { return best(cap, has_attend, 0); }
const fc_kernels *fc_best_vectors(const char *cap) { return best(cap, has_vectors, 0); }
const fc_kernels *fc_best_read(const char *cap) { return best(cap, has_read, 0); }
