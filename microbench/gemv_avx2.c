/* AVX2 with FMA and F16C. Sums of byte products are 16 bits wide here, so
 * scaled fields and long rows need care that VNNI does not. */
#include "fitcheck.h"

#if FC_X86
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

/* ---- trit5 -------------------------------------------------------------------- */

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

/* Two halves make a group; widened after each eight groups: 16 * 1270 < 2^15. */
enum { TRIT5_GROUPS = 8 };

AVX2_INLINE int32_t trit5_tail(const uint8_t *at, int64_t bytes, const int8_t *q) {
    __m256i sum = add_fractions(_mm256_setzero_si256(), load_first(at, bytes), 5, q);
    sum = add_fractions(sum, load_first(at + 32, bytes - 32), 5, q + 32);
    return sum_lanes(widen(sum));
}

/* Weights come with their signs here, so nothing is left to subtract: the
 * activations' sum is added back for the one formula that ends every row. */
AVX2_INLINE int32_t trit5_dot(const uint8_t *row, int64_t bytes, const fc_activation *x) {
    const int8_t *q = x->q;
    __m256i total = _mm256_setzero_si256();
    while (bytes >= 64) {
        __m256i sum = _mm256_setzero_si256();
        for (int i = 0; i < TRIT5_GROUPS && bytes >= 64; i++, bytes -= 64, row += 64, q += FC_TRIT5_GROUP) {
            FC_PREFETCH(row + FC_PREFETCH_AHEAD);
            sum = add_fractions(sum, _mm256_loadu_si256((const __m256i *)row), 5, q);
            sum = add_fractions(sum, _mm256_loadu_si256((const __m256i *)(row + 32)), 5, q + 32);
        }
        total = _mm256_add_epi32(total, widen(sum));
    }
    return sum_lanes(total) + (bytes ? trit5_tail(row, bytes, q) : 0) + x->sum;
}

AVX2 void fc_gemv_trit5_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++)
        y[row - begin] =
            fc_ternary_result(trit5_dot(w->data + row * w->row_bytes, w->row_bytes, x), x, w->scales[row]);
}

/* ---- i2_s ----------------------------------------------------------------------- */

/* Fields 0 and 2 of a nibble pair are summed as they are, 1 and 3 times 4: one
 * shift for two fields. `plain` gains 2 * 2 * 2 * 127 = 1016 a block of 32
 * bytes, `fourfold` four times that: eight blocks fit 2^15. */
typedef struct {
    __m256i plain, fourfold;
} sums;

enum { I2S_ROWS = 2, I2S_BLOCKS = 8 };

AVX2_INLINE __m256i products(__m256i bytes, int mask, const int8_t *q) {
    __m256i digits = _mm256_and_si256(bytes, _mm256_set1_epi8((char)mask));
    return _mm256_maddubs_epi16(digits, _mm256_load_si256((const __m256i *)q));
}

/* Kept from turning sums round: compilers would hold every product of a strip
 * to add them as a tree, and spill. */
AVX2_INLINE __m256i add_digits(__m256i sum, __m256i bytes, __m256i mask, __m256i x) {
    return in_register(_mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_and_si256(bytes, mask), x)));
}

/* Block number `block` of n rows, which share each load of activations. */
AVX2_INLINE void add_two_bit(sums *s, const uint8_t *at, int64_t stride, const int n, const int8_t *q) {
    const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0c);
    __m256i bytes[I2S_ROWS], upper[I2S_ROWS], x[4];
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        bytes[r] = _mm256_loadu_si256((const __m256i *)(at + r * stride));
        upper[r] = _mm256_srli_epi16(bytes[r], 4); /* strays into the neighbour are masked off */
    }
    FC_UNROLL
    for (int k = 0; k < 4; k++) x[k] = _mm256_load_si256((const __m256i *)(q + 64 * k));
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        s[r].fourfold = add_digits(s[r].fourfold, upper[r], high, x[0]);
        s[r].plain = add_digits(s[r].plain, upper[r], low, x[1]);
        s[r].fourfold = add_digits(s[r].fourfold, bytes[r], high, x[2]);
        s[r].plain = add_digits(s[r].plain, bytes[r], low, x[3]);
    }
}

AVX2_INLINE __m256i two_bit_total(const sums *s) {
    return widen(_mm256_add_epi16(s->plain, _mm256_srai_epi16(s->fourfold, 2)));
}

