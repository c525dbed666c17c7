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

/* ---- formats ------------------------------------------------------------
 *
 * trit5 is fitcheck's own: five ternary digits in a byte, ceil(cols / 5) bytes
 * a row, one float scale a row. Digits are weight + 1, so 0, 1 or 2.
 *
 *   byte code   Digits a b c d e stand in one byte as the fraction
 *               q / 243 with q = 81a + 27b + 9c + 3d + e, rounded up to the
 *               next 1/256: code = ceil(256 q / 243). Times 3 modulo 256
 *               brings the next digit to the front, where two comparisons (or
 *               two averages) read it; that needs only byte arithmetic. A
 *               machine with byte permutes looks the digits up instead.
 *   order       64 bytes are a group of 320 columns: byte p holds columns
 *               p, p+64, p+128, p+192, p+256, first digit first. So digit k of
 *               a vector of bytes meets 64 consecutive activations. The last
 *               group of t bytes has stride t in place of 64.
 *
 * trit3 is fitcheck's own too, for machines whose byte look-ups see 16 entries:
 * three digits in five bits, 24 columns of 64 rows in 320 bytes, rows padded to
 * whole groups of columns and of rows; one float scale a row.
 *
 *   code        Weights a b c make n = 9a + 3b + c, -13 to 13: four bits of
 *               |n|, one of its sign.
 *   order       Byte r (0 to 63) of each 64 belongs to row r. Steps 0 to 7 are
 *               columns 0-2, 3-5, ...: |n| of steps 2j and 2j + 1 lies in the
 *               low and high nibble of byte 64 j + r, the sign of step k in
 *               bit 7 - k of byte 256 + r. Groups follow one another along the
 *               rows; then come the next 64 rows.
 *
 * i2_s is bitnet.cpp's x86 layout: 128 columns in 32 bytes, byte p holding
 * columns p, p+32, p+64, p+96 at bits 6, 4, 2, 0; one scale for the matrix.
 *
 * tl1 and tl2 are bitnet.cpp's for kernels that look sums up; one scale for the
 * matrix. What lies where is in tl.h. A file goes on with zeros, to what 256
 * columns of tl2's twos would take: no kernel reads them, and they don't count here.
 *
 *   tl1         Weights a b make the nibble 3a + b + 4.
 *   tl2         Weights a b c make n = 9a + 3b + c: a nibble |n|, and apart from it a
 *               bit of sign. Columns past the last whole block of 96 lie as tl1's
 *               nibbles (a block is 192 in one published shape).
 *   rows        lie side by side in tiles, whose height bitnet.cpp chooses by the
 *               matrix's shape and no file tells. Rows are padded to whole strips,
 *               where bitnet.cpp refuses them.
 *
 * The others are ggml's, block by block.
 */
typedef enum {
    FC_trit5,
    FC_i2_s,
    FC_tq1_0,
    FC_tq2_0,
    FC_trit3,
    FC_tl1,
    FC_tl2,
    FC_LAST_TERNARY = FC_tl2,
    FC_q4_k,
    FC_q6_k,
    FC_q8_0,
    FC_f16,
    FC_bf16,
    FC_FORMATS
} fc_format;

/* What a format wants of the vector it is multiplied by. */
typedef enum {
    FC_ONE_SCALE,      /* int8, one scale for the whole vector (BitNet's way) */
    FC_SCALE_PER_256,  /* int8, a scale for each super-block */
    FC_SCALE_PER_32,
    FC_FLOATS
} fc_activation_kind;

typedef struct {
    const char *name;
    int block_weights;      /* cols must be a multiple of it */
    int block_bytes;        /* 0: trit5 and trit3, whose rows end in a partly used byte or group, and tl2 */
    int scales;             /* floats beside the data: a row's (1), the matrix's (0), none (-1) */
    fc_activation_kind activation;
    int together;           /* rows that lie interleaved: 1, trit3's 64, or strips of tl1 and tl2 */
} fc_format_facts;

const fc_format_facts *fc_facts(fc_format format);
int fc_format_by_name(const char *name);              /* -1: unknown */
int64_t fc_row_bytes(fc_format format, int64_t cols); /* -1: cols does not suit the format */
/* The whole matrix: rows that lie interleaved are padded to whole sets. */
int64_t fc_matrix_bytes(fc_format format, int64_t rows, int64_t cols);

