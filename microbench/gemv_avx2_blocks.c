/* AVX2: formats with a scale a block. */
#include "fitcheck.h"

#if FC_X86
#include "avx2.h"

/* ---- a scale a block ---------------------------------------------------------------
 *
 * The sixteen lanes of the scalar code are two vectors here, for the lower and
 * the upper half of each 64 bytes. */

typedef struct {
    __m256 half[2];
} totals;

typedef struct {
    __m256i half[2];
} lane_sums;

AVX2_INLINE float half_float(const uint8_t *at) { return _cvtsh_ss(fc_load_u16(at)); }

AVX2_INLINE float reduce_lanes(const totals *t) {
    float lane[FC_LANES];
    _mm256_storeu_ps(lane, t->half[0]);
    _mm256_storeu_ps(lane + 8, t->half[1]);
    return fc_reduce_lanes(lane, FC_LANES);
}

AVX2_INLINE __m256 scaled(__m256 total, __m256i sum, float scale) {
    return _mm256_fmadd_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(sum), total);
}

AVX2_INLINE void add_scaled(totals *t, const lane_sums *s, float scale) {
    t->half[0] = scaled(t->half[0], s->half[0], scale);
    t->half[1] = scaled(t->half[1], s->half[1], scale);
}

AVX2_INLINE __m256i load32(const void *at) { return _mm256_loadu_si256((const __m256i *)at); }

AVX2_INLINE void ask_for_block(const uint8_t *block, int bytes) {
    FC_UNROLL
    for (int i = 0; i < bytes; i += 64) FC_PREFETCH(block + FC_PREFETCH_AHEAD + i);
}

AVX2_INLINE __m256i products(__m256i bytes, int mask, const int8_t *q) {
    __m256i digits = _mm256_and_si256(bytes, _mm256_set1_epi8((char)mask));
    return _mm256_maddubs_epi16(digits, _mm256_load_si256((const __m256i *)q));
}

/* 16-bit lanes gain 4 * 2 * 2 * 127. */
AVX2_INLINE __m256i tq2_0_products(__m256i bytes, const int8_t *q) {
    __m256i sum = products(bytes, 0x03, q);
    sum = _mm256_add_epi16(sum, products(_mm256_srli_epi16(bytes, 2), 0x03, q + 64));
    sum = _mm256_add_epi16(sum, products(_mm256_srli_epi16(bytes, 4), 0x03, q + 128));
    return _mm256_add_epi16(sum, products(_mm256_srli_epi16(bytes, 6), 0x03, q + 192));
}

AVX2_INLINE void add_tq2_0(totals *t, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    lane_sums s;
    FC_UNROLL
    for (int h = 0; h < 2; h++)
        s.half[h] = _mm256_sub_epi32(widen(tq2_0_products(load32(b + 32 * h), q + 32 * h)), load32(lane_sum + 8 * h));
    add_scaled(t, &s, half_float(b + FC_TQ2_D) * scale);
}

/* Products of a sub-block, scaled: 16-bit pairs of at most 2 * 63 * 127. */
AVX2_INLINE __m256i scaled_products(__m256i weights, const int8_t *q, __m256i scales) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(weights, _mm256_load_si256((const __m256i *)q)), scales);
}

/* Word i of eight, everywhere. */
AVX2_INLINE __m256i scale_of_sub_block(__m256i scales, const int i) {
    return _mm256_shuffle_epi8(scales, _mm256_set1_epi16((short)(2 * i | (2 * i + 1) << 8)));
}

AVX2_INLINE void add_q4_k(totals *t, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    uint8_t packed[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, packed);
    __m128i sub = _mm_loadu_si128((const __m128i *)packed), twice = _mm_unpackhi_epi8(sub, sub);
    __m256i scales = _mm256_broadcastsi128_si256(_mm_cvtepu8_epi16(sub));
    lane_sums s = {{_mm256_setzero_si256(), _mm256_setzero_si256()}}, low;
    __m256i nibble = _mm256_set1_epi8(15);
    FC_UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i bytes = load32(b + FC_Q4K_QS + 32 * i), upper = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
        const int8_t *at = q + i / 2 * 128 + i % 2 * 32;
        __m256i first = scaled_products(_mm256_and_si256(bytes, nibble), at, scale_of_sub_block(scales, 2 * i));
        __m256i second = scaled_products(upper, at + 64, scale_of_sub_block(scales, 2 * i + 1));
        s.half[i % 2] = _mm256_add_epi32(s.half[i % 2], _mm256_add_epi32(first, second));
    }
    low.half[0] = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(twice), load32(lane_sum));
    low.half[1] = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(twice, twice)), load32(lane_sum + 8));
    add_scaled(t, &s, half_float(b) * scale);
    add_scaled(t, &low, -(half_float(b + 2) * scale));
}

/* Two signed scales, for 16 columns each. */
AVX2_INLINE __m256i two_scales(const int8_t *at) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi16(at[0])), _mm_set1_epi16(at[1]), 1);
}

