/* A few tokens at once with AVX2: see gemm.h. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#define GEMM __attribute__((target("avx2,fma,f16c")))
#define GEMM_INLINE GEMM __attribute__((always_inline)) static inline
#define GEMM_NAME(format) fc_gemm_##format##_avx2
#define GEMM_HAS_BLOCKS /* in gemv_avx2_blocks.c */

/* Pairs in 16 bits, at most 2 * 128 * 127, then pairs of those. */
GEMM_INLINE __m256i dot_half(__m256i sum, __m256i w, __m256i q) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, q), _mm256_set1_epi16(1)));
}

/* Digits are 2 at most: forty of their pairs, 2 * 2 * 127 each, still fit 16 bits. */
GEMM_INLINE __m256i ternary_half(__m256i sum, __m256i w, __m256i q) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, q));
}

GEMM_INLINE __m256i ternary_sums_half(__m256i sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }

#include "gemm_x86_halves.h"

#include "gemm.h"

#else
typedef int fc_no_x86_here;
#endif
