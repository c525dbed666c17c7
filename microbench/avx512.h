/* What the AVX-512 files share. */
#ifndef FITCHECK_AVX512_H
#define FITCHECK_AVX512_H

#include <immintrin.h>

#include "numeric.h"

#define FC_AVX512_FEATURES "f16c,avx512f,avx512bw,avx512vl,avx512vnni"
#define FC_AVX512_INLINE __attribute__((target(FC_AVX512_FEATURES), always_inline)) static inline

/* Rows that a kernel takes side by side, so that activations are loaded once. */
enum { MOST_ROWS = 2 };

/* Load once: without this compilers fold the load into every use of it, and
 * these loops have more loads than the core has ports. */
FC_AVX512_INLINE __m512i fc_in_register(__m512i x) {
    __asm__("" : "+v"(x));
    return x;
}

FC_AVX512_INLINE float fc_half(const uint8_t *at) { return _cvtsh_ss(fc_load_u16(at)); }

/* ---- walking rows ------------------------------------------------------------
 *
 * Rows side by side are streams that hardware prefetchers give up on. Their
 * bytes are one stretch of memory, though, so lines are asked for in the order
 * of that stretch: as many as are consumed, just not the same ones. */

typedef struct {
    const uint8_t *at, *ahead;
    int64_t stride, left; /* bytes a row, bytes still to come of each */
    int n;
} fc_rows;

FC_AVX512_INLINE fc_rows fc_rows_at(const fc_matrix *w, int64_t row, const int n) {
    const uint8_t *at = w->data + row * w->row_bytes;
    return (fc_rows){at, at + FC_PREFETCH_AHEAD, w->row_bytes, w->row_bytes, n};
}

FC_AVX512_INLINE void fc_ask_ahead(fc_rows *rows) {
    FC_UNROLL
    for (int r = 0; r < rows->n; r++, rows->ahead += 64) FC_PREFETCH(rows->ahead);
}

/* The next 64 bytes of each row. */
FC_AVX512_INLINE void fc_next_vectors(fc_rows *rows, __m512i *bytes) {
    fc_ask_ahead(rows);
    FC_UNROLL
    for (int r = 0; r < rows->n; r++) bytes[r] = fc_in_register(_mm512_loadu_si512(rows->at + r * rows->stride));
    rows->at += 64;
    rows->left -= 64;
}

/* The last 1 to 63 bytes of each row and zeros; touches no byte past them. */
FC_AVX512_INLINE void fc_last_vectors(fc_rows *rows, __m512i *bytes) {
    __mmask64 first = ((__mmask64)1 << rows->left) - 1;
    fc_ask_ahead(rows); /* a line a row missed here would cost each row a trip to memory */
    FC_UNROLL
    for (int r = 0; r < rows->n; r++) bytes[r] = _mm512_maskz_loadu_epi8(first, rows->at + r * rows->stride);
}

/* The body of every kernel: pairs of rows, then the odd one. */
#define FC_FOR_ROWS(rows)                                                                       \
    int64_t row = begin;                                                                        \
    for (; row + MOST_ROWS <= end; row += MOST_ROWS) rows(w, x, row, MOST_ROWS, y + (row - begin)); \
    for (; row < end; row++) rows(w, x, row, 1, y + (row - begin));

/* ---- trit5's and tq1_0's byte code ----------------------------------------------- */

/* A fraction's front digit plus one, times 64. The averages make 3/4 of the
 * fraction plus 253/4 and round up twice: with 253, and with no constant below
 * 252, the borders fall exactly between 85 and 86 and between 170 and 171. */
FC_AVX512_INLINE __m512i fc_front_digit_64(__m512i fraction) {
    __m512i half = _mm512_avg_epu8(fraction, _mm512_set1_epi8((char)253));
    return _mm512_and_si512(_mm512_avg_epu8(fraction, half), _mm512_set1_epi8((char)0xc0));
}

#endif
