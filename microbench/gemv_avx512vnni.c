/* AVX-512 with VNNI: dot products of unsigned and signed bytes in one step. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "avx512.h"

#define VNNI __attribute__((target(FC_AVX512_FEATURES)))
#define VNNI_INLINE FC_AVX512_INLINE

/* ---- trit5 ------------------------------------------------------------------ */

VNNI_INLINE __m512i next_fraction(__m512i fraction) {
    return _mm512_add_epi8(fraction, _mm512_add_epi8(fraction, fraction));
}

/* Digits come plus one, times 64: a lane gains at most 5 * 4 * 3 * 127 * 64 a
 * group, so 2^31 lasts for rows of a million columns. */
VNNI_INLINE void add_group(__m512i *sum, __m512i *bytes, const int n, const int digits, const int8_t *q) {
    FC_UNROLL
    for (int k = 0; k < digits; k++) {
        __m512i x = fc_in_register(_mm512_load_si512(q + 64 * k));
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            fc_add_products(&sum[r], fc_front_digit_64(bytes[r]), x);
            bytes[r] = next_fraction(bytes[r]);
        }
    }
}

VNNI_INLINE void trit5_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, __m512i *part) {
    fc_rows rows = fc_rows_at(w, row, n);
    const int8_t *q = x->q;
    __m512i bytes[MOST_ROWS], sum[MOST_ROWS];
    FC_UNROLL
    for (int r = 0; r < n; r++) sum[r] = _mm512_setzero_si512();
    for (; rows.left >= 64; q += FC_TRIT5_GROUP) {
        fc_next_vectors(&rows, bytes);
        add_group(sum, bytes, n, 5, q);
    }
    if (rows.left) {
        fc_last_vectors(&rows, bytes);
        add_group(sum, bytes, n, 5, q);
    }
    FC_UNROLL
    for (int r = 0; r < n; r++) part[r] = _mm512_srai_epi32(sum[r], 6);
}

VNNI void fc_gemv_trit5_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    FC_FOR_ROWS(trit5_rows, 2, 1)
}

/* ---- tq1_0 -------------------------------------------------------------------- */

typedef __m512i digit_sums;
#define TQ1_INLINE VNNI_INLINE

VNNI_INLINE digit_sums no_digits(void) { return _mm512_setzero_si512(); }
VNNI_INLINE __m512i digits_total(const digit_sums *s) { return _mm512_srai_epi32(*s, 6); }
VNNI_INLINE void add_digits(digit_sums *s, __m512i bytes, const int digits, const int8_t *q) {
    add_group(s, &bytes, 1, digits, q);
}

#include "avx512_tq1.h"

VNNI void fc_gemv_tq1_0_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) y[row - begin] = tq1_row(w->data + row * w->row_bytes, x);
}

/* ---- i2_s --------------------------------------------------------------------- */

/* Fields stay where they stand (times 64, 16, 4, 1), each with its own sum. */
typedef struct {
    __m512i field[4];
} sums;

VNNI_INLINE void add_two_bit(sums *s, const __m512i *bytes, const int n, const int8_t *q) {
    FC_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i x = fc_in_register(_mm512_load_si512(q + 64 * k));
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            __m512i digit = _mm512_and_si512(bytes[r], _mm512_set1_epi8((char)(0xc0 >> 2 * k)));
            fc_add_products(&s[r].field[k], digit, x);
        }
    }
}

VNNI_INLINE sums no_sums(void) {
    __m512i none = _mm512_setzero_si512();
    return (sums){{none, none, none, none}};
}

VNNI_INLINE __m512i two_bit_total(const sums *s) {
    __m512i high = _mm512_add_epi32(_mm512_srai_epi32(s->field[0], 6), _mm512_srai_epi32(s->field[1], 4));
    return _mm512_add_epi32(high, _mm512_add_epi32(_mm512_srai_epi32(s->field[2], 2), s->field[3]));
}