/* Byte offsets inside ggml's blocks. */
enum {
    FC_SUPER = 256, /* columns in a super-block */
    FC_LANES = 16,  /* float accumulators a row, */
    FC_FLOAT_LANES = 32, /* and of formats that are floats: nothing else hides the adder's latency */
    FC_TQ1_QH = 48, FC_TQ1_D = 52, FC_TQ1_BYTES = 54,
    FC_TQ1_TOGETHER = 16, FC_TQ1_SET = 4, /* blocks: see fc_tq1_at in numeric.h */
    FC_TQ1_SET_BYTES = 3 * 5 * 64, FC_TQ1_TAILS = FC_TQ1_TOGETHER / FC_TQ1_SET * FC_TQ1_SET_BYTES,
    FC_TQ1_SIXTEEN = FC_TQ1_TAILS + 4 * 64, /* activations that sixteen blocks meet, one for each weight */
    FC_TQ2_D = 64, FC_TQ2_BYTES = 66,
    FC_Q4K_SCALES = 4, FC_Q4K_QS = 16, FC_Q4K_BYTES = 144,
    FC_Q6K_QH = 128, FC_Q6K_SCALES = 192, FC_Q6K_D = 208, FC_Q6K_BYTES = 210,
    FC_Q8_BLOCK = 32, FC_Q8_BYTES = 34,
    FC_TRIT5_GROUP = 320, FC_TRIT5_GROUP_BYTES = 64,
    FC_TRIT3_ROWS = 64, FC_TRIT3_GROUP = 24, FC_TRIT3_STEPS = 8,
    FC_TRIT3_SIGNS = 4 * FC_TRIT3_ROWS, FC_TRIT3_GROUP_BYTES = 5 * FC_TRIT3_ROWS,
    FC_TL2_BLOCK = 96
};

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
 * super-block. */
typedef struct {
    int8_t *q;
    float *f;
    float *scale;    /* one, or one a block */
    int32_t *lane_sum;
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

/* The same for a few tokens: y[t * stride + row - row_begin]. Weights are unpacked
 * once for all of them; each token's results equal its own gemv's to the bit. */
enum { FC_MOST_TOKENS = 8 };
typedef void fc_gemm(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t row_begin,
                     int64_t row_end, float *y, int64_t stride);
/* The formats that have one: floats need no unpacking, and trit3, tl1 and tl2 look up sums of one vector. */
#define FC_GEMM_FORMATS(X) X(trit5) X(i2_s) X(tq1_0) X(tq2_0) X(q4_k) X(q6_k) X(q8_0)

/* Attention of `heads` query heads that share one KV head, over `cells` cached
 * cells: out[h] = softmax(q[h] . K) V. K and V are f16, dim a multiple of 32;
 * q is already scaled. `scratch` holds FC_ATTEND_SCRATCH(heads, dim) floats.
 * Unlike the products, results of two ISAs agree to rounding only. */
enum { FC_ATTEND_CHUNK = 64 };
#define FC_ATTEND_SCRATCH(heads, dim) ((size_t)(heads) * (FC_ATTEND_CHUNK + 2) + 2 * (size_t)(dim))
typedef void fc_attend(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                       float *out, float *scratch);

/* Read every byte of [data, data + bytes), a multiple of 1024, and return a
 * value that depends on all of them. */
typedef uint64_t fc_read(const uint8_t *data, size_t bytes);

/* ---- kernels -------------------------------------------------------------- */

typedef struct {
    const char *isa;
    uint64_t needs;  /* FC_CPU_* bits, all of them */
    fc_gemv *gemv[FC_FORMATS];
    fc_gemm *gemm[FC_FORMATS];
    int gemm_from[FC_FORMATS]; /* tokens from which it beats as many products with one */
    fc_attend *attend;
    fc_read *read;
} fc_kernels;

#define GEMV(format, isa) fc_gemv fc_gemv_##format##_##isa;
#define GEMM_OF(format, isa) fc_gemm fc_gemm_##format##_##isa;
#define FC_EVERY_GEMM(isa) \
    GEMM_OF(trit5, isa) GEMM_OF(i2_s, isa) GEMM_OF(tq1_0, isa) GEMM_OF(tq2_0, isa) \
    GEMM_OF(q4_k, isa) GEMM_OF(q6_k, isa) GEMM_OF(q8_0, isa)
#define GEMM FC_EVERY_GEMM
#define GEMM_FROM(format, tokens)
#define ATTEND(isa) fc_attend fc_attend_f16_##isa;
#define READ(isa) fc_read fc_read_bytes_##isa;
#define FC_ISA(isa, needs, kernels) kernels
#include "kernels.def"
#undef FC_ISA
#undef READ
#undef ATTEND
#undef GEMM_FROM
#undef GEMM
#undef GEMM_OF
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
const fc_kernels *fc_best_attend(const char *cap);
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