/* A strip of at most I2S_BLOCKS blocks of n rows, whose sums fit 16 bits. */
AVX2_INLINE void add_strip(__m256i *total, const uint8_t *at, int64_t stride, int blocks, const int n, const int8_t *q) {
    sums s[I2S_ROWS];
    FC_UNROLL
    for (int r = 0; r < n; r++) s[r] = (sums){_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (; blocks >= 2; blocks -= 2, at += 64, q += 256) {
        add_two_bit(s, at, stride, n, q);
        add_two_bit(s, at + 32, stride, n, q + 32);
    }
    if (blocks) add_two_bit(s, at, stride, n, q);
    FC_UNROLL
    for (int r = 0; r < n; r++) total[r] = _mm256_add_epi32(total[r], two_bit_total(&s[r]));
}

AVX2_INLINE void i2_s_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, __m256i *part) {
    enum { BYTES = 32 * I2S_BLOCKS };
    const uint8_t *at = w->data + row * w->row_bytes, *ahead = at + FC_PREFETCH_AHEAD;
    const int8_t *q = x->q;
    int64_t left = w->row_bytes;
    __m256i total[I2S_ROWS];
    FC_UNROLL
    for (int r = 0; r < n; r++) total[r] = _mm256_setzero_si256();
    for (; left >= BYTES; left -= BYTES, at += BYTES, q += 4 * BYTES, ahead += n * BYTES) {
        FC_UNROLL
        for (int i = 0; i < n * BYTES; i += 64) FC_PREFETCH(ahead + i);
        add_strip(total, at, w->row_bytes, I2S_BLOCKS, n, q);
    }
    if (left) add_strip(total, at, w->row_bytes, (int)(left / 32), n, q);
    FC_UNROLL
    for (int r = 0; r < n; r++) part[r] = total[r];
}

/* Eight rows' sums at once: what the end of a row costs, counts. */
enum { ROWS_TOGETHER = 8 };

AVX2_INLINE __m256i sums_of_eight(const __m256i part[ROWS_TOGETHER]) {
    __m256i four[2];
    FC_UNROLL
    for (int i = 0; i < 2; i++)
        four[i] = _mm256_hadd_epi32(_mm256_hadd_epi32(part[4 * i], part[4 * i + 1]),
                                    _mm256_hadd_epi32(part[4 * i + 2], part[4 * i + 3]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(four[0], four[1], 0x20),
                            _mm256_permute2x128_si256(four[0], four[1], 0x31));
}

AVX2 void fc_gemv_i2_s_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    __m256i part[ROWS_TOGETHER] = {0};
    for (int64_t row = begin; row < end; row += ROWS_TOGETHER) {
        int rows = end - row < ROWS_TOGETHER ? (int)(end - row) : ROWS_TOGETHER, r = 0;
        for (; r + I2S_ROWS <= rows; r += I2S_ROWS) i2_s_rows(w, x, row + r, I2S_ROWS, part + r);
        for (; r < rows; r++) i2_s_rows(w, x, row + r, 1, part + r);
        int32_t dot[ROWS_TOGETHER];
        _mm256_storeu_si256((__m256i *)dot, sums_of_eight(part));
        for (r = 0; r < rows; r++) y[row - begin + r] = fc_ternary_result(dot[r], x, w->scales[0]);
    }
}

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

#define BLOCK_KERNEL(format, block_bytes)                                                                             \
    AVX2 void fc_gemv_##format##_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end,         \
                                      float *y) {                                                                     \
        for (int64_t row = begin; row < end; row++) {                                                                 \
            totals t = {{_mm256_setzero_ps(), _mm256_setzero_ps()}};                                                  \
            const uint8_t *at = w->data + row * w->row_bytes;                                                         \
            for (int64_t b = 0; b < w->cols / FC_SUPER; b++, at += block_bytes) {                                     \
                ask_for_block(at, block_bytes);                                                                       \
                add_##format(&t, at, x->q + b * FC_SUPER, x->lane_sum + b * FC_LANES, x->scale[b]);                    \
            }                                                                                                         \
            y[row - begin] = reduce_lanes(&t);                                                                        \
        }                                                                                                             \
    }
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

