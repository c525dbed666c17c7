/* What the AVX-512 files share. */
#ifndef FITCHECK_AVX512_H
#define FITCHECK_AVX512_H

#include <immintrin.h>

#include "numeric.h"

#define FC_AVX512_FEATURES "fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni"
#define FC_AVX512_INLINE __attribute__((target(FC_AVX512_FEATURES), always_inline)) static inline

/* Rows that a kernel takes side by side, so that activations are loaded once.
 * From the cache four are up to 6 % faster; as streams from memory I2_S is 12 % slower
 * with them than with two, and trit5 no faster. */
enum { MOST_ROWS = 2 };

/* Load once: without this compilers fold the load into every use of it, and
 * these loops have more loads than the core has ports. */
FC_AVX512_INLINE __m512i fc_in_register(__m512i x) {
    __asm__("" : "+v"(x));
    return x;
}

FC_AVX512_INLINE float fc_half(const uint8_t *at) { return _cvtsh_ss(fc_load_u16(at)); }

/* fc_reduce_lanes in registers: halves first. */
FC_AVX512_INLINE float fc_sum_halves(__m512 v) {
    __m512d upper = _mm512_shuffle_f64x2(_mm512_castps_pd(v), _mm512_castps_pd(v), 0x4e);
    __m256 eight = _mm512_castps512_ps256(_mm512_add_ps(v, _mm512_castpd_ps(upper)));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

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

/* The first 64 bytes, or as many as are left and zeros; touches no byte past them. */
FC_AVX512_INLINE __m512i fc_first_bytes(const uint8_t *at, int64_t left) {
    if (left >= 64) return fc_in_register(_mm512_loadu_si512(at));
    return _mm512_maskz_loadu_epi8(((__mmask64)1 << left) - 1, at);
}

/* The last 1 to 63 bytes of each row and zeros. */
FC_AVX512_INLINE void fc_last_vectors(fc_rows *rows, __m512i *bytes) {
    fc_ask_ahead(rows); /* a line a row missed here would cost each row a trip to memory */
    FC_UNROLL
    for (int r = 0; r < rows->n; r++) bytes[r] = fc_first_bytes(rows->at + r * rows->stride, rows->left);
}

/* sum += products of unsigned and signed bytes. Written out so that the sum
 * stays in its register: gcc rotates accumulators through spare ones. */
FC_AVX512_INLINE void fc_add_products(__m512i *sum, __m512i digits, __m512i x) {
#if defined(__clang__)
    *sum = _mm512_dpbusd_epi32(*sum, digits, x);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(digits), "v"(x));
#endif
}

/* ---- the ends of rows --------------------------------------------------------
 *
 * A row of 8192 columns is some two hundred cycles, so what its end costs
 * counts: sums of sixteen rows are turned over together. */

enum { FC_ROWS_TOGETHER = 16 };

/* Lane i: the sum over the lanes of part[i]. Halves the vectors four times. */
FC_AVX512_INLINE __m512i fc_sums_of_sixteen(const __m512i part[FC_ROWS_TOGETHER]) {
    __m512i two[8], four[4], eight[2];
    FC_UNROLL
    for (int i = 0; i < 8; i++)
        two[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(part[2 * i], part[2 * i + 1]),
                                  _mm512_unpackhi_epi32(part[2 * i], part[2 * i + 1]));
    FC_UNROLL
    for (int i = 0; i < 4; i++)
        four[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(two[2 * i], two[2 * i + 1]),
                                   _mm512_unpackhi_epi64(two[2 * i], two[2 * i + 1]));
    FC_UNROLL
    for (int i = 0; i < 2; i++)
        eight[i] = _mm512_add_epi32(_mm512_shuffle_i64x2(four[2 * i], four[2 * i + 1], 0x88),
                                    _mm512_shuffle_i64x2(four[2 * i], four[2 * i + 1], 0xdd));
    return _mm512_add_epi32(_mm512_shuffle_i64x2(eight[0], eight[1], 0x88),
                            _mm512_shuffle_i64x2(eight[0], eight[1], 0xdd));
}

/* Lane 4 i + q: the sum over quarter q of part[i]. */
FC_AVX512_INLINE __m512i fc_sums_of_quarters(const __m512i part[4]) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i two[2];
    FC_UNROLL
    for (int i = 0; i < 2; i++)
        two[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(part[2 * i], part[2 * i + 1]),
                                  _mm512_unpackhi_epi32(part[2 * i], part[2 * i + 1]));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(two[0], two[1]), _mm512_unpackhi_epi64(two[0], two[1]));
    return _mm512_permutexvar_epi32(order, four);
}

