/* fitcheck's native room: packed matrix-vector kernels, the pool that runs
 * them, and the clocks around them.
 *
 * Naming: fc_<operation>_<format>_<isa>. Every operation has one signature,
 * declared here; kernels.def says which ISA has which; dispatch.c alone picks.
 *
 * The contract of every kernel: it equals its scalar twin bit for bit. Ternary
 * formats add integers, and multiply by the scales once. Block formats add
 * integers inside a block and then add floats in FC_LANES fixed lanes with
 * fused multiply-adds, an order that vectors of any width can follow and the
 * scalar code spells out: a lane is four bytes of every block, or for tq1_0
 * every sixteenth block.
 */
#ifndef FITCHECK_H
#define FITCHECK_H

#include <stddef.h>
#include <stdint.h>

#include "formats.h"

#if defined(__x86_64__) || defined(_M_X64)
#define FC_X86 1
#else
#define FC_X86 0
#endif
#if defined(__aarch64__)
#define FC_ARM 1
#else
#define FC_ARM 0
#endif

/* ---- operands ----------------------------------------------------------- */

typedef struct {
    const uint8_t *data;
    const float *scales;  /* see fc_format_facts.scales; may be NULL when there are none */
    int64_t rows, cols, row_bytes;
} fc_matrix;

/* A quantised vector. `q` lies in the order in which the format's kernels read
 * it (see arrange[] in activation.c), padded with zeros so that no kernel
 * needs a scalar tail. `lane_sum` is FC_LANES sums a super-block, which formats
 * with an offset subtract instead of decoding signs: of 16 columns each for
 * q4_k and q6_k, of what falls to each lane for tq2_0. Of tq1_0 it is one sum a
 * super-block. `sums` are made by those kernels that look them up: see fc_sums. */
typedef struct {
    int8_t *q;
    float *f;
    float *scale;    /* one, or one a block */
    int32_t *lane_sum;
    int8_t *sums;    /* FC_SUMS_BYTES for every five of q */
    int32_t sum;     /* of all q */
    int64_t cols;
} fc_activation;

fc_activation *fc_activation_new(int64_t max_cols);
void fc_activation_free(fc_activation *a);
/* Quantise x to int8 by its largest magnitude and lay it out for `format`. */
void fc_activation_set(fc_activation *a, fc_format format, const float *x, int64_t cols);

/* ---- operations ---------------------------------------------------------- */

/* y[0 .. row_end - row_begin) = rows [row_begin, row_end) of w times x. */
typedef void fc_gemv(const fc_matrix *w, const fc_activation *x, int64_t row_begin, int64_t row_end, float *y);

/* Sums that a gemv and a gemm look up, of groups [begin, end) of five columns, written to x->sums: made
 * once for all products with that vector, by as many threads as there are. */
typedef void fc_sums(const fc_activation *x, int64_t begin, int64_t end);

/* The same for a few tokens: y[t * stride + row - row_begin]. Weights are unpacked
 * once for all of them; each token's results equal its own gemv's to the bit. */
enum { FC_MOST_TOKENS = 8 };
typedef void fc_gemm(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t row_begin,
                     int64_t row_end, float *y, int64_t stride);
/* The formats that have one: floats need no unpacking, and trit3, tl1 and tl2 build tables for one vector. */
#define FC_GEMM_FORMATS(X) X(trit5) X(trit5x64) X(i2_s) X(tq1_0) X(tq2_0) X(q4_k) X(q6_k) X(q8_0)

/* Attention of `heads` query heads that share one KV head, over `cells` cached
 * cells: out[h] = softmax(q[h] . K) V. K and V are f16, dim a multiple of 32;
 * q is already scaled. `scratch` holds FC_ATTEND_SCRATCH(heads, dim) floats.
 * Unlike the products, results of two ISAs agree to rounding only. */
enum { FC_ATTEND_CHUNK = 64 };
#define FC_ATTEND_SCRATCH(heads, dim) ((size_t)(heads) * (FC_ATTEND_CHUNK + 2) + 2 * (size_t)(dim))
typedef void fc_attend(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                       float *out, float *scratch);

