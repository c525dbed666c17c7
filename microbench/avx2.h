/* What the AVX2 files share. Sums of byte products are 16 bits wide here, so
 * scaled fields and long rows need care that VNNI does not. */
#ifndef FITCHECK_AVX2_H
#define FITCHECK_AVX2_H

#include <immintrin.h>

#include "numeric.h"

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

AVX2_INLINE int32_t sum_lanes(__m256i v) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

/* A value that gcc may not look through, nor move; clang does better unasked. */
AVX2_INLINE __m256i in_register(__m256i x) {
#if !defined(__clang__)
    __asm__("" : "+x"(x));
#endif
    return x;
}

/* Sixteen 16-bit sums to eight of 32 bits. */
AVX2_INLINE __m256i widen(__m256i v) { return _mm256_madd_epi16(v, _mm256_set1_epi16(1)); }

/* The first n bytes (0 to 32) and zeros; touches no byte past them. */
AVX2_INLINE __m256i load_first(const uint8_t *at, int64_t n) {
    uint8_t bytes[32] = {0};
    memcpy(bytes, at, (size_t)(n < 0 ? 0 : n > 32 ? 32 : n));
    return _mm256_loadu_si256((const __m256i *)bytes);
}

/* ---- trit5's and tq1_0's byte code ------------------------------------------------ */

/* Fractions are held minus 128, so that signed comparisons order them; times 3
 * modulo 256 keeps that offset (3 * 128 = 128). A digit is below 1 up to 85,
 * below 2 up to 170. */
AVX2_INLINE __m256i front_weight(__m256i fraction) {
    /* Bounds that compilers can see they turn into a minimum and an equality. */
    __m256i low = in_register(_mm256_set1_epi8(85 - 128)), high = in_register(_mm256_set1_epi8(171 - 128));
    __m256i not_low = _mm256_cmpgt_epi8(fraction, low), not_high = _mm256_cmpgt_epi8(high, fraction);
    return _mm256_sub_epi8(not_high, not_low); /* -1, 0, 1 */
}

AVX2_INLINE __m256i next_fraction(__m256i fraction) {
    return _mm256_add_epi8(fraction, _mm256_add_epi8(fraction, fraction));
}

/* 32 bytes times `digits` strips of activations. 16-bit lanes gain digits * 2 * 127. */
AVX2_INLINE __m256i add_fractions(__m256i sum, __m256i bytes, const int digits, const int8_t *q) {
    __m256i fraction = _mm256_xor_si256(bytes, _mm256_set1_epi8((char)0x80));
    FC_UNROLL
    for (int k = 0; k < digits; k++) {
        __m256i x = _mm256_load_si256((const __m256i *)(q + 64 * k));
        __m256i products = _mm256_sign_epi8(x, front_weight(fraction));
        sum = in_register(_mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_set1_epi8(1), products)));
        fraction = next_fraction(fraction);
    }
    return sum;
}

#endif
