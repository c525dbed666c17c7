/* NEON, with and without the dot-product instruction, from one text.
 *
 * The two differ in one step, sixteen products of signed bytes added to four
 * lanes, and so an ISA file defines, then includes this:
 *   NEON                      its function attributes
 *   dot(int32x4_t, int8x16_t, int8x16_t)   lane i gains bytes 4i to 4i + 3
 *   NAME(operation, format)   the symbol of a kernel
 * A 64-byte vector of the wider machines is four registers here. */
#include <arm_neon.h>

#include "numeric.h"

typedef struct {
    int32x4_t part[4];
} lane_sums;

NEON lane_sums no_sums(void) {
    int32x4_t zero = vdupq_n_s32(0);
    return (lane_sums){{zero, zero, zero, zero}};
}

NEON int32_t sum_lanes(const lane_sums *s) {
    return vaddvq_s32(vaddq_s32(vaddq_s32(s->part[0], s->part[1]), vaddq_s32(s->part[2], s->part[3])));
}

/* The first n bytes (0 to 16) and zeros; touches no byte past them. */
NEON uint8x16_t load_first(const uint8_t *at, int64_t n) {
    uint8_t bytes[16] = {0};
    if (n > 0) memcpy(bytes, at, (size_t)(n > 16 ? 16 : n));
    return vld1q_u8(bytes);
}

/* ---- trit5 -------------------------------------------------------------------- */

/* -1, 0 or 1: below 86, below 171, above. */
NEON int8x16_t front_weight(uint8x16_t fraction) {
    uint8x16_t not_low = vcgtq_u8(fraction, vdupq_n_u8(85)), not_high = vcltq_u8(fraction, vdupq_n_u8(171));
    return vreinterpretq_s8_u8(vsubq_u8(not_high, not_low));
}

/* 16 bytes, which meet every 64th sixteen of the activations. */
NEON int32x4_t add_fractions(int32x4_t sum, uint8x16_t fraction, const int digits, const int8_t *q) {
    FC_UNROLL
    for (int k = 0; k < digits; k++) {
        sum = dot(sum, front_weight(fraction), vld1q_s8(q + 64 * k));
        fraction = vmulq_u8(fraction, vdupq_n_u8(3));
    }
    return sum;
}

NEON int32_t trit5_dot(const uint8_t *row, int64_t bytes, const fc_activation *x) {
    lane_sums s = no_sums();
    const int8_t *q = x->q;
    for (; bytes >= 64; bytes -= 64, row += 64, q += FC_TRIT5_GROUP) {
        FC_PREFETCH(row + FC_PREFETCH_AHEAD);
        FC_UNROLL
        for (int i = 0; i < 4; i++) s.part[i] = add_fractions(s.part[i], vld1q_u8(row + 16 * i), 5, q + 16 * i);
    }
    for (int i = 0; i < 4 && 16 * i < bytes; i++)
        s.part[i] = add_fractions(s.part[i], load_first(row + 16 * i, bytes - 16 * i), 5, q + 16 * i);
    return sum_lanes(&s) + x->sum; /* weights came with their signs: see fc_ternary_result */
}

void NAME(gemv, trit5)(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++)
        y[row - begin] =
            fc_ternary_result(trit5_dot(w->data + row * w->row_bytes, w->row_bytes, x), x, w->scales[row]);
}

/* ---- i2_s ----------------------------------------------------------------------- */

NEON int32x4_t add_two_bit(int32x4_t sum, uint8x16_t bytes, const int8_t *q) {
    uint8x16_t three = vdupq_n_u8(3);
    sum = dot(sum, vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6)), vld1q_s8(q));
    sum = dot(sum, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 4), three)), vld1q_s8(q + 64));
    sum = dot(sum, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 2), three)), vld1q_s8(q + 128));
    return dot(sum, vreinterpretq_s8_u8(vandq_u8(bytes, three)), vld1q_s8(q + 192));
}

NEON int32_t i2_s_dot(const uint8_t *row, int64_t cols, const fc_activation *x) {
    lane_sums s = no_sums();
    for (int64_t block = 0; block < cols / 128; block++, row += 32) {
        const int8_t *q = x->q + block / 2 * 256 + block % 2 * 32;
        FC_PREFETCH(row + FC_PREFETCH_AHEAD);
        s.part[0] = add_two_bit(s.part[0], vld1q_u8(row), q);
        s.part[1] = add_two_bit(s.part[1], vld1q_u8(row + 16), q + 16);
    }
    return sum_lanes(&s);
}

void NAME(gemv, i2_s)(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++)
        y[row - begin] = fc_ternary_result(i2_s_dot(w->data + row * w->row_bytes, w->cols, x), x, w->scales[0]);
}

