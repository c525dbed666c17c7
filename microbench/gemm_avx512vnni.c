/* A few tokens at once with AVX-512 VNNI.
 *
 * A tile is one or two rows and some tokens: weights are unpacked to registers once and meet every token
 * there, whose totals stay in registers too. Activations come from the second-level cache where the first
 * has no room for them; to cut rows into stretches for its sake measured slower.
 *
 * On Zen 4 multiplications of all kinds share one 64-byte unit, and a load of 64 bytes takes 1.2 cycles:
 * activations serve two rows where a row does little else with them. */
#include "fitcheck.h"

#if FC_X86
#include "avx512_blocks.h"
#include "avx512_tq1_fractions.h"

#define GEMM __attribute__((target(FC_AVX512_FEATURES)))
#define GEMM_INLINE FC_AVX512_INLINE
#define EACH(i, n) FC_UNROLL for (int i = 0; i < (n); i++)

/* ---- one scale a vector ------------------------------------------------------ */

typedef __m512i row_totals[FC_ROWS_TOGETHER];

/* tile_<format>(w, row, rows, x, tokens, total) leaves total[token][0 .. rows), still spread over the lanes, for at
 * most `most` tokens. Digits come plus `offset`. Tiles are called by name: clang unrolls nothing behind a pointer. */
