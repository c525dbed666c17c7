/* A few tokens at once with NEON's products of small matrices (Armv8.6 and later, where present):
 * two rows by two tokens, eight columns each.
 *
 * Only formats of one scale a vector have them. Such a product adds eight columns to one sum,
 * and the floats of the others are added in lanes of four (see gemm.h): they stay with dot products. */
#include "fitcheck.h"

#if FC_ARM
#include <arm_neon.h>

#include "numeric.h"

#define NEON __attribute__((always_inline)) static inline

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("i8mm"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+i8mm")
#endif

enum {
    STRIP = 64,  /* packed bytes that are unpacked at once, and columns that they hold `strips` times */
    STRIPS = 5,
    STRETCH = 4, /* of them that meet all tokens while they are in the first-level cache */
    GROUP = 16,  /* rows for which tokens are paired once */
    AT_ONCE = 2, /* pairs of rows whose sums stay in registers */
    TOKEN_PAIRS = FC_MOST_TOKENS / 2
};

/* Two rows' or two tokens' columns of a stretch, eight of one and eight of the other by turns. */
typedef struct {
    _Alignas(STRIP) int8_t at[2 * STRETCH * STRIP * STRIPS];
} paired;

/* sum[2 i + j] gains eight columns of row i times token j. An instruction: see neon_sdot.h. */
NEON int32x4_t matrix_product(int32x4_t sum, int8x16_t rows, int8x16_t tokens) {
    __asm__("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(rows), "w"(tokens));
    return sum;
}

NEON void store_pair(int8_t *to, int8x16_t first, int8x16_t second) {
    int64x2_t a = vreinterpretq_s64_s8(first), b = vreinterpretq_s64_s8(second);
    vst1q_s8(to, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
    vst1q_s8(to + 16, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
}

/* ---- unpacking: 64 bytes of two rows ------------------------------------------------ */

typedef void unpack_pair(const uint8_t *first, const uint8_t *second, int8_t *to);

/* Below 86: 0, below 171: 1, above: 2. */
NEON int8x16_t front_digit(uint8x16_t fraction) {
    uint8x16_t above_0 = vcgtq_u8(fraction, vdupq_n_u8(85)), above_1 = vcgtq_u8(fraction, vdupq_n_u8(170));
    return vreinterpretq_s8_u8(vsraq_n_u8(vshrq_n_u8(above_0, 7), above_1, 7));
}

NEON void unpack_trit5(const uint8_t *first, const uint8_t *second, int8_t *to) {
    for (int i = 0; i < STRIP; i += 16) {
        uint8x16_t a = vld1q_u8(first + i), b = vld1q_u8(second + i);
        FC_UNROLL
        for (int k = 0; k < 5; k++) {
            store_pair(to + 2 * (STRIP * k + i), front_digit(a), front_digit(b));
            a = vmulq_u8(a, vdupq_n_u8(3));
            b = vmulq_u8(b, vdupq_n_u8(3));
        }
    }
}

NEON int8x16_t top_field(uint8x16_t bytes) { return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6)); }

NEON void unpack_i2_s(const uint8_t *first, const uint8_t *second, int8_t *to) {
    for (int i = 0; i < STRIP; i += 16) {
        uint8x16_t a = vld1q_u8(first + i), b = vld1q_u8(second + i);
        FC_UNROLL
        for (int k = 0; k < 4; k++) {
            store_pair(to + 2 * (STRIP * k + i), top_field(a), top_field(b));
            a = vshlq_n_u8(a, 2);
            b = vshlq_n_u8(b, 2);
        }
    }
}

/* Up to STRETCH times 64 bytes of two rows, of which `left` are there. */
NEON void unpack_rows(const uint8_t *first, const uint8_t *second, int64_t left, const int strips, unpack_pair *unpack,
                      paired *to) {
    for (int done = 0; done < STRETCH && left > 0; done++, first += STRIP, second += STRIP, left -= STRIP) {
        uint8_t last[2][STRIP] = {{0}};
        FC_PREFETCH(first + FC_PREFETCH_AHEAD);
        FC_PREFETCH(second + FC_PREFETCH_AHEAD);
        if (left < STRIP) {
            memcpy(last[0], first, (size_t)left);
            memcpy(last[1], second, (size_t)left);
        }
        unpack(left < STRIP ? last[0] : first, left < STRIP ? last[1] : second, to->at + 2 * STRIP * strips * done);
    }
}

/* ---- products ------------------------------------------------------------------------ */

/* Of each pair of rows, with each pair of tokens. */
typedef int32x4_t tile_sums[GROUP / 2][TOKEN_PAIRS];

/* `columns` of some pairs of rows and all pairs of tokens: few enough for registers. */
NEON void multiply(const paired *rows, const int row_pairs, const paired *tokens, const int token_pairs, int columns,
                   int32x4_t (*total)[TOKEN_PAIRS]) {
    int32x4_t sum[AT_ONCE][TOKEN_PAIRS];
    for (int r = 0; r < row_pairs; r++)
        for (int t = 0; t < token_pairs; t++) sum[r][t] = total[r][t];
    for (int at = 0; at < 2 * columns; at += 16) {
        int8x16_t w[AT_ONCE];
        FC_UNROLL
        for (int r = 0; r < row_pairs; r++) w[r] = vld1q_s8(rows[r].at + at);
        FC_UNROLL
        for (int t = 0; t < token_pairs; t++) {
            int8x16_t q = vld1q_s8(tokens[t].at + at);
            FC_UNROLL
            for (int r = 0; r < row_pairs; r++) sum[r][t] = matrix_product(sum[r][t], w[r], q);
        }
    }
    for (int r = 0; r < row_pairs; r++)
        for (int t = 0; t < token_pairs; t++) total[r][t] = sum[r][t];
}

NEON void multiply_any(const paired *rows, const int row_pairs, const paired *tokens, int token_pairs, int columns,
                       int32x4_t (*total)[TOKEN_PAIRS]) {
    switch (token_pairs) {
    case 1: multiply(rows, row_pairs, tokens, 1, columns, total); break;
    case 2: multiply(rows, row_pairs, tokens, 2, columns, total); break;
    case 3: multiply(rows, row_pairs, tokens, 3, columns, total); break;
    default: multiply(rows, row_pairs, tokens, TOKEN_PAIRS, columns, total);
    }
}

/* An odd last one is paired with itself, as a row is; what that gives is dropped. */
NEON void pair_tokens(const fc_activation *const *x, int tokens, int64_t at, int columns, paired *to) {
    for (int t = 0; t < tokens; t += 2, to++) {
        const int8_t *first = x[t]->q + at, *second = x[t + 1 < tokens ? t + 1 : t]->q + at;
        for (int c = 0; c < columns; c += 16) store_pair(to->at + 2 * c, vld1q_s8(first + c), vld1q_s8(second + c));
    }
}

NEON void multiply_group(const fc_matrix *m, const fc_activation *const *x, int tokens, int64_t row, int rows,
                         const int strips, unpack_pair *unpack, tile_sums total) {
    paired q[TOKEN_PAIRS], w[AT_ONCE];
    const int token_pairs = (tokens + 1) / 2;
    const uint8_t *data = m->data + row * m->row_bytes;
    for (int64_t byte = 0; byte < m->row_bytes; byte += STRETCH * STRIP) {
        int64_t left = m->row_bytes - byte, most = STRETCH * STRIP;
        int columns = (int)((left < most ? left + STRIP - 1 : most) / STRIP) * STRIP * strips;
        pair_tokens(x, tokens, byte * strips, columns, q);
        for (int pair = 0; pair < (rows + 1) / 2; pair += AT_ONCE) {
            for (int r = 0; r < AT_ONCE; r++) {
                int first = 2 * (pair + r) < rows ? 2 * (pair + r) : rows - 1;
                int second = first + 1 < rows ? first + 1 : first;
                unpack_rows(data + first * m->row_bytes + byte, data + second * m->row_bytes + byte, left, strips,
                            unpack, &w[r]);
            }
            multiply_any(w, AT_ONCE, q, token_pairs, columns, total + pair);
        }
    }
}

/* ---- together ------------------------------------------------------------------------ */

#define TERNARY_GEMM(format, strips, scale_step)                                                                     \
    void fc_gemm_##format##_neon_i8mm(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,  \
                                      int64_t end, float *y, int64_t stride) {                                       \
        for (int64_t row = begin; row < end; row += GROUP) {                                                         \
            tile_sums total;                                                                                         \
            memset(total, 0, sizeof total);                                                                          \
            int rows = (int)(end - row < GROUP ? end - row : GROUP);                                                 \
            multiply_group(w, x, tokens, row, rows, strips, unpack_##format, total);                                 \
            for (int r = 0; r < rows; r++)                                                                           \
                for (int t = 0; t < tokens; t++) {                                                                   \
                    int32_t sums[4];                                                                                 \
                    vst1q_s32(sums, total[r / 2][t / 2]);                                                            \
                    y[t * stride + row - begin + r] = fc_ternary_result(sums[r % 2 * 2 + t % 2], x[t],               \
                                                                        w->scales[(row + r) * (scale_step)]);       \
                }                                                                                                    \
        }                                                                                                            \
    }
TERNARY_GEMM(trit5, 5, 1)
TERNARY_GEMM(i2_s, 4, 0)

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
typedef int fc_no_arm_here;
#endif
