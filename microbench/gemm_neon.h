/* gemm.h's types as four NEON registers each; `dot` (as neon.h wants it) and
 * GEMM_NAME are the ISA file's own. */
#include <arm_neon.h>

#include "numeric.h"

#define GEMM
#define GEMM_INLINE NEON

typedef struct {
    int32x4_t part[4];
} lanes;
typedef struct {
    int8x16_t part[4];
} strip;
typedef struct {
    float32x4_t part[4];
} floats;
enum { GEMM_TOKENS = 2 };

#define EACH(type, expression)                                        \
    do {                                                              \
        type all;                                                     \
        FC_UNROLL                                                     \
        for (int i = 0; i < 4; i++) all.part[i] = (expression);       \
        return all;                                                   \
    } while (0)

NEON float gemm_half(const uint8_t *at) { return fc_half_at(at); }
NEON strip strip_load(const void *at) { EACH(strip, vld1q_s8((const int8_t *)at + 16 * i)); }

NEON lanes lanes_zero(void) { EACH(lanes, vdupq_n_s32(0)); }
NEON lanes lanes_load(const int32_t *at) { EACH(lanes, vld1q_s32(at + 4 * i)); }
NEON lanes lanes_add(lanes a, lanes b) { EACH(lanes, vaddq_s32(a.part[i], b.part[i])); }
NEON lanes lanes_sub(lanes a, lanes b) { EACH(lanes, vsubq_s32(a.part[i], b.part[i])); }
NEON lanes lanes_mul(lanes a, lanes b) { EACH(lanes, vmulq_s32(a.part[i], b.part[i])); }
NEON lanes lanes_dot(lanes sum, strip w, strip q) { EACH(lanes, dot(sum.part[i], w.part[i], q.part[i])); }
NEON lanes lanes_dot_signed(strip w, strip q) { return lanes_dot(lanes_zero(), w, q); }
NEON lanes ternary_dot(lanes sum, strip w, strip q) { return lanes_dot(sum, w, q); }
NEON lanes ternary_sums(lanes sum) { return sum; }

NEON lanes lanes_of_quarters(const lanes part[4]) {
    EACH(lanes, vpaddq_s32(vpaddq_s32(part[i].part[0], part[i].part[1]), vpaddq_s32(part[i].part[2], part[i].part[3])));
}

NEON void lanes_store(int32_t *at, lanes a) {
    for (int i = 0; i < 4; i++) vst1q_s32(at + 4 * i, a.part[i]);
}

NEON floats floats_zero(void) { EACH(floats, vdupq_n_f32(0)); }

NEON void floats_store(float *at, floats f) {
    for (int i = 0; i < 4; i++) vst1q_f32(at + 4 * i, f.part[i]);
}

NEON floats floats_add(floats f, lanes a, float low, float high) {
    EACH(floats, vfmaq_f32(f.part[i], vcvtq_f32_s32(a.part[i]), vdupq_n_f32(i < 2 ? low : high)));
}

NEON floats floats_add_each(floats f, lanes a, const float *scale) {
    EACH(floats, vfmaq_f32(f.part[i], vcvtq_f32_s32(a.part[i]), vld1q_f32(scale + 4 * i)));
}

#include "gemm.h"