/* ---- a scale a block -------------------------------------------------------------- */

typedef struct {
    float32x4_t part[4];
} totals;

NEON totals no_totals(void) {
    float32x4_t zero = vdupq_n_f32(0);
    return (totals){{zero, zero, zero, zero}};
}

NEON void add_scaled(totals *t, const lane_sums *s, float scale) {
    FC_UNROLL
    for (int i = 0; i < 4; i++) t->part[i] = vfmaq_f32(t->part[i], vcvtq_f32_s32(s->part[i]), vdupq_n_f32(scale));
}

NEON float reduce_lanes(const totals *t) {
    float lane[FC_LANES];
    for (int i = 0; i < 4; i++) vst1q_f32(lane + 4 * i, t->part[i]);
    return fc_reduce_lanes(lane, FC_LANES);
}

/* tq1_0: four blocks make a set, a lane each, and their tails a vector; see fc_tq1_at. */
static const uint8_t no_block[FC_TQ1_BYTES]; /* one that isn't there: its activations are zeros too */

/* Sums of blocks at[0] to at[3], of which the first is number b. */
NEON int32x4_t tq1_0_set(const uint8_t *const at[FC_TQ1_SET], const fc_activation *x, int64_t b) {
    lane_sums s = no_sums();
    uint32_t tail[FC_TQ1_SET];
    FC_UNROLL
    for (int i = 0; i < FC_TQ1_SET; i++) {
        for (int chunk = 0; chunk < 3; chunk++)
            s.part[i] = add_fractions(s.part[i], vld1q_u8(at[i] + 16 * chunk), 5, x->q + fc_tq1_at(b + i, chunk, 0));
        tail[i] = fc_load_u32(at[i] + FC_TQ1_QH);
    }
    int32x4_t sum = vpaddq_s32(vpaddq_s32(s.part[0], s.part[1]), vpaddq_s32(s.part[2], s.part[3]));
    return add_fractions(sum, vreinterpretq_u8_u32(vld1q_u32(tail)), 4, x->q + fc_tq1_at(b, 3, 0));
}

NEON void add_tq1_0(totals *t, const uint8_t *block, int64_t left, const fc_activation *x, int64_t b) {
    const uint8_t *at[FC_TQ1_SET];
    float scale[FC_TQ1_SET];
    int set = (int)(b % FC_TQ1_TOGETHER / FC_TQ1_SET);
    for (int i = 0; i < FC_TQ1_SET; i++) {
        at[i] = i < left ? block + i * FC_TQ1_BYTES : no_block;
        scale[i] = i < left ? fc_half_at(at[i] + FC_TQ1_D) * x->scale[b + i] : 0;
    }
    t->part[set] = vfmaq_f32(t->part[set], vcvtq_f32_s32(tq1_0_set(at, x, b)), vld1q_f32(scale));
}

void NAME(gemv, tq1_0)(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        totals t = no_totals();
        const uint8_t *at = w->data + row * w->row_bytes;
        for (int64_t b = 0, blocks = w->cols / FC_SUPER; b < blocks; b += FC_TQ1_SET, at += FC_TQ1_SET * FC_TQ1_BYTES) {
            for (int i = 0; i < FC_TQ1_SET * FC_TQ1_BYTES; i += 64) FC_PREFETCH(at + FC_PREFETCH_AHEAD + i);
            add_tq1_0(&t, at, blocks - b, x, b);
        }
        y[row - begin] = reduce_lanes(&t);
    }
}

NEON void add_tq2_0(totals *t, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    lane_sums s;
    uint8x16_t three = vdupq_n_u8(3);
    FC_UNROLL
    for (int i = 0; i < 4; i++, q += 16) {
        uint8x16_t bytes = vld1q_u8(b + 16 * i);
        int32x4_t sum = vnegq_s32(vld1q_s32(lane_sum + 4 * i));
        sum = dot(sum, vreinterpretq_s8_u8(vandq_u8(bytes, three)), vld1q_s8(q));
        sum = dot(sum, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 2), three)), vld1q_s8(q + 64));
        sum = dot(sum, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 4), three)), vld1q_s8(q + 128));
        s.part[i] = dot(sum, vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6)), vld1q_s8(q + 192));
    }
    add_scaled(t, &s, fc_half_at(b + FC_TQ2_D) * scale);
}

/* Products of 16 columns that share a scale. */
NEON int32x4_t scaled_products(int32x4_t sum, int8x16_t weights, const int8_t *q, int32_t scale) {
    return vmlaq_n_s32(sum, dot(vdupq_n_s32(0), weights, vld1q_s8(q)), scale);
}