/* fc_ternary_result for up to sixteen rows whose weights came plus `offset`. */
FC_AVX512_INLINE void fc_ternary_results(const __m512i *part, int rows, const fc_activation *x, int offset,
                                         __m512 row_scales, float *y) {
    __m512i dots = _mm512_sub_epi32(fc_sums_of_sixteen(part), _mm512_set1_epi32(offset * x->sum));
    __m512 scales = _mm512_mul_ps(row_scales, _mm512_set1_ps(x->scale[0]));
    _mm512_mask_storeu_ps(y, (__mmask16)((1u << rows) - 1), _mm512_mul_ps(_mm512_cvtepi32_ps(dots), scales));
}

/* A scale for each row, or one for all. */
FC_AVX512_INLINE __m512 fc_scales_of_rows(const float *scales, int rows, int each) {
    return each ? _mm512_maskz_loadu_ps((__mmask16)((1u << rows) - 1), scales) : _mm512_set1_ps(*scales);
}

/* ---- rows as streams --------------------------------------------------------------
 *
 * Rows that share loads of activations are heads of streams far apart from each other, as
 * in read.h and for its reasons. */

enum { FC_STREAMS_WITHIN = 1 << 27 }; /* bytes of memory, from the first stream to the last */

/* Rows that are streams at a time, at most. Beside one of them four of tq2_0 are 12 % faster from the cache
 * and 3 to 16 % from memory, q4_k 3 and -1 to 4 %. Four of q6_k gain 4 % and lose 3 where
 * memory is fast; of q8_0, whose row has least to share, 40 % and 4 to 13. Those two are for
 * reading from memory and go one by one. */
enum { FC_STREAM_ROWS = 4 };

/* How far apart, in rows, n streams over the first of [row, end) lie; 0: fewer than n rows are left. */
static inline int64_t fc_rows_apart(const fc_matrix *w, int64_t row, int64_t end, int n) {
    int64_t most = FC_STREAMS_WITHIN / (n * w->row_bytes) + 1, apart = (end - row) / n;
    return apart < most ? apart : most;
}

/* The body of a kernel: `rows` takes n rows that lie `apart` from each other. */
#define FC_FOR_STREAMS(rows, n)                                                              \
    int64_t row = begin;                                                                     \
    for (int64_t apart; (apart = fc_rows_apart(w, row, end, n)) > 0; row += n * apart)       \
        for (int64_t i = 0; i < apart; i++) rows(w, x, row + i, n, apart, y + (row - begin) + i); \
    for (; row < end; row++) rows(w, x, row, 1, 1, y + (row - begin));

/* ---- a scale a block ------------------------------------------------------------ */

FC_AVX512_INLINE __m512 fc_add_scaled(__m512 total, __m512i s, float scale) {
    return _mm512_fmadd_ps(_mm512_set1_ps(scale), _mm512_cvtepi32_ps(s), total);
}

FC_AVX512_INLINE __m512i fc_load_sums(const int32_t *lane_sum) { return _mm512_load_si512(lane_sum); }

FC_AVX512_INLINE void fc_ask_for_block(const uint8_t *block, const int bytes) {
    FC_UNROLL
    for (int i = 0; i < bytes; i += 64) FC_PREFETCH(block + FC_PREFETCH_AHEAD + i);
}

#define FC_BLOCK_KERNEL(format, isa, attributes, block_bytes, together)                                                     \
    FC_AVX512_INLINE void format##_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n,         \
                                        int64_t apart, float *y) {                                                    \
        __m512 total[FC_STREAM_ROWS];                                                                                  \
        const uint8_t *at = w->data + row * w->row_bytes;                                                             \
        FC_UNROLL                                                                                                     \
        for (int r = 0; r < n; r++) total[r] = _mm512_setzero_ps();                                                   \
        for (int64_t b = 0; b < w->cols / FC_SUPER; b++, at += block_bytes) {                                         \
            FC_UNROLL                                                                                                 \
            for (int r = 0; r < n; r++) {                                                                             \
                const uint8_t *block = at + r * apart * w->row_bytes;                                                 \
                fc_ask_for_block(block, block_bytes);                                                                           \
                const block_##format unpacked = unpack_##format(block, 1);                                             \
                meet_##format(&total[r], &unpacked, 1, x, b);                                                        \
            }                                                                                                         \
        }                                                                                                             \
        FC_UNROLL                                                                                                     \
        for (int r = 0; r < n; r++) y[r * apart] = fc_sum_halves(total[r]);                                           \
    }                                                                                                                 \
    attributes void fc_gemv_##format##_##isa(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end,  \
                                             float *y) {                                                              \
        FC_FOR_STREAMS(format##_rows, together)                                                                       \
    }

#endif
