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

#include "neon_sdot.h"
#include "gemm_neon.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
typedef int fc_no_arm_here;
#endif