/* Work on single vectors between the products, each of n numbers. Every ISA's equals scalar's bit for bit. */
typedef struct {
    void (*norm)(const float *x, int64_t n, float *out); /* RMS norm with a weight of one */
    float (*dot)(const float *a, const float *b, int64_t n);
    void (*add)(float *x, const float *y, int64_t n); /* to x */
    void (*gate)(float *inner, const float *gated, int64_t n); /* SwiGLU: inner *= gated * sigmoid(gated) */
    /* Rotary embedding of one head by the angles whose dim / 2 cosines and sines are given, and a factor. */
    void (*rotate)(float *head, const float *cosine, const float *sine, int dim, float scale);
    void (*halve)(const float *from, int64_t n, uint16_t *to); /* to f16 */
    int64_t (*greatest)(const float *x, int64_t n); /* where the first of the greatest stands */
    float (*quantise)(const float *x, int64_t n, int8_t *q); /* x is about q times what it returns */
    void (*sums)(const int8_t *q, int64_t count, int64_t step, int32_t *sum); /* of `step` neighbours each */
} fc_vectors;

/* fc_activation_set with an ISA's vectors. */
void fc_activation_lay(const fc_vectors *vectors, fc_activation *a, fc_format format, const float *x, int64_t cols);

/* Read every byte of [data, data + bytes), a multiple of 1024, and return a
 * value that depends on all of them. */
typedef uint64_t fc_read(const uint8_t *data, size_t bytes);

/* ---- kernels -------------------------------------------------------------- */

typedef struct {
    const char *isa;
    uint64_t needs;  /* FC_CPU_* bits, all of them */
    fc_gemv *gemv[FC_FORMATS];
    fc_sums *sums[FC_FORMATS]; /* NULL where none are looked up */
    fc_gemm *gemm[FC_FORMATS];
    int gemm_from[FC_FORMATS]; /* tokens from which it beats as many products with one */
    fc_attend *attend;
    const fc_vectors *vectors;
    fc_read *read;
} fc_kernels;

#define GEMV(format, isa) fc_gemv fc_gemv_##format##_##isa;
#define SUMS(format, isa) fc_sums fc_sums_##format##_##isa;
#define GEMM_OF(format, isa) fc_gemm fc_gemm_##format##_##isa;
#define FC_EVERY_GEMM(isa) \
    GEMM_OF(trit5, isa) GEMM_OF(i2_s, isa) GEMM_OF(tq1_0, isa) GEMM_OF(tq2_0, isa) \
    GEMM_OF(q4_k, isa) GEMM_OF(q6_k, isa) GEMM_OF(q8_0, isa)
#define GEMM FC_EVERY_GEMM
#define GEMM_FROM(format, tokens)
#define ATTEND(isa) fc_attend fc_attend_f16_##isa;
#define VECTORS(isa) extern const fc_vectors fc_vectors_##isa;
#define READ(isa) fc_read fc_read_bytes_##isa;
#define FC_ISA(isa, needs, kernels) kernels
#include "kernels.def"
#undef FC_ISA
#undef READ
#undef VECTORS
#undef ATTEND
#undef GEMM_FROM
#undef GEMM
#undef GEMM_OF
#undef SUMS
#undef GEMV

/* Rows of kernels.def in this build, from the plainest up. */
int fc_isa_count(void);
const fc_kernels *fc_isa(int index);
int fc_isa_by_name(const char *name); /* -1: not in this build */
int fc_isa_runs_here(int index);
/* The best row for the operation that this CPU runs and that does not exceed
 * `cap` (an ISA's name; NULL: FITCHECK_ISA, or no cap). NULL if cap is unknown. */
const fc_kernels *fc_best_gemv(fc_format format, const char *cap);
const fc_kernels *fc_best_gemm(fc_format format, const char *cap);
/* The row to take for `tokens` vectors at once: the batch's where that is quicker, else gemv's. */
const fc_kernels *fc_best_batch(fc_format format, int tokens, const char *cap);
int fc_batch_wins(const fc_kernels *kernels, fc_format format, int tokens);
/* A thread's part of what these kernels look up of x, if they do: all threads' parts come before any product. */
void fc_make_sums(const fc_kernels *kernels, fc_format format, const fc_activation *x, int thread, int threads);
const fc_kernels *fc_best_attend(const char *cap);
const fc_kernels *fc_best_vectors(const char *cap);
const fc_kernels *fc_best_read(const char *cap);

/* ---- the CPU --------------------------------------------------------------- */

#define FC_CPU_BITS(X) \
    X(avx2) X(fma) X(f16c) X(avx_vnni) X(avx512f) X(avx512bw) X(avx512vl) X(avx512_vnni) X(avx512_vbmi) \
    X(amx_tile) X(amx_int8) X(neon) X(dotprod) X(i8mm) X(sve)
enum {
#define X(name) FC_CPU_INDEX_##name,
    FC_CPU_BITS(X)
#undef X
    FC_CPU_COUNT
};
#define FC_CPU(name) ((uint64_t)1 << FC_CPU_INDEX_##name)