AVX2 void fc_gemv_q8_0_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    int64_t blocks = w->cols / FC_Q8_BLOCK;
    for (int64_t row = begin; row < end; row++) {
        totals t = {{_mm256_setzero_ps(), _mm256_setzero_ps()}};
        const uint8_t *at = w->data + row * w->row_bytes;
        const int8_t *q = x->q;
        int64_t i = 0;
        for (; i + 2 <= blocks; i += 2, at += 2 * FC_Q8_BYTES, q += 2 * FC_Q8_BLOCK) {
            ask_for_block(at, 2 * FC_Q8_BYTES);
            t.half[0] = add_q8_0(t.half[0], at, q, x->scale[i]);
            t.half[1] = add_q8_0(t.half[1], at + FC_Q8_BYTES, q + FC_Q8_BLOCK, x->scale[i + 1]);
        }
        if (i < blocks) t.half[0] = add_q8_0(t.half[0], at, q, x->scale[i]);
        y[row - begin] = reduce_lanes(&t);
    }
}

/* ---- floats -------------------------------------------------------------------------- */

AVX2_INLINE __m256 floats_of_f16(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }

AVX2_INLINE __m256 floats_of_bf16(const uint8_t *at) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)at));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* The last columns, one a lane, are added after the vectors. */
#define FLOAT_KERNEL(format, to_float)                                                                             \
    AVX2_INLINE float format##_dot(const uint8_t *at, const float *x, int64_t cols) {                              \
        __m256 total[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};    \
        float lane[FC_FLOAT_LANES];                                                                                \
        for (; cols >= FC_FLOAT_LANES; cols -= FC_FLOAT_LANES, at += 64, x += FC_FLOAT_LANES) {                    \
            FC_PREFETCH(at + FC_PREFETCH_AHEAD);                                                                   \
            FC_UNROLL                                                                                              \
            for (int i = 0; i < 4; i++)                                                                            \
                total[i] = _mm256_fmadd_ps(floats_of_##format(at + 16 * i), _mm256_loadu_ps(x + 8 * i), total[i]); \
        }                                                                                                          \
        for (int i = 0; i < 4; i++) _mm256_storeu_ps(lane + 8 * i, total[i]);                                      \
        for (int64_t i = 0; i < cols; i++) lane[i] = fmaf(to_float(fc_load_u16(at + 2 * i)), x[i], lane[i]);       \
        return fc_reduce_lanes(lane, FC_FLOAT_LANES);                                                              \
    }                                                                                                              \
    AVX2 void fc_gemv_##format##_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end,      \
                                      float *y) {                                                                  \
        for (int64_t row = begin; row < end; row++)                                                                \
            y[row - begin] = format##_dot(w->data + row * w->row_bytes, x->f, w->cols);                            \
    }
FLOAT_KERNEL(f16, fc_float_of_half)
FLOAT_KERNEL(bf16, fc_float_of_bf16)

/* ---- attention ----------------------------------------------------------------- */

typedef __m256 vec;
enum { VEC_FLOATS = 8 };
#define ATTEND_INLINE AVX2_INLINE

AVX2_INLINE vec vec_zero(void) { return _mm256_setzero_ps(); }
AVX2_INLINE vec vec_set(float x) { return _mm256_set1_ps(x); }
AVX2_INLINE vec vec_load(const float *at) { return _mm256_loadu_ps(at); }
AVX2_INLINE void vec_store(float *at, vec v) { _mm256_storeu_ps(at, v); }
AVX2_INLINE vec vec_of_half(const uint16_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }
AVX2_INLINE vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
AVX2_INLINE vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
AVX2_INLINE vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
AVX2_INLINE float vec_sum(vec v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
AVX2_INLINE vec vec_round(vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
AVX2_INLINE vec vec_two_to_the(vec n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

#include "attend.h"

AVX2 void fc_attend_f16_avx2(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                             float *out, float *scratch) {
    attend_all(q, heads, k, v, cells, dim, out, scratch);
}

/* ---- reading -------------------------------------------------------------------- */

typedef struct {
    __m256i half[2];
} line;
#define READ_INLINE AVX2_INLINE

AVX2_INLINE line line_zero(void) { return (line){{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
AVX2_INLINE line line_add(line sum, const uint8_t *at) {
    for (int i = 0; i < 2; i++)
        sum.half[i] = _mm256_xor_si256(sum.half[i], _mm256_loadu_si256((const __m256i *)(at + 32 * i)));
    return sum;
}
AVX2_INLINE uint64_t line_fold(line sum) {
    __m256i all = _mm256_xor_si256(sum.half[0], sum.half[1]);
    return (uint64_t)(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^ _mm256_extract_epi64(all, 2)
                      ^ _mm256_extract_epi64(all, 3));
}

#include "read.h"

AVX2 uint64_t fc_read_bytes_avx2(const uint8_t *data, size_t bytes) { return read_streams(data, bytes); }

#else
typedef int fc_no_x86_here;
#endif
