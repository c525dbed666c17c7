/* Formats with a scale a block, for the AVX-512 files: a block is unpacked to registers and then
 * meets the activations of one token (gemv) or of several (gemm).
 *
 *   block_<format>, unpack_<format>(at, left)   a block as it meets activations; `left` bytes of its row are there
 *   meet_<format>(total, block, n, x, i)        totals of n rows plus their blocks number i times a token */
#ifndef FITCHECK_AVX512_BLOCKS_H
#define FITCHECK_AVX512_BLOCKS_H

#include "avx512.h"

/* ---- tq2_0 --------------------------------------------------------------------- */

typedef struct {
    __m512i w[4]; /* plus one */
    float scale;
} block_tq2_0;

FC_AVX512_INLINE block_tq2_0 unpack_tq2_0(const uint8_t *b, int64_t left) {
    (void)left;
    block_tq2_0 to = {.scale = fc_half(b + FC_TQ2_D)};
    __m512i bytes = fc_in_register(_mm512_loadu_si512(b));
    FC_UNROLL
    for (int k = 0; k < 4; k++) to.w[k] = _mm512_and_si512(_mm512_srli_epi16(bytes, 2 * k), _mm512_set1_epi8(3));
    return to;
}

FC_AVX512_INLINE void meet_tq2_0(__m512 *total, const block_tq2_0 *b, const int n, const fc_activation *x, int64_t i) {
    __m512i sum[MOST_ROWS], beside = fc_in_register(fc_load_sums(x->lane_sum + i * FC_LANES));
    FC_UNROLL
    for (int r = 0; r < n; r++) sum[r] = _mm512_setzero_si512();
    FC_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i q = fc_in_register(_mm512_load_si512(x->q + i * FC_SUPER + 64 * k));
        FC_UNROLL
        for (int r = 0; r < n; r++) fc_add_products(&sum[r], b[r].w[k], q);
    }
    FC_UNROLL
    for (int r = 0; r < n; r++)
        total[r] = fc_add_scaled(total[r], _mm512_sub_epi32(sum[r], beside), b[r].scale * x->scale[i]);
}

/* ---- q4_k ---------------------------------------------------------------------- */

/* Products pairwise in 16 bits, 2 * 63 * 127 at most, then scaled and paired again. */
FC_AVX512_INLINE __m512i fc_scaled_sum(const __m512i w[4], const __m512i scales[4], const int8_t *q) {
    __m512i sum = _mm512_setzero_si512();
    FC_UNROLL
    for (int k = 0; k < 4; k++)
        sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(w[k], _mm512_load_si512(q + 64 * k)), scales[k]);
    return sum;
}

typedef struct {
    __m512i w[4], factor[4]; /* a word for two weights */
    __m512i minimum;         /* a lane for sixteen columns */
    float scale, minimum_scale;
} block_q4_k;

FC_AVX512_INLINE block_q4_k unpack_q4_k(const uint8_t *b, int64_t left) {
    (void)left;
    block_q4_k to;
    uint8_t packed[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, packed);
    __m128i sub = _mm_loadu_si128((const __m128i *)packed);
    __m512i scales = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(sub)), nibble = _mm512_set1_epi8(15);
    FC_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i bytes = _mm512_loadu_si512(b + FC_Q4K_QS + 64 * half);
        /* Words 4 half and 4 half + 2 for the two 32-byte halves; then those after them. */
        __m512i first = _mm512_inserti64x4(_mm512_set1_epi16((short)(4 * half)), _mm256_set1_epi16((short)(4 * half + 2)), 1);
        __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(1));
        to.w[2 * half] = _mm512_and_si512(bytes, nibble);
        to.w[2 * half + 1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
        to.factor[2 * half] = _mm512_permutexvar_epi16(first, scales);
        to.factor[2 * half + 1] = _mm512_permutexvar_epi16(second, scales);
    }
    to.minimum = _mm512_cvtepu8_epi32(_mm_unpackhi_epi8(sub, sub)); /* each serves two sums of sixteen */
    to.scale = fc_half(b);
    to.minimum_scale = fc_half(b + 2);
    return to;
}

FC_AVX512_INLINE void meet_q4_k(__m512 *total, const block_q4_k *b, const int n, const fc_activation *x, int64_t i) {
    __m512i beside = fc_load_sums(x->lane_sum + i * FC_LANES);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m512i sum = fc_scaled_sum(b[r].w, b[r].factor, x->q + i * FC_SUPER), low = _mm512_mullo_epi32(b[r].minimum, beside);
        total[r] = fc_add_scaled(total[r], sum, b[r].scale * x->scale[i]);
        total[r] = fc_add_scaled(total[r], low, -(b[r].minimum_scale * x->scale[i]));
    }
}

/* ---- q6_k ---------------------------------------------------------------------- */

