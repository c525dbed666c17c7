/* A few tokens at once (speculative decoding, short prompts), for vectors of
 * any width: weights are unpacked once, to bytes in the first-level cache, and
 * meet every token's activations there.
 *
 * An ISA file defines, then includes this:
 *   GEMM_INLINE, GEMM         attributes of its helpers and of its kernels
 *   GEMM_NAME(format)         the symbol of a kernel
 *   GEMM_TOKENS               tokens whose sums, of two rows, stay in registers
 *   gemm_half(at)             an f16 as a float
 *   strip, strip_load(at)     64 bytes
 *   lanes                     FC_LANES sums of 32 bits
 *   lanes_zero(), lanes_load(at), lanes_store(at, a), lanes_add(a, b), lanes_sub(a, b), lanes_mul(a, b)
 *   lanes_dot(sum, w, q)      lane i gains bytes 4i to 4i + 3: w at most 63, q signed
 *   lanes_dot_signed(w, q)    the same of signed w and nothing
 *   ternary_dot(sum, w, q), ternary_sums(sum)   the same for w of 0 to 2: up to STRETCH * STRIPS dots are
 *                             gathered in whatever way is quickest, then become lanes
 *   lanes_of_quarters(part)   of four: lane 4 i + q is the sum over quarter q of part[i]
 *   floats, floats_zero(), floats_store(at, f)   FC_LANES floats
 *   floats_add(f, a, low, high)   f[i] + a[i] * (i < 8 ? low : high), fused
 *   floats_add_each(f, a, scale)  f[i] + a[i] * scale[i], fused
 * Unpacking is plain C: it is shared by the tokens, and compilers make vectors
 * of it under the ISA's own flags.
 *
 * Integers are added in another order than gemv's, floats in the same: results
 * equal the scalar gemv's, token by token, to the bit. */
#include "numeric.h"

enum { STRIP = 64, STRIPS = 5, GEMM_ROWS = 2, STRETCH = 8 };

/* Rows that meet a stretch of the activations while it is in the first-level
 * cache: all tokens' whole vectors don't fit there. */
enum { GROUP = 16 };

/* ---- unpacking: digits and nibbles in the order of the activations ---------- */

GEMM_INLINE void unpack_fractions(const uint8_t *bytes, uint8_t *w) {
    _Alignas(STRIP) uint8_t fraction[STRIP];
    memcpy(fraction, bytes, STRIP);
    for (int k = 0; k < 5; k++)
        for (int p = 0; p < STRIP; p++) {
            /* Below 86: 0, below 171: 1, above: 2; comparisons make narrower vectors than products. */
            w[STRIP * k + p] = (uint8_t)((fraction[p] > 85) + (fraction[p] > 170));
            fraction[p] = fc_next_fraction(fraction[p]);
        }
}

GEMM_INLINE void unpack_fields(const uint8_t *bytes, const int first_shift, const int step, uint8_t *w) {
    for (int k = 0; k < 4; k++)
        for (int p = 0; p < STRIP; p++) w[STRIP * k + p] = bytes[p] >> (first_shift + step * k) & 3;
}

GEMM_INLINE void unpack_nibbles(const uint8_t *bytes, uint8_t *w) {
    for (int p = 0; p < STRIP; p++) {
        w[p] = bytes[p] & 15;
        w[STRIP + p] = bytes[p] >> 4;
    }
}

/* ---- one scale a vector ------------------------------------------------------ */

/* 64 packed bytes to `strips` strips of digits. */
typedef void unpack_strips(const uint8_t *bytes, uint8_t *w);

GEMM_INLINE void unpack_trit5(const uint8_t *bytes, uint8_t *w) { unpack_fractions(bytes, w); }
GEMM_INLINE void unpack_i2_s(const uint8_t *bytes, uint8_t *w) { unpack_fields(bytes, 6, -2, w); }

/* Whole groups and the last, narrower one. */
GEMM_INLINE void unpack_group(const uint8_t *row, int64_t left, unpack_strips *unpack, uint8_t *w) {
    uint8_t last[STRIP] = {0};
    if (left < STRIP) memcpy(last, row, (size_t)left);
    unpack(left < STRIP ? last : row, w);
}