NEON void add_q4_k(totals *t, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    uint8_t sub[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, sub);
    lane_sums s = no_sums(), low;
    FC_UNROLL
    for (int i = 0; i < 8; i++) {
        uint8x16_t bytes = vld1q_u8(b + FC_Q4K_QS + 16 * i);
        int8x16_t first = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
        int8x16_t second = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
        const int8_t *at = q + i / 4 * 128 + i % 4 * 16;
        s.part[i % 4] = scaled_products(s.part[i % 4], first, at, sub[i / 2 * 2]);
        s.part[i % 4] = scaled_products(s.part[i % 4], second, at + 64, sub[i / 2 * 2 + 1]);
    }
    FC_UNROLL
    for (int i = 0; i < 4; i++) {
        int32_t twice[4] = {sub[8 + 2 * i], sub[8 + 2 * i], sub[9 + 2 * i], sub[9 + 2 * i]};
        low.part[i] = vmulq_s32(vld1q_s32(twice), vld1q_s32(lane_sum + 4 * i));
    }
    add_scaled(t, &s, fc_half_at(b) * scale);
    add_scaled(t, &low, -(fc_half_at(b + 2) * scale));
}

/* Sixteen of a super-block's columns, without their offset of 32. */
NEON int8x16_t q6_k_weights(const uint8_t *b, const int i) {
    int half = i / 8, strip = i % 8 / 2;
    uint8x16_t low = vld1q_u8(b + half * 64 + i % 4 * 16), high = vld1q_u8(b + FC_Q6K_QH + half * 32 + i % 2 * 16);
    uint8x16_t four = strip < 2 ? vandq_u8(low, vdupq_n_u8(15)) : vshrq_n_u8(low, 4);
    uint8x16_t two = vandq_u8(vshlq_u8(high, vdupq_n_s8((int8_t)(-2 * strip))), vdupq_n_u8(3));
    return vreinterpretq_s8_u8(vorrq_u8(four, vshlq_n_u8(two, 4)));
}

NEON void add_q6_k(totals *t, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    const int8_t *scales = (const int8_t *)b + FC_Q6K_SCALES;
    lane_sums s = no_sums();
    FC_UNROLL
    for (int i = 0; i < 16; i++)
        s.part[i % 4] = scaled_products(s.part[i % 4], q6_k_weights(b, i), q + 16 * i, scales[i]);
    FC_UNROLL
    for (int i = 0; i < 4; i++) {
        int32_t wide[4] = {scales[4 * i], scales[4 * i + 1], scales[4 * i + 2], scales[4 * i + 3]};
        s.part[i] = vmlsq_s32(s.part[i], vshlq_n_s32(vld1q_s32(wide), 5), vld1q_s32(lane_sum + 4 * i));
    }
    add_scaled(t, &s, fc_half_at(b + FC_Q6K_D) * scale);
}

#define BLOCK_KERNEL(format, block_bytes)                                                                           \
    void NAME(gemv, format)(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {     \
        for (int64_t row = begin; row < end; row++) {                                                               \
            totals t = no_totals();                                                                                 \
            const uint8_t *at = w->data + row * w->row_bytes;                                                       \
            for (int64_t b = 0; b < w->cols / FC_SUPER; b++, at += block_bytes) {                                   \
                for (int i = 0; i < block_bytes; i += 64) FC_PREFETCH(at + FC_PREFETCH_AHEAD + i);                  \
                add_##format(&t, at, x->q + b * FC_SUPER, x->lane_sum + b * FC_LANES, x->scale[b]);                  \
            }                                                                                                       \
            y[row - begin] = reduce_lanes(&t);                                                                      \
        }                                                                                                           \
    }
BLOCK_KERNEL(tq2_0, FC_TQ2_BYTES)
BLOCK_KERNEL(q4_k, FC_Q4K_BYTES)
BLOCK_KERNEL(q6_k, FC_Q6K_BYTES)

void NAME(gemv, q8_0)(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        totals t = no_totals();
        const uint8_t *at = w->data + row * w->row_bytes;
        for (int64_t i = 0; i < w->cols / FC_Q8_BLOCK; i++, at += FC_Q8_BYTES) {
            float32x4_t scale = vdupq_n_f32(fc_half_at(at) * x->scale[i]);
            FC_PREFETCH(at + FC_PREFETCH_AHEAD);
            FC_UNROLL
            for (int h = 0; h < 2; h++) {
                int8x16_t weights = vld1q_s8((const int8_t *)at + 2 + 16 * h);
                int32x4_t sum = dot(vdupq_n_s32(0), weights, vld1q_s8(x->q + i * FC_Q8_BLOCK + 16 * h));
                float32x4_t *total = &t.part[i % 2 * 2 + h];
                *total = vfmaq_f32(*total, vcvtq_f32_s32(sum), scale);
            }
        }
        y[row - begin] = reduce_lanes(&t);
    }
}
