/* NEON with the dot-product instruction (Armv8.2 and later, where present). */
#include "fitcheck.h"

#if FC_ARM
#include <arm_neon.h>

#define NEON __attribute__((always_inline)) static inline
#define NAME(operation, format) fc_##operation##_##format##_neon_dotprod

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#include "neon_sdot.h"
#include "neon.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
typedef int fc_no_arm_here;
#endif
