/* A few tokens at once with NEON as every 64-bit Arm has it: see gemm.h. */
#include "fitcheck.h"

#if FC_ARM
#include <arm_neon.h>

#define NEON __attribute__((always_inline)) static inline
#define GEMM_NAME(format) fc_gemm_##format##_neon

NEON int32x4_t dot(int32x4_t sum, int8x16_t a, int8x16_t b) {
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

#include "gemm_neon.h"

#else
typedef int fc_no_arm_here;
#endif
