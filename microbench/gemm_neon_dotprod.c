/* A few tokens at once with NEON's dot products: see gemm.h. */
#include "fitcheck.h"

#if FC_ARM
#include <arm_neon.h>

#define NEON __attribute__((always_inline)) static inline
#define GEMM_NAME(format) fc_gemm_##format##_neon_dotprod

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

NEON int32x4_t dot(int32x4_t sum, int8x16_t a, int8x16_t b) {
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
    return sum;
}

#include "gemm_neon.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
typedef int fc_no_arm_here;
#endif