/* Scales of columns 64 k to 64 k + 63, one for each 16 of them, as words. */
FC_AVX512_INLINE __m512i fc_four_scales(__m512i sixteen, int k) {
    const __m512i order = _mm512_set_epi64(0x0003000300030003, 0x0003000300030003, 0x0002000200020002, 0x0002000200020002,
                                           0x0001000100010001, 0x0001000100010001, 0, 0);
    return _mm512_permutexvar_epi16(_mm512_add_epi16(order, _mm512_set1_epi16((short)(4 * k))), sixteen);
}

typedef struct {
    __m512i w[4], factor[4]; /* a word for two weights, which come plus 32 */
    __m512i offset;          /* a lane for sixteen columns, its upper word zero */
    float scale;
} block_q6_k;

FC_AVX512_INLINE block_q6_k unpack_q6_k(const uint8_t *b, int64_t left) {
    (void)left;
    block_q6_k to;
    const __m256i words = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + FC_Q6K_SCALES)));
    const __m512i scales = _mm512_castsi256_si512(words);
    __m512i nibble = _mm512_set1_epi8(15), two_bits = _mm512_set1_epi8(0x30);
    __m512i to_low = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    __m512i to_high = _mm512_inserti64x4(_mm512_set1_epi16(0), _mm256_set1_epi16(2), 1);
    FC_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i low = _mm512_loadu_si512(b + 64 * half);
        __m512i high = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(b + FC_Q6K_QH + 32 * half)));
        /* Top bits of columns 0-31, 32-63 stand at 0 and 2; of 64-95, 96-127 at 4 and 6. */
        __m512i top0 = _mm512_and_si512(_mm512_sllv_epi16(high, to_low), two_bits);
        __m512i top1 = _mm512_and_si512(_mm512_srlv_epi16(high, to_high), two_bits);
        to.w[2 * half] = _mm512_or_si512(_mm512_and_si512(low, nibble), top0);
        to.w[2 * half + 1] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(low, 4), nibble), top1);
        to.factor[2 * half] = fc_four_scales(scales, 2 * half);
        to.factor[2 * half + 1] = fc_four_scales(scales, 2 * half + 1);
    }
    to.offset = _mm512_cvtepu16_epi32(_mm256_mullo_epi16(words, _mm256_set1_epi16(-32))); /* a word holds that */
    to.scale = fc_half(b + FC_Q6K_D);
    return to;
}

FC_AVX512_INLINE void meet_q6_k(__m512 *total, const block_q6_k *b, const int n, const fc_activation *x, int64_t i) {
    __m512i beside = fc_load_sums(x->lane_sum + i * FC_LANES);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m512i sum = fc_scaled_sum(b[r].w, b[r].factor, x->q + i * FC_SUPER);
        sum = _mm512_dpwssd_epi32(sum, beside, b[r].offset); /* sums of sixteen fit a word */
        total[r] = fc_add_scaled(total[r], sum, b[r].scale * x->scale[i]);
    }
}

/* ---- q8_0 ---------------------------------------------------------------------- */

/* Two blocks of 32, or one and zeros. Activations come plus 128 here, since dot products take one side
 * unsigned: what that adds is the same for every token. */
typedef struct {
    __m512i w, offset;
    __m128 scale;
    __mmask8 there;
} block_q8_0;

FC_AVX512_INLINE block_q8_0 unpack_q8_0(const uint8_t *at, int64_t left) {
    const int two = left > FC_Q8_BYTES;
    __m512i low = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(at + 2)));
    uint32_t scales = fc_load_u16(at) | (two ? (uint32_t)fc_load_u16(at + FC_Q8_BYTES) << 16 : 0);
    block_q8_0 to = {low, _mm512_setzero_si512(), _mm_cvtph_ps(_mm_cvtsi32_si128((int)scales)), two ? 3 : 1};
    if (two) to.w = _mm512_inserti64x4(low, _mm256_loadu_si256((const __m256i *)(at + FC_Q8_BYTES + 2)), 1);
    to.offset = _mm512_dpbusd_epi32(to.offset, _mm512_set1_epi8((char)0x80), to.w);
    to.offset = _mm512_sub_epi32(_mm512_setzero_si512(), to.offset);
    return to;
}

FC_AVX512_INLINE void meet_q8_0(__m512 *total, const block_q8_0 *b, const int n, const fc_activation *x, int64_t i) {
    const __m512i halves = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi32(1), 1);
    __m512i raised = fc_in_register(_mm512_xor_si512(_mm512_load_si512(x->q + 64 * i), _mm512_set1_epi8((char)0x80)));
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m512 scales = _mm512_castps128_ps512(_mm_mul_ps(b[r].scale, _mm_maskz_loadu_ps(b[r].there, x->scale + 2 * i)));
        __m512i sum = _mm512_dpbusd_epi32(b[r].offset, raised, b[r].w);
        total[r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(halves, scales), _mm512_cvtepi32_ps(sum), total[r]);
    }
}

#endif
