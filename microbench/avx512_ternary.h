/* Ternary digits met by activations, for the AVX-512 files: some rows and some tokens at once, one token in gemv.
 * Sums are sum[row * tokens + token]; activations lie at q[token] + at. */
#ifndef FITCHECK_AVX512_TERNARY_H
#define FITCHECK_AVX512_TERNARY_H

#include "avx512.h"

/* ---- trit5's and tq1_0's byte code ----------------------------------------------- */

/* A fraction's front digit plus one, times 64. The averages make 3/4 of the
 * fraction plus 253/4 and round up twice: with 253, and with no constant below
 * 252, the borders fall exactly between 85 and 86 and between 170 and 171. */
FC_AVX512_INLINE __m512i fc_front_digit_64(__m512i fraction) {
    __m512i half = _mm512_avg_epu8(fraction, _mm512_set1_epi8((char)253));
    return _mm512_and_si512(_mm512_avg_epu8(fraction, half), _mm512_set1_epi8((char)0xc0));
}

FC_AVX512_INLINE __m512i fc_next_fractions(__m512i fraction) {
    return _mm512_add_epi8(fraction, _mm512_add_epi8(fraction, fraction));
}

/* 64 bytes of n rows times `digits` strips. Digits come plus one, times 64: a lane gains at most
 * 5 * 4 * 3 * 127 * 64 of five, so 2^31 lasts for rows of a million columns. */
FC_AVX512_INLINE void fc_add_fractions(__m512i *sum, __m512i *bytes, const int n, const int digits, const int8_t *const *q,
                                       const int tokens, int64_t at) {
    FC_UNROLL
    for (int k = 0; k < digits; k++) {
        __m512i digit[MOST_ROWS];
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            digit[r] = fc_front_digit_64(bytes[r]);
            bytes[r] = fc_next_fractions(bytes[r]);
        }
        FC_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m512i x = fc_in_register(_mm512_load_si512(q[t] + at + 64 * k));
            FC_UNROLL
            for (int r = 0; r < n; r++) fc_add_products(&sum[r * tokens + t], digit[r], x);
        }
    }
}

FC_AVX512_INLINE __m512i fc_fractions_total(const __m512i *sum) { return _mm512_srai_epi32(*sum, 6); }

/* ---- i2_s's fields -------------------------------------------------------------- */

/* Fields stay where they stand (times 64, 16, 4, 1), each with its own sum. */
typedef struct {
    __m512i field[4];
} fc_fields;

FC_AVX512_INLINE fc_fields fc_no_fields(void) {
    __m512i none = _mm512_setzero_si512();
    return (fc_fields){{none, none, none, none}};
}

FC_AVX512_INLINE __m512i fc_fields_total(const fc_fields *s) {
    __m512i high = _mm512_add_epi32(_mm512_srai_epi32(s->field[0], 6), _mm512_srai_epi32(s->field[1], 4));
    return _mm512_add_epi32(high, _mm512_add_epi32(_mm512_srai_epi32(s->field[2], 2), s->field[3]));
}

/* 64 bytes of n rows times four strips. */
FC_AVX512_INLINE void fc_add_fields(fc_fields *sum, const __m512i *bytes, const int n, const int8_t *const *q,
                                    const int tokens, int64_t at) {
    FC_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i digit[FC_STREAM_ROWS];
        FC_UNROLL
        for (int r = 0; r < n; r++) digit[r] = _mm512_and_si512(bytes[r], _mm512_set1_epi8((char)(0xc0 >> 2 * k)));
        FC_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m512i x = fc_in_register(_mm512_load_si512(q[t] + at + 64 * k));
            FC_UNROLL
            for (int r = 0; r < n; r++) fc_add_products(&sum[r * tokens + t].field[k], digit[r], x);
        }
    }
}

#endif
