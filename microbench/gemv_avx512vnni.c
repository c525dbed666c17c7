/* AVX-512 with VNNI: dot products of unsigned and signed bytes in one step. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "avx512_blocks.h"
#include "avx512_ternary.h"

#define VNNI __attribute__((target(FC_AVX512_FEATURES)))
#define VNNI_INLINE FC_AVX512_INLINE

/* ---- trit5 ------------------------------------------------------------------ */

/* n rows' sums, still spread over the lanes, of weights plus 2. */
VNNI_INLINE void trit5_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, __m512i *part) {
    fc_rows rows = fc_rows_at(w, row, n);
    const int8_t *q = x->q;
    __m512i bytes[MOST_ROWS], sum[MOST_ROWS];
    FC_UNROLL
    for (int r = 0; r < n; r++) sum[r] = _mm512_setzero_si512();
    for (; rows.left >= 64; q += FC_TRIT5_GROUP) {
        fc_next_vectors(&rows, bytes);
        fc_add_fractions(sum, bytes, n, 5, &q, 1, 0);
    }
    if (rows.left) {
        fc_last_vectors(&rows, bytes);
        fc_add_fractions(sum, bytes, n, 5, &q, 1, 0);
    }
    FC_UNROLL
    for (int r = 0; r < n; r++) part[r] = fc_fractions_total(&sum[r]);
}

VNNI void fc_gemv_trit5_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    __m512i part[FC_ROWS_TOGETHER];
    memset(part, 0, sizeof part);
    for (int64_t row = begin; row < end; row += FC_ROWS_TOGETHER) {
        int rows = end - row < FC_ROWS_TOGETHER ? (int)(end - row) : FC_ROWS_TOGETHER, r = 0;
        for (; r + MOST_ROWS <= rows; r += MOST_ROWS) trit5_rows(w, x, row + r, MOST_ROWS, part + r);
        for (; r < rows; r++) trit5_rows(w, x, row + r, 1, part + r);
        fc_ternary_results(part, rows, x, 2, fc_scales_of_rows(w->scales + row, rows, 1), y + (row - begin));
    }
}

/* ---- tq1_0 -------------------------------------------------------------------- */

#include "avx512_tq1_fractions.h"

VNNI void fc_gemv_tq1_0_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) y[row - begin] = tq1_row(w->data + row * w->row_bytes, x);
}

/* ---- i2_s --------------------------------------------------------------------- */

/* Four rows: 3 % more from slow memory than two side by side, up to 7 from fast, 3 from the cache. */
enum { I2S_AHEAD = 2048 }; /* bytes to ask for ahead in each of them */

VNNI_INLINE void i2_s_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t apart, float *y) {
    const uint8_t *at = w->data + row * w->row_bytes;
    const int64_t stride = apart * w->row_bytes;
    const int8_t *q = x->q;
    fc_fields s[FC_STREAM_ROWS];
    FC_UNROLL
    for (int r = 0; r < n; r++) s[r] = fc_no_fields();
    for (int64_t left = w->row_bytes; left > 0; left -= 64, at += 64, q += 256) {
        __m512i bytes[FC_STREAM_ROWS];
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            FC_PREFETCH(at + r * stride + I2S_AHEAD);
            bytes[r] = fc_first_bytes(at + r * stride, left);
        }
        fc_add_fields(s, bytes, n, &q, 1, 0);
    }
    FC_UNROLL
    for (int r = 0; r < n; r++)
        y[r * apart] = fc_ternary_result(_mm512_reduce_add_epi32(fc_fields_total(&s[r])), x, *w->scales);
}

VNNI void fc_gemv_i2_s_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    FC_FOR_STREAMS(i2_s_rows, FC_STREAM_ROWS)
}

/* ---- a scale a block: see avx512_blocks.h ------------------------------------ */

FC_BLOCK_KERNEL(tq2_0, avx512vnni, VNNI, FC_TQ2_BYTES, FC_STREAM_ROWS)
FC_BLOCK_KERNEL(q4_k, avx512vnni, VNNI, FC_Q4K_BYTES, FC_STREAM_ROWS)
FC_BLOCK_KERNEL(q6_k, avx512vnni, VNNI, FC_Q6K_BYTES, 1)

/* ---- q8_0 -------------------------------------------------------------------- */

/* 32 weights each of a block and, where there are two, of the next. */
VNNI_INLINE __m512i q8_0_weights(const uint8_t *at, const int two) {
    __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(at + 2)));
    if (!two) return _mm512_inserti64x4(low, _mm256_setzero_si256(), 1);
    return _mm512_inserti64x4(low, _mm256_loadu_si256((const __m256i *)(at + FC_Q8_BYTES + 2)), 1);
}

/* Their scales times the activations', eight lanes each. */
VNNI_INLINE __m512 q8_0_scales(const uint8_t *at, const int two, __m128 of_x) {
    const __m512i halves = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi32(1), 1);
    uint32_t both = fc_load_u16(at) | (two ? (uint32_t)fc_load_u16(at + FC_Q8_BYTES) << 16 : 0);
    __m128 scales = _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128((int)both)), of_x);
    return _mm512_permutexvar_ps(halves, _mm512_castps128_ps512(scales));
}

/* Dot products take one side unsigned: weights plus 128, so 128 times the
 * activations come off again. */
VNNI_INLINE __m512 add_q8_0(__m512 total, const uint8_t *at, const int two, const int8_t *q, const float *scale) {
    __m512i top = _mm512_set1_epi8((char)0x80), x = _mm512_load_si512(q);
    __m512i offset = _mm512_dpbusd_epi32(_mm512_setzero_si512(), top, x);
    __m512i raised = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(q8_0_weights(at, two), top), x);
    __m512 scales = q8_0_scales(at, two, _mm_set_ps(0, 0, two ? scale[1] : 0, scale[0]));
    fc_ask_for_block(at, 2 * FC_Q8_BYTES);
    return _mm512_fmadd_ps(scales, _mm512_cvtepi32_ps(_mm512_sub_epi32(raised, offset)), total);
}

VNNI void fc_gemv_q8_0_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    int64_t blocks = w->cols / FC_Q8_BLOCK;
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *at = w->data + row * w->row_bytes;
        __m512 total = _mm512_setzero_ps();
        int64_t i = 0;
        for (; i + 2 <= blocks; i += 2, at += 2 * FC_Q8_BYTES)
            total = add_q8_0(total, at, 1, x->q + i * FC_Q8_BLOCK, x->scale + i);
        if (i < blocks) total = add_q8_0(total, at, 0, x->q + i * FC_Q8_BLOCK, x->scale + i);
        y[row - begin] = fc_sum_halves(total);
    }
}

#else
typedef int fc_no_x86_here;
#endif