/* Some rows times some tokens, few enough for registers. */
GEMM_INLINE void ternary_tile(uint8_t (*w)[GEMM_ROWS][STRIP * STRIPS], int groups, const int rows, int64_t at,
                              const fc_activation *const *x, int first, const int tokens, const int strips,
                              int32_t (*total)[FC_MOST_TOKENS][FC_LANES]) {
    lanes sum[GEMM_ROWS][GEMM_TOKENS];
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) sum[r][t] = lanes_zero();
    for (int g = 0; g < groups; g++, at += STRIP * strips) {
        FC_UNROLL
        for (int k = 0; k < strips; k++) {
            strip digits[GEMM_ROWS];
            FC_UNROLL
            for (int r = 0; r < rows; r++) digits[r] = strip_load(w[g][r] + STRIP * k);
            FC_UNROLL
            for (int t = 0; t < tokens; t++) {
                strip q = strip_load(x[first + t]->q + at + STRIP * k);
                FC_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = ternary_dot(sum[r][t], digits[r], q);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++)
            lanes_store(total[r][first + t], lanes_add(lanes_load(total[r][first + t]), ternary_sums(sum[r][t])));
}

typedef int32_t group_sums[GROUP][FC_MOST_TOKENS][FC_LANES];

/* A stretch of one or two rows is unpacked and meets all tokens. */
GEMM_INLINE void ternary_stretch(const uint8_t *data, int64_t stride, int64_t left, const int rows, int64_t at,
                                 const fc_activation *const *x, int tokens, const int strips, unpack_strips *unpack,
                                 int32_t (*total)[FC_MOST_TOKENS][FC_LANES]) {
    _Alignas(STRIP) uint8_t w[STRETCH][GEMM_ROWS][STRIP * STRIPS];
    int groups = 0, t = 0;
    for (; groups < STRETCH && left > 0; groups++, data += STRIP, left -= STRIP)
        for (int r = 0; r < rows; r++) {
            FC_PREFETCH(data + r * stride + FC_PREFETCH_AHEAD);
            unpack_group(data + r * stride, left, unpack, w[groups][r]);
        }
    for (; t + GEMM_TOKENS <= tokens; t += GEMM_TOKENS)
        ternary_tile(w, groups, rows, at, x, t, GEMM_TOKENS, strips, total);
    for (; t < tokens; t++) ternary_tile(w, groups, rows, at, x, t, 1, strips, total);
}

GEMM_INLINE void ternary_group(const fc_matrix *m, const fc_activation *const *x, int tokens, int64_t row, int rows,
                               const int strips, unpack_strips *unpack, group_sums total) {
    int64_t stride = m->row_bytes;
    for (int64_t byte = 0, at = 0; byte < stride; byte += STRETCH * STRIP, at += STRETCH * STRIP * strips) {
        const uint8_t *data = m->data + row * stride + byte;
        int r = 0;
        for (; r + GEMM_ROWS <= rows; r += GEMM_ROWS)
            ternary_stretch(data + r * stride, stride, stride - byte, GEMM_ROWS, at, x, tokens, strips, unpack, total + r);
        for (; r < rows; r++)
            ternary_stretch(data + r * stride, stride, stride - byte, 1, at, x, tokens, strips, unpack, total + r);
    }
}

GEMM_INLINE int32_t sum_of_lanes(const int32_t lane[FC_LANES]) {
    int32_t sum = 0;
    for (int i = 0; i < FC_LANES; i++) sum += lane[i];
    return sum;
}

#define TERNARY_GEMM(format, strips, scale_step)                                                                      \
    GEMM void GEMM_NAME(format)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,         \
                                int64_t end, float *y, int64_t stride) {                                              \
        for (int64_t row = begin; row < end; row += GROUP) {                                                          \
            group_sums total = {{{0}}};                                                                               \
            int rows = (int)(end - row < GROUP ? end - row : GROUP);                                                  \
            ternary_group(w, x, tokens, row, rows, strips, unpack_##format, total);                                   \
            for (int r = 0; r < rows; r++)                                                                            \
                for (int t = 0; t < tokens; t++)                                                                      \
                    y[t * stride + row - begin + r] =                                                                 \
                        fc_ternary_result(sum_of_lanes(total[r][t]), x[t], w->scales[(row + r) * (scale_step)]);      \
        }                                                                                                             \
    }
TERNARY_GEMM(trit5, 5, 1)
TERNARY_GEMM(i2_s, 4, 0)

/* ---- a scale a block ---------------------------------------------------------
 *
 * Of every such format a block's sum is, lane by lane,
 *   sum over strips of factor[k] * (w[k] . q[k])  -  offset * lane_sum
 * times its scale, and q4_k takes minimum * lane_sum times another scale off. */

typedef struct {
    _Alignas(STRIP) uint8_t w[STRIP * STRIPS];
    int32_t factor[4][FC_LANES], offset[FC_LANES], minimum[FC_LANES];
    float scale, minimum_scale;
} block;

GEMM_INLINE void unpack_tq2_0(const uint8_t *b, block *to) {
    unpack_fields(b, 0, 2, to->w);
    to->scale = gemm_half(b + FC_TQ2_D);
}

GEMM_INLINE void unpack_q4_k(const uint8_t *b, block *to) {
    uint8_t sub[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, sub);
    for (int half = 0; half < 2; half++) unpack_nibbles(b + FC_Q4K_QS + STRIP * half, to->w + 2 * STRIP * half);
    for (int i = 0; i < FC_LANES; i++) {
        for (int k = 0; k < 4; k++) to->factor[k][i] = sub[k / 2 * 4 + i / 8 * 2 + k % 2];
        to->minimum[i] = sub[8 + i / 2];
    }
    to->scale = gemm_half(b);
    to->minimum_scale = gemm_half(b + 2);
}

GEMM_INLINE void unpack_q6_k(const uint8_t *b, block *to) {
    const int8_t *scales = (const int8_t *)b + FC_Q6K_SCALES;
    for (int half = 0; half < 2; half++) {
        const uint8_t *high = b + FC_Q6K_QH + 32 * half;
        uint8_t *w = to->w + 2 * STRIP * half;
        unpack_nibbles(b + STRIP * half, w);
        for (int strip = 0; strip < 4; strip++)
            for (int p = 0; p < 32; p++) w[32 * strip + p] |= (uint8_t)((high[p] >> 2 * strip & 3) << 4);
    }
    for (int i = 0; i < FC_LANES; i++) {
        for (int k = 0; k < 4; k++) to->factor[k][i] = scales[4 * k + i / 4];
        to->offset[i] = 32 * scales[i];
    }
    to->scale = gemm_half(b + FC_Q6K_D);
}

/* What a format's blocks have beside strips. */
typedef enum { PLUS_ONE, OFFSET, MINIMUM } correction;

/* One strip of a block, which some tokens share. */
GEMM_INLINE void add_strip(lanes *sum, const block *b, const int k, const fc_activation *const *x, const int tokens,
                           int64_t at, const correction kind) {
    strip w = strip_load(b->w + STRIP * k);
    FC_UNROLL
    for (int t = 0; t < tokens; t++) {
        strip q = strip_load(x[t]->q + at + STRIP * k);
        if (kind == PLUS_ONE) sum[t] = lanes_dot(sum[t], w, q);
        else sum[t] = lanes_add(sum[t], lanes_mul(lanes_dot(lanes_zero(), w, q), lanes_load(b->factor[k])));
    }
}

/* What a block's sums lack, and its scale. */
GEMM_INLINE floats finish_block(floats total, lanes sum, const block *b, const fc_activation *x, int64_t index,
                                const correction kind) {
    lanes beside = lanes_load(x->lane_sum + index * FC_LANES);
    float scale = b->scale * x->scale[index];
    if (kind == PLUS_ONE) sum = lanes_sub(sum, beside);
    if (kind == OFFSET) sum = lanes_sub(sum, lanes_mul(lanes_load(b->offset), beside));
    total = floats_add(total, sum, scale, scale);
    if (kind != MINIMUM) return total;
    float low = -(b->minimum_scale * x->scale[index]);
    return floats_add(total, lanes_mul(lanes_load(b->minimum), beside), low, low);
}

GEMM_INLINE void block_tile(floats *total, const block *b, int n, int64_t first, const fc_activation *const *x,
                            const int tokens, const int strips, const correction kind) {
    for (int i = 0; i < n; i++) {
        lanes sum[GEMM_TOKENS];
        FC_UNROLL
        for (int t = 0; t < tokens; t++) sum[t] = lanes_zero();
        FC_UNROLL
        for (int k = 0; k < strips; k++) add_strip(sum, &b[i], k, x, tokens, (first + i) * STRIP * strips, kind);
        FC_UNROLL
        for (int t = 0; t < tokens; t++) total[t] = finish_block(total[t], sum[t], &b[i], x[t], first + i, kind);
    }
}

GEMM_INLINE float reduce_floats(floats total) {
    float lane[FC_LANES];
    floats_store(lane, total);
    return fc_reduce_lanes(lane, FC_LANES);
}

/* Blocks that are unpacked before the tokens meet them, so that neither waits for the other. */
enum { BLOCKS = 4 };

typedef void unpack_block(const uint8_t *at, block *to);

typedef floats group_floats[GROUP][FC_MOST_TOKENS];

/* Up to BLOCKS blocks of a row are unpacked and meet all tokens. */
GEMM_INLINE void block_stretch(const uint8_t *at, int n, int64_t first, const fc_activation *const *x, int tokens,
                               unpack_block *unpack, const int bytes, const int strips, const correction kind,
                               floats *total) {
    block b[BLOCKS];
    int t = 0;
    for (int i = 0; i < BLOCKS && i < n; i++, at += bytes) {
        for (int ahead = 0; ahead < bytes; ahead += 64) FC_PREFETCH(at + FC_PREFETCH_AHEAD + ahead);
        unpack(at, &b[i]);
    }
    for (; t + GEMM_TOKENS <= tokens; t += GEMM_TOKENS)
        block_tile(total + t, b, n, first, x + t, GEMM_TOKENS, strips, kind);
    for (; t < tokens; t++) block_tile(total + t, b, n, first, x + t, 1, strips, kind);
}

GEMM_INLINE void block_group(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t row, int rows,
                             unpack_block *unpack, const int bytes, const int strips, const correction kind,
                             group_floats total) {
    int64_t blocks = w->cols / FC_SUPER;
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) total[r][t] = floats_zero();
    for (int64_t first = 0; first < blocks; first += BLOCKS) {
        int n = (int)(blocks - first < BLOCKS ? blocks - first : BLOCKS);
        for (int r = 0; r < rows; r++)
            block_stretch(w->data + (row + r) * w->row_bytes + first * bytes, n, first, x, tokens, unpack, bytes,
                          strips, kind, total[r]);
    }
}