#define TERNARY_KERNEL(format, most, offset, a_scale_a_row)                                                           \
    GEMM void fc_gemm_##format##_avx512vnni(const fc_matrix *w, const fc_activation *const *x, int tokens,            \
                                            int64_t begin, int64_t end, float *y, int64_t stride) {                   \
        row_totals total[FC_MOST_TOKENS];                                                                             \
        memset(total, 0, sizeof total);                                                                               \
        for (int64_t row = begin; row < end; row += FC_ROWS_TOGETHER, y += FC_ROWS_TOGETHER) {                        \
            int rows = end - row < FC_ROWS_TOGETHER ? (int)(end - row) : FC_ROWS_TOGETHER, r = 0;                     \
            __m512 scales = fc_scales_of_rows(w->scales + (a_scale_a_row) * row, rows, a_scale_a_row);                \
            for (; r + MOST_ROWS <= rows; r += MOST_ROWS)                                                             \
                FC_IN_PARTS(tokens, most, tile_##format(w, row + r, MOST_ROWS, x + t, n, (row_totals *)&total[t][r])) \
            for (; r < rows; r++)                                                                                     \
                FC_IN_PARTS(tokens, most, tile_##format(w, row + r, 1, x + t, n, (row_totals *)&total[t][r]))         \
            for (int t = 0; t < tokens; t++) fc_ternary_results(total[t], rows, x[t], offset, scales, y + t * stride); \
        }                                                                                                             \
    }

#define TERNARY_TILE(format, sums, none, add, total_of, columns)                                                      \
    GEMM_INLINE void tile_##format(const fc_matrix *w, int64_t row, const int n, const fc_activation *const *x,       \
                                   const int tokens, row_totals *total) {                                             \
        fc_rows rows = fc_rows_at(w, row, n);                                                                         \
        sums sum[MOST_ROWS * FC_MOST_TOKENS];                                                                         \
        __m512i bytes[MOST_ROWS];                                                                                     \
        const int8_t *q[FC_MOST_TOKENS];                                                                              \
        int64_t at = 0;                                                                                               \
        EACH(t, tokens) q[t] = x[t]->q;                                                                               \
        EACH(i, n * tokens) sum[i] = none();                                                                          \
        for (; rows.left >= 64; at += (columns)) {                                                                    \
            fc_next_vectors(&rows, bytes);                                                                            \
            add(sum, bytes, n, q, tokens, at);                                                                        \
        }                                                                                                             \
        if (rows.left) {                                                                                              \
            fc_last_vectors(&rows, bytes);                                                                            \
            add(sum, bytes, n, q, tokens, at);                                                                        \
        }                                                                                                             \
        EACH(r, n) EACH(t, tokens) total[t][r] = total_of(&sum[r * tokens + t]);                                      \
    }

GEMM_INLINE void add_trit5(__m512i *sum, __m512i *bytes, const int n, const int8_t *const *q, const int tokens, int64_t at) {
    fc_add_fractions(sum, bytes, n, 5, q, tokens, at);
}

TERNARY_TILE(trit5, __m512i, _mm512_setzero_si512, add_trit5, fc_fractions_total, FC_TRIT5_GROUP)
TERNARY_TILE(i2_s, fc_fields, fc_no_fields, fc_add_fields, fc_fields_total, FC_SUPER)
TERNARY_KERNEL(trit5, 4, 2, 1)
TERNARY_KERNEL(i2_s, 2, 1, 0)

/* ---- a scale a block ------------------------------------------------------------ */

/* tile_<format>(w, row, rows, apart, x, tokens, y, stride) makes y[token * stride + row * apart] of rows that lie
 * `apart` from each other. */
#define FLOAT_KERNEL(format, most_rows)                                                                               \
    GEMM void fc_gemm_##format##_avx512vnni(const fc_matrix *w, const fc_activation *const *x, int tokens,            \
                                            int64_t row, int64_t end, float *y, int64_t stride) {                     \
        for (int64_t apart; (apart = fc_rows_apart(w, row, end, most_rows)) > 0;                                      \
             row += (most_rows) * apart, y += (most_rows) * apart)                                                    \
            for (int64_t i = 0; i < apart; i++)                                                                       \
                FC_IN_PARTS(tokens, 4, tile_##format(w, row + i, most_rows, apart, x + t, n, y + t * stride + i, stride)) \
        for (; row < end; row++, y++)                                                                                 \
            FC_IN_PARTS(tokens, 4, tile_##format(w, row, 1, 1, x + t, n, y + t * stride, stride))                     \
    }

#define BLOCK_TILE(format, bytes)                                                                                     \
    GEMM_INLINE void tile_##format(const fc_matrix *w, int64_t row, const int n, int64_t apart,                       \
                                   const fc_activation *const *x, const int tokens, float *y, int64_t stride) {       \
        const uint8_t *at = w->data + row * w->row_bytes;                                                             \
        __m512 sum[FC_MOST_TOKENS][MOST_ROWS];                                                                        \
        EACH(t, tokens) EACH(r, n) sum[t][r] = _mm512_setzero_ps();                                                   \
        for (int64_t i = 0, left = w->row_bytes; left > 0; i++, at += (bytes), left -= (bytes)) {                     \
            block_##format block[MOST_ROWS];                                                                          \
            EACH(r, n) {                                                                                              \
                fc_ask_for_block(at + r * apart * w->row_bytes, bytes);                                               \
                block[r] = unpack_##format(at + r * apart * w->row_bytes, left);                                      \
            }                                                                                                         \
            EACH(t, tokens) meet_##format(sum[t], block, n, x[t], i);                                                 \
        }                                                                                                             \
        EACH(t, tokens) EACH(r, n) y[t * stride + r * apart] = fc_sum_halves(sum[t][r]);                              \
    }

BLOCK_TILE(tq2_0, FC_TQ2_BYTES)
BLOCK_TILE(q4_k, FC_Q4K_BYTES)
BLOCK_TILE(q6_k, FC_Q6K_BYTES)
BLOCK_TILE(q8_0, 2 * FC_Q8_BYTES)
FLOAT_KERNEL(tq2_0, MOST_ROWS)
FLOAT_KERNEL(q4_k, 1)
FLOAT_KERNEL(q6_k, MOST_ROWS)
FLOAT_KERNEL(q8_0, MOST_ROWS)

/* ---- tq1_0: sixteen blocks at a time ------------------------------------------------ */

/* Of n rows. */
GEMM_INLINE void tq1_sixteen(const uint8_t *block, const int64_t row_bytes, const int n, const int64_t left,
                             const fc_activation *const *x, const int tokens, int64_t first, __m512 (*sum)[FC_MOST_TOKENS]) {
    enum { SETS = FC_TQ1_TOGETHER / FC_TQ1_SET };
    const int8_t *q[FC_MOST_TOKENS];
    __m512i set[SETS][MOST_ROWS * FC_MOST_TOKENS], tails[MOST_ROWS * FC_MOST_TOKENS], tail_bytes[MOST_ROWS];
    __m256i scales[MOST_ROWS];
    EACH(r, n) {
        tq1_ends ends = tq1_all_ends(block + r * row_bytes, left);
        tail_bytes[r] = ends.tails;
        scales[r] = ends.scales;
    }
    EACH(t, tokens) q[t] = x[t]->q + first * FC_SUPER;
    EACH(i, n * tokens) tails[i] = no_digits();
    for (int i = 0; i < SETS; i++)
        tq1_sets(block + i * FC_TQ1_SET * FC_TQ1_BYTES, row_bytes, n, left - FC_TQ1_SET * i, q, tokens, FC_TQ1_SET_BYTES * i, set[i]);
    add_digits(tails, tail_bytes, n, 4, q, tokens, FC_TQ1_TAILS);
    EACH(r, n) EACH(t, tokens) {
        const int i = r * tokens + t;
        const __m512i sets[SETS] = {set[0][i], set[1][i], set[2][i], set[3][i]};
        sum[r][t] = tq1_finish(sum[r][t], sets, digits_total(&tails[i]), scales[r], x[t], first);
    }
}

GEMM_INLINE void tile_tq1_0(const fc_matrix *w, int64_t row, const int n, int64_t apart, const fc_activation *const *x,
                            const int tokens, float *y, int64_t stride) {
    const uint8_t *at = w->data + row * w->row_bytes;
    const int64_t blocks = w->cols / FC_SUPER, sixteen = FC_TQ1_TOGETHER * FC_TQ1_BYTES;
    __m512 sum[MOST_ROWS][FC_MOST_TOKENS];
    EACH(r, n) EACH(t, tokens) sum[r][t] = _mm512_setzero_ps();
    for (int64_t i = 0; i < blocks; i += FC_TQ1_TOGETHER, at += sixteen) {
        EACH(r, n) fc_ask_for_block(at + r * apart * w->row_bytes, FC_TQ1_TOGETHER * FC_TQ1_BYTES);
        tq1_sixteen(at, apart * w->row_bytes, n, blocks - i, x, tokens, i, sum);
    }
    EACH(r, n) EACH(t, tokens) y[t * stride + r * apart] = fc_sum_halves(sum[r][t]);
}
FLOAT_KERNEL(tq1_0, MOST_ROWS)

#else
typedef int fc_no_x86_here;
#endif