VNNI_INLINE void i2_s_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, __m512i *part) {
    fc_rows rows = fc_rows_at(w, row, n);
    const int8_t *q = x->q;
    __m512i bytes[MOST_ROWS];
    sums s[MOST_ROWS];
    FC_UNROLL
    for (int r = 0; r < n; r++) s[r] = no_sums();
    for (; rows.left >= 64; q += 256) {
        fc_next_vectors(&rows, bytes);
        add_two_bit(s, bytes, n, q);
    }
    if (rows.left) {
        fc_last_vectors(&rows, bytes);
        add_two_bit(s, bytes, n, q);
    }
    FC_UNROLL
    for (int r = 0; r < n; r++) part[r] = two_bit_total(&s[r]);
}

VNNI void fc_gemv_i2_s_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    FC_FOR_ROWS(i2_s_rows, 1, 0)
}

/* A few tokens of i2_s. */

typedef sums field_sums;
#define FIELDS_INLINE VNNI_INLINE

VNNI_INLINE field_sums no_fields(void) { return no_sums(); }
VNNI_INLINE __m512i fields_total(const field_sums *s) { return two_bit_total(s); }

VNNI_INLINE void add_tile(field_sums (*s)[2], const __m512i *bytes, const int n, const int8_t *const *q,
                          const int tokens) {
    FC_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i digit[MOST_ROWS];
        FC_UNROLL
        for (int r = 0; r < n; r++) digit[r] = _mm512_and_si512(bytes[r], _mm512_set1_epi8((char)(0xc0 >> 2 * k)));
        FC_UNROLL
        for (int i = 0; i < tokens; i++) {
            __m512i x = fc_in_register(_mm512_load_si512(q[i] + 64 * k));
            FC_UNROLL
            for (int r = 0; r < n; r++) fc_add_products(&s[r][i].field[k], digit[r], x);
        }
    }
}

#include "gemm_avx512_fields.h"

VNNI void fc_gemm_i2_s_avx512vnni(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,
                                  int64_t end, float *y, int64_t stride) {
    fields_gemm(w, x, tokens, begin, end, y, stride, 256, 1, 0);
}

/* ---- a scale a block -------------------------------------------------------- */

/* Fields 0 and 2 are summed as they are, 1 and 3 times 4: one shift for two. */
VNNI_INLINE __m512 add_tq2_0(__m512 total, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    const __m512i low = _mm512_set1_epi8(0x03), high = _mm512_set1_epi8(0x0c);
    __m512i bytes = fc_in_register(_mm512_loadu_si512(b)), upper = _mm512_srli_epi16(bytes, 4);
    __m512i plain = _mm512_setzero_si512(), fourfold = plain;
    fc_add_products(&plain, _mm512_and_si512(bytes, low), _mm512_load_si512(q));
    fc_add_products(&fourfold, _mm512_and_si512(bytes, high), _mm512_load_si512(q + 64));
    fc_add_products(&plain, _mm512_and_si512(upper, low), _mm512_load_si512(q + 128));
    fc_add_products(&fourfold, _mm512_and_si512(upper, high), _mm512_load_si512(q + 192));
    plain = _mm512_sub_epi32(plain, fc_load_sums(lane_sum));
    return fc_add_scaled(total, _mm512_add_epi32(plain, _mm512_srai_epi32(fourfold, 2)), fc_half(b + FC_TQ2_D) * scale);
}

/* Products pairwise in 16 bits, 2 * 63 * 127 at most, then scaled and paired again. */
VNNI_INLINE __m512i add_products(__m512i sum, __m512i weights, const int8_t *q, __m512i scales) {
    return _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(weights, _mm512_load_si512(q)), scales);
}