GEMM_INLINE void write_group(group_floats total, int rows, int tokens, float *y, int64_t stride) {
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) y[t * stride + r] = reduce_floats(total[r][t]);
}

#define BLOCK_GEMM(format, bytes, strips, kind)                                                                       \
    GEMM void GEMM_NAME(format)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,         \
                                int64_t end, float *y, int64_t stride) {                                              \
        for (int64_t row = begin; row < end; row += GROUP) {                                                          \
            group_floats total;                                                                                       \
            int rows = (int)(end - row < GROUP ? end - row : GROUP);                                                  \
            block_group(w, x, tokens, row, rows, unpack_##format, bytes, strips, kind, total);                        \
            write_group(total, rows, tokens, y + (row - begin), stride);                                              \
        }                                                                                                             \
    }
BLOCK_GEMM(tq2_0, FC_TQ2_BYTES, 4, PLUS_ONE)
BLOCK_GEMM(q4_k, FC_Q4K_BYTES, 4, MINIMUM)
BLOCK_GEMM(q6_k, FC_Q6K_BYTES, 4, OFFSET)

#include "gemm_tq1.h"

/* ---- q8_0: two blocks of 32 share a strip; an odd last one stands beside zeros ---- */

GEMM_INLINE void q8_0_pair(floats *total, const uint8_t *at, const int two, const fc_activation *const *x, int tokens,
                           int64_t i) {
    _Alignas(STRIP) int8_t bytes[STRIP] = {0};
    float low = gemm_half(at), high = two ? gemm_half(at + FC_Q8_BYTES) : 0;
    memcpy(bytes, at + 2, FC_Q8_BLOCK);
    if (two) memcpy(bytes + FC_Q8_BLOCK, at + FC_Q8_BYTES + 2, FC_Q8_BLOCK);
    strip w = strip_load(bytes);
    for (int t = 0; t < tokens; t++) {
        lanes sum = lanes_dot_signed(w, strip_load(x[t]->q + i * FC_Q8_BLOCK));
        total[t] = floats_add(total[t], sum, low * x[t]->scale[i], two ? high * x[t]->scale[i + 1] : 0);
    }
}

enum { PAIRS = 8 };

GEMM void GEMM_NAME(q8_0)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin, int64_t end,
                          float *y, int64_t stride) {
    int64_t blocks = w->cols / FC_Q8_BLOCK;
    for (int64_t row = begin; row < end; row += GROUP) {
        group_floats total;
        int rows = (int)(end - row < GROUP ? end - row : GROUP);
        for (int r = 0; r < rows; r++)
            for (int t = 0; t < tokens; t++) total[r][t] = floats_zero();
        for (int64_t first = 0; first < blocks; first += 2 * PAIRS)
            for (int r = 0; r < rows; r++) {
                const uint8_t *at = w->data + (row + r) * w->row_bytes + first * FC_Q8_BYTES;
                for (int64_t i = first; i < blocks && i < first + 2 * PAIRS; i += 2, at += 2 * FC_Q8_BYTES) {
                    FC_PREFETCH(at + FC_PREFETCH_AHEAD);
                    if (i + 1 < blocks) q8_0_pair(total[r], at, 1, x, tokens, i);
                    else q8_0_pair(total[r], at, 0, x, tokens, i);
                }
            }
        write_group(total, rows, tokens, y + (row - begin), stride);
    }
}
