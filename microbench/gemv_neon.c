/* NEON as every 64-bit Arm has it. */
#include "fitcheck.h"

#if FC_ARM
#include <arm_neon.h>

#define NEON __attribute__((always_inline)) static inline
#define NAME(operation, format) fc_##operation##_##format##_neon

/* Pairs in 16 bits (digits and nibbles stay far below; q8_0's bytes, at most
 * 2 * 128 * 127, just fit), pairs of those in 32. */
NEON int32x4_t dot(int32x4_t sum, int8x16_t a, int8x16_t b) {
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

#include "neon.h"

/* ---- floats ------------------------------------------------------------------- */

NEON float32x4_t floats_of_f16(const uint8_t *at) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
}

NEON float32x4_t floats_of_bf16(const uint8_t *at) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(at)), 16));
}

/* The last columns, one a lane, are added after the vectors. */
#define FLOAT_KERNEL(format, to_float)                                                                               \
    NEON float format##_dot(const uint8_t *at, const float *x, int64_t cols) {                                       \
        float32x4_t total[8];                                                                                        \
        float lane[FC_FLOAT_LANES];                                                                                  \
        FC_UNROLL                                                                                                    \
        for (int i = 0; i < 8; i++) total[i] = vdupq_n_f32(0);                                                       \
        for (; cols >= FC_FLOAT_LANES; cols -= FC_FLOAT_LANES, at += 64, x += FC_FLOAT_LANES) {                      \
            FC_PREFETCH(at + FC_PREFETCH_AHEAD);                                                                     \
            FC_UNROLL                                                                                                \
            for (int i = 0; i < 8; i++)                                                                              \
                total[i] = vfmaq_f32(total[i], floats_of_##format(at + 8 * i), vld1q_f32(x + 4 * i));                \
        }                                                                                                            \
        for (int i = 0; i < 8; i++) vst1q_f32(lane + 4 * i, total[i]);                                               \
        for (int64_t i = 0; i < cols; i++) lane[i] = fmaf(to_float(fc_load_u16(at + 2 * i)), x[i], lane[i]);         \
        return fc_reduce_lanes(lane, FC_FLOAT_LANES);                                                                \
    }                                                                                                                \
    void fc_gemv_##format##_neon(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) { \
        for (int64_t row = begin; row < end; row++)                                                                  \
            y[row - begin] = format##_dot(w->data + row * w->row_bytes, x->f, w->cols);                              \
    }
FLOAT_KERNEL(f16, fc_float_of_half)
FLOAT_KERNEL(bf16, fc_float_of_bf16)

/* ---- attention ------------------------------------------------------------------ */

typedef float32x4_t vec;
enum { VEC_FLOATS = 4 };
#define ATTEND_INLINE NEON

NEON vec vec_zero(void) { return vdupq_n_f32(0); }
NEON vec vec_set(float x) { return vdupq_n_f32(x); }
NEON vec vec_load(const float *at) { return vld1q_f32(at); }
NEON void vec_store(float *at, vec v) { vst1q_f32(at, v); }
NEON vec vec_of_half(const uint16_t *at) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at))); }
NEON vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
NEON vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
NEON vec vec_max(vec a, vec b) { return vmaxq_f32(a, b); }
NEON float vec_sum(vec v) { return vaddvq_f32(v); }
NEON vec vec_round(vec v) { return vrndnq_f32(v); }
NEON vec vec_two_to_the(vec n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}

#include "attend.h"

void fc_attend_f16_neon(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                        float *out, float *scratch) {
    attend_all(q, heads, k, v, cells, dim, out, scratch);
}

/* ---- reading --------------------------------------------------------------------- */

typedef struct {
    uint8x16_t quarter[4];
} line;
#define READ_INLINE NEON

NEON line line_zero(void) { return (line){{vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0)}}; }
NEON line line_add(line sum, const uint8_t *at) {
    for (int i = 0; i < 4; i++) sum.quarter[i] = veorq_u8(sum.quarter[i], vld1q_u8(at + 16 * i));
    return sum;
}
NEON uint64_t line_fold(line sum) {
    uint8x16_t low = veorq_u8(sum.quarter[0], sum.quarter[1]), high = veorq_u8(sum.quarter[2], sum.quarter[3]);
    uint64x2_t all = vreinterpretq_u64_u8(veorq_u8(low, high));
    return vgetq_lane_u64(all, 0) ^ vgetq_lane_u64(all, 1);
}

#include "read.h"

uint64_t fc_read_bytes_neon(const uint8_t *data, size_t bytes) { return read_streams(data, bytes); }

#else
typedef int fc_no_arm_here;
#endif