/* Strip i (of four) of half a super-block: 32 columns. */
AVX2_INLINE __m256i q6_k_strip(const uint8_t *low, __m256i high, const int i) {
    __m256i bytes = load32(low + i % 2 * 32), two_bits = _mm256_set1_epi8(0x30);
    __m256i four = _mm256_and_si256(i < 2 ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
    __m256i top = i == 0 ? _mm256_slli_epi16(high, 4) : i == 1 ? _mm256_slli_epi16(high, 2) : i == 2 ? high
                                                                                            : _mm256_srli_epi16(high, 2);
    return _mm256_or_si256(four, _mm256_and_si256(top, two_bits));
}

AVX2_INLINE __m256i q6_k_offset(const int8_t *scales, const int32_t *lane_sum) {
    __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)scales));
    return _mm256_slli_epi32(_mm256_mullo_epi32(wide, load32(lane_sum)), 5);
}

AVX2_INLINE void add_q6_k(totals *t, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    const int8_t *scales = (const int8_t *)b + FC_Q6K_SCALES;
    lane_sums s = {{_mm256_setzero_si256(), _mm256_setzero_si256()}};
    FC_UNROLL
    for (int i = 0; i < 8; i++) {
        __m256i high = load32(b + FC_Q6K_QH + i / 4 * 32);
        __m256i sum = scaled_products(q6_k_strip(b + i / 4 * 64, high, i % 4), q + 32 * i, two_scales(scales + 2 * i));
        s.half[i % 2] = _mm256_add_epi32(s.half[i % 2], sum);
    }
    s.half[0] = _mm256_sub_epi32(s.half[0], q6_k_offset(scales, lane_sum));
    s.half[1] = _mm256_sub_epi32(s.half[1], q6_k_offset(scales + 8, lane_sum + 8));
    add_scaled(t, &s, half_float(b + FC_Q6K_D) * scale);
}

/* Of one token and of a few: format_row takes up to AT_ONCE. */
enum { AT_ONCE = 4 };
#define KERNELS(format, block)                                                                                        \
    AVX2 void fc_gemv_##format##_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end,         \
                                      float *y) {                                                                     \
        for (int64_t row = begin; row < end; row++)                                                                   \
            format##_row(w->data + row * w->row_bytes, w->cols / (block), &x, 1, y + row - begin, 0);                \
    }                                                                                                                 \
    AVX2 void fc_gemm_##format##_avx2(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,   \
                                      int64_t end, float *y, int64_t stride) {                                        \
        for (int64_t row = begin; row < end; row++, y++)                                                              \
            FC_IN_PARTS(tokens, AT_ONCE, format##_row(w->data + row * w->row_bytes, w->cols / (block), x + t, n,     \
                                                      y + t * stride, stride))                                        \
    }

/* Compilers unpack a block once for all tokens. */
#define BLOCK_KERNEL(format, block_bytes)                                                                             \
    AVX2_INLINE void format##_row(const uint8_t *at, int64_t blocks, const fc_activation *const *x, const int tokens, \
                                  float *y, int64_t stride) {                                                         \
        totals sum[AT_ONCE];                                                                                          \
        FC_UNROLL                                                                                                     \
        for (int t = 0; t < tokens; t++) sum[t] = (totals){{_mm256_setzero_ps(), _mm256_setzero_ps()}};               \
        for (int64_t b = 0; b < blocks; b++, at += block_bytes) {                                                     \
            ask_for_block(at, block_bytes);                                                                           \
            FC_UNROLL                                                                                                 \
            for (int t = 0; t < tokens; t++)                                                                          \
                add_##format(&sum[t], at, x[t]->q + b * FC_SUPER, x[t]->lane_sum + b * FC_LANES, x[t]->scale[b]);      \
        }                                                                                                             \
        for (int t = 0; t < tokens; t++) y[t * stride] = reduce_lanes(&sum[t]);                                       \
    }                                                                                                                 \
    KERNELS(format, FC_SUPER)
BLOCK_KERNEL(tq2_0, FC_TQ2_BYTES)
BLOCK_KERNEL(q4_k, FC_Q4K_BYTES)
BLOCK_KERNEL(q6_k, FC_Q6K_BYTES)

/* ---- tq1_0: sixteen blocks at a time, two to a vector; see fc_tq1_at ------------------ */

/* Bytes of a block that isn't there: its activations are zeros too. */
static const uint8_t no_block[FC_TQ1_BYTES];

/* Sums of blocks at[0] and at[1], a half each. 16-bit lanes gain 15 * 2 * 127. */
AVX2_INLINE __m256i tq1_0_pair(const uint8_t *const *at, const int8_t *q) {
    __m256i sum = _mm256_setzero_si256();
    FC_UNROLL
    for (int chunk = 0; chunk < 3; chunk++) {
        __m128i low = _mm_loadu_si128((const __m128i *)(at[0] + 16 * chunk));
        __m128i high = _mm_loadu_si128((const __m128i *)(at[1] + 16 * chunk));
        sum = add_fractions(sum, _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), 5, q + 320 * chunk);
    }
    return widen(sum);
}