/* What the rows of kernels.def named avxvnni need: see gemv_avxvnni.c. */
#ifdef FC_AVXVNNI_AS_EVEX
#define FC_AVXVNNI_BIT (FC_CPU(avx512vl) | FC_CPU(avx512_vnni))
#else
#define FC_AVXVNNI_BIT FC_CPU(avx_vnni)
#endif

/* Bits that both the processor has and the operating system lets us use. */
uint64_t fc_cpu_features(void);
const char *fc_cpu_feature_name(int index); /* NULL past the last */
const char *fc_compiler(void);              /* that built this */

/* ---- memory ----------------------------------------------------------------- */

typedef struct {
    uint8_t *base;
    size_t bytes;
    size_t mapped; /* what to unmap: rounded up */
    void *mapping;
} fc_arena;

/* Pages are not touched yet: the thread that first writes one decides where it
 * lies. huge: ask for huge pages; else forbid them. NULL: no memory. */
fc_arena *fc_arena_new(size_t bytes, int huge);
void fc_arena_free(fc_arena *arena);

/* ---- threads ------------------------------------------------------------------ */

typedef struct fc_pool fc_pool;
typedef void fc_task(void *argument, int thread, int threads);

fc_pool *fc_pool_new(int threads);
void fc_pool_free(fc_pool *pool);
int fc_pool_threads(const fc_pool *pool);
int fc_pool_pinned(const fc_pool *pool); /* threads that the OS let us pin */
/* Run task on every thread; return when all have. The caller sleeps meanwhile. */
void fc_pool_run(fc_pool *pool, fc_task *task, void *argument);
/* Inside a task: wait for the others. No system call unless one is late. */
void fc_pool_barrier(fc_pool *pool, int thread);

/* Rows are handed out in steps, so that kernels that take several rows at once
 * meet whole groups in every thread but the last: 8, or what lies together. */
int64_t fc_row_step(fc_format format);
typedef struct { int64_t begin, end; } fc_span;
/* The part of `rows` that falls to a thread, in multiples of `step`. */
fc_span fc_split(int64_t rows, int64_t step, int thread, int threads);
double fc_now(void); /* seconds, monotonic */

/* ---- packing -------------------------------------------------------------------- */

/* Ternary formats: weights of -1, 0, 1 to one row of a matrix of `rows` at `data` and
 * back. tq1_0 and tq2_0 get `scale` as every block's; the others keep theirs
 * beside the data. The bits of rows that lie together are left as they are.
 * Return 0, or -1 where the format is not ternary or cols does not suit it. */
int fc_pack_row(fc_format format, const int8_t *weights, int64_t rows, int64_t cols, float scale, uint8_t *data,
                int64_t row);
int fc_unpack_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t row, int8_t *weights);
/* Any format: one row to floats, its scale excluded where it lies beside the data. */
int fc_dequantise_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t row, float *out);
/* Legal random bytes for rows [begin, end) of a matrix of `rows`, begin a multiple of those
 * that lie together; sixteen rows (or one such set) are drawn and the rest are
 * copies of them, so that filling runs at the speed of memory. */
void fc_fill_rows(fc_format format, uint8_t *data, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                  uint64_t seed);

/* ---- measuring -------------------------------------------------------------------- */

/* Seconds of each of `rounds` reads of [data, data + bytes) by all threads. */
void fc_time_read(fc_pool *pool, const fc_kernels *kernels, const uint8_t *data, size_t bytes, int rounds,
                  double *seconds);
/* Seconds of each of `rounds` matrix-vector products, every one made of
 * `passes` over the matrix (more than one for matrices that fit a cache). */
void fc_time_gemv(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                  const fc_activation *x, int rounds, int passes, float *y, double *seconds);
/* The same of products with `tokens` vectors, one by one where that is quicker;
 * y holds tokens * rows floats. */
void fc_time_gemm(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                  const fc_activation *const *x, int tokens, int rounds, int passes, float *y, double *seconds);
/* First touch and fill of `count` rows from `first` on, by the threads that will read them. */
void fc_fill(fc_pool *pool, fc_format format, uint8_t *data, int64_t rows, int64_t cols, int64_t first, int64_t count,
             uint64_t seed);
/* How many of y's values differ from scalar's, bit by bit. */
int64_t fc_check_gemv(const fc_kernels *kernels, fc_format format, const fc_matrix *w, const fc_activation *x,
                      int64_t row_begin, int64_t row_end);

/* The same of a batch: each of its tokens beside scalar's product with it alone. */
int64_t fc_check_gemm(const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                      const fc_activation *const *x, int tokens, int64_t row_begin, int64_t row_end);

#endif
