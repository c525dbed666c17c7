/* NEON with the dot-product instruction (Armv8.2 and later, where present). */
#include "fitcheck.h"

#if FC_ARM
/* Before arm_neon.h, which declares vdotq_s32 for no lesser target in some compilers. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include <arm_neon.h>

#define NEON __attribute__((always_inline)) static inline
#define NAME(operation, format) fc_##operation##_##format##_neon_dotprod

NEON int32x4_t dot(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }

#include "neon.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
typedef int fc_no_arm_here;
#endif