/* The tails of eight blocks, four digits each. */
AVX2_INLINE __m256i tq1_0_tails(const uint8_t *const *at, const int8_t *q) {
    uint32_t tail[8];
    for (int b = 0; b < 8; b++) tail[b] = fc_load_u32(at[b] + FC_TQ1_QH);
    return widen(add_fractions(_mm256_setzero_si256(), load32(tail), 4, q));
}

/* Lane b: the sum of block at[b], of eight. */
AVX2_INLINE __m256i tq1_0_eight(const uint8_t *const *at, const int8_t *q, const int8_t *tails) {
    __m256i pair[4];
    FC_UNROLL
    for (int i = 0; i < 4; i++) pair[i] = tq1_0_pair(at + 2 * i, q + i / 2 * FC_TQ1_SET_BYTES + i % 2 * 32);
    __m256i low = _mm256_hadd_epi32(pair[0], pair[1]), high = _mm256_hadd_epi32(pair[2], pair[3]);
    const __m256i order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
    return _mm256_add_epi32(_mm256_permutevar8x32_epi32(_mm256_hadd_epi32(low, high), order), tq1_0_tails(at, tails));
}

/* Up to sixteen blocks, from the one numbered `first` on. */
AVX2_INLINE void add_tq1_0(totals *t, const uint8_t *block, int64_t left, const fc_activation *x, int64_t first) {
    const int8_t *q = x->q + first * FC_SUPER, *tails = q + FC_TQ1_TAILS;
    const uint8_t *at[FC_TQ1_TOGETHER];
    float scale[FC_TQ1_TOGETHER];
    for (int b = 0; b < FC_TQ1_TOGETHER; b++) {
        at[b] = b < left ? block + b * FC_TQ1_BYTES : no_block;
        scale[b] = b < left ? half_float(at[b] + FC_TQ1_D) * x->scale[first + b] : 0;
    }
    for (int h = 0; h < 2 && 8 * h < left; h++) {
        __m256i sum = tq1_0_eight(at + 8 * h, q + 2 * h * FC_TQ1_SET_BYTES, tails + 32 * h);
        t->half[h] = _mm256_fmadd_ps(_mm256_loadu_ps(scale + 8 * h), _mm256_cvtepi32_ps(sum), t->half[h]);
    }
}

AVX2 void fc_gemv_tq1_0_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    const int64_t together = FC_TQ1_TOGETHER * FC_TQ1_BYTES;
    for (int64_t row = begin; row < end; row++) {
        totals t = {{_mm256_setzero_ps(), _mm256_setzero_ps()}};
        const uint8_t *at = w->data + row * w->row_bytes;
        for (int64_t first = 0, left = w->cols / FC_SUPER; left > 0; first += 16, left -= 16, at += together) {
            ask_for_block(at, FC_TQ1_TOGETHER * FC_TQ1_BYTES);
            if (left < FC_TQ1_TOGETHER) add_tq1_0(&t, at, left, x, first);
            else add_tq1_0(&t, at, FC_TQ1_TOGETHER, x, first);
        }
        y[row - begin] = reduce_lanes(&t);
    }
}

/* One side of a product of bytes is unsigned: magnitudes of the weights, whose
 * signs move to the activations. */
AVX2_INLINE __m256i q8_0_products(const uint8_t *block, const int8_t *q) {
    __m256i weights = load32(block + 2), x = _mm256_load_si256((const __m256i *)q);
    return widen(_mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights)));
}

AVX2_INLINE __m256 add_q8_0(__m256 total, const uint8_t *block, const int8_t *q, float scale) {
    return scaled(total, q8_0_products(block, q), half_float(block) * scale);
}

/* One block, or two for both halves of the lanes. */
AVX2_INLINE void add_q8_0_blocks(totals *sum, const uint8_t *at, const int n, const fc_activation *x, int64_t i) {
    FC_UNROLL
    for (int h = 0; h < n; h++)
        sum->half[h] = add_q8_0(sum->half[h], at + h * FC_Q8_BYTES, x->q + (i + h) * FC_Q8_BLOCK, x->scale[i + h]);
}

AVX2_INLINE void q8_0_row(const uint8_t *at, int64_t blocks, const fc_activation *const *x, const int tokens, float *y,
                          int64_t stride) {
    totals sum[AT_ONCE];
    int64_t i = 0;
    FC_UNROLL
    for (int t = 0; t < tokens; t++) sum[t] = (totals){{_mm256_setzero_ps(), _mm256_setzero_ps()}};
    for (; i + 2 <= blocks; i += 2, at += 2 * FC_Q8_BYTES) {
        ask_for_block(at, 2 * FC_Q8_BYTES);
        FC_UNROLL
        for (int t = 0; t < tokens; t++) add_q8_0_blocks(&sum[t], at, 2, x[t], i);
    }
    FC_UNROLL
    for (int t = 0; t < tokens; t++) {
        if (i < blocks) add_q8_0_blocks(&sum[t], at, 1, x[t], i);
        y[t * stride] = reduce_lanes(&sum[t]);
    }
}

KERNELS(q8_0, FC_Q8_BLOCK)

#else
typedef int fc_no_x86_here;
#endif