VNNI_INLINE __m512 add_q4_k(__m512 total, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    uint8_t packed[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, packed);
    __m128i sub = _mm_loadu_si128((const __m128i *)packed);
    __m512i scales = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(sub)), sum = _mm512_setzero_si512(), nibble = _mm512_set1_epi8(15);
    FC_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i bytes = _mm512_loadu_si512(b + FC_Q4K_QS + 64 * half);
        __m512i upper = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
        /* Words 4 half and 4 half + 2 for the two 32-byte halves; then those after them. */
        __m512i first = _mm512_inserti64x4(_mm512_set1_epi16((short)(4 * half)), _mm256_set1_epi16((short)(4 * half + 2)), 1);
        __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(1));
        const int8_t *at = q + 128 * half;
        sum = add_products(sum, _mm512_and_si512(bytes, nibble), at, _mm512_permutexvar_epi16(first, scales));
        sum = add_products(sum, upper, at + 64, _mm512_permutexvar_epi16(second, scales));
    }
    /* Minima: each serves two sums of sixteen. */
    __m512i low = _mm512_cvtepu8_epi32(_mm_unpackhi_epi8(sub, sub));
    low = _mm512_mullo_epi32(low, fc_load_sums(lane_sum));
    total = fc_add_scaled(total, sum, fc_half(b) * scale);
    return fc_add_scaled(total, low, -(fc_half(b + 2) * scale));
}

/* Scales of columns 64 k to 64 k + 63, one for each 16 of them, as words. */
VNNI_INLINE __m512i four_scales(__m512i sixteen, int k) {
    const __m512i order = _mm512_set_epi64(0x0003000300030003, 0x0003000300030003, 0x0002000200020002, 0x0002000200020002,
                                           0x0001000100010001, 0x0001000100010001, 0, 0);
    return _mm512_permutexvar_epi16(_mm512_add_epi16(order, _mm512_set1_epi16((short)(4 * k))), sixteen);
}

VNNI_INLINE __m512 add_q6_k(__m512 total, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    const __m256i words = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + FC_Q6K_SCALES)));
    const __m512i scales = _mm512_castsi256_si512(words);
    __m512i sum = _mm512_setzero_si512(), nibble = _mm512_set1_epi8(15), two_bits = _mm512_set1_epi8(0x30);
    __m512i to_low = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    __m512i to_high = _mm512_inserti64x4(_mm512_set1_epi16(0), _mm256_set1_epi16(2), 1);
    FC_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i low = _mm512_loadu_si512(b + 64 * half);
        __m512i high = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(b + FC_Q6K_QH + 32 * half)));
        /* Top bits of columns 0-31, 32-63 stand at 0 and 2; of 64-95, 96-127 at 4 and 6. */
        __m512i top0 = _mm512_and_si512(_mm512_sllv_epi16(high, to_low), two_bits);
        __m512i top1 = _mm512_and_si512(_mm512_srlv_epi16(high, to_high), two_bits);
        __m512i w0 = _mm512_or_si512(_mm512_and_si512(low, nibble), top0);
        __m512i w1 = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(low, 4), nibble), top1);
        sum = add_products(sum, w0, q + 128 * half, four_scales(scales, 2 * half));
        sum = add_products(sum, w1, q + 128 * half + 64, four_scales(scales, 2 * half + 1));
    }
    /* Weights came plus 32. Sums of sixteen fit a word, and so do scales times 32. */
    __m512i offset = _mm512_cvtepu16_epi32(_mm256_mullo_epi16(words, _mm256_set1_epi16(-32)));
    sum = _mm512_dpwssd_epi32(sum, fc_load_sums(lane_sum), offset);
    return fc_add_scaled(total, sum, fc_half(b + FC_Q6K_D) * scale);
}

FC_BLOCK_KERNEL(tq2_0, avx512vnni, VNNI, FC_TQ2_BYTES, FC_BLOCK_ROWS)
FC_BLOCK_KERNEL(q4_k, avx512vnni, VNNI, FC_Q4K_BYTES, FC_BLOCK_ROWS)
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
