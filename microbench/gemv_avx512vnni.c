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
VNNI_INLINE void add_trit5_group(__m512i *sum, __m512i *bytes, const int n, const int8_t *q) {
    FC_UNROLL
    for (int k = 0; k < 5; k++) {
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
        add_trit5_group(sum, bytes, n, q);
    }
    if (rows.left) {
        fc_last_vectors(&rows, bytes);
        add_trit5_group(sum, bytes, n, q);
    }
    FC_UNROLL
    for (int r = 0; r < n; r++) part[r] = _mm512_srai_epi32(sum[r], 6);
}

VNNI void fc_gemv_trit5_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    FC_FOR_ROWS(trit5_rows, 2, 1)
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

/* ---- a scale a block --------------------------------------------------------
 *
 * One row at a time: the block's own arithmetic keeps the core busy. */

VNNI_INLINE float reduce_lanes(__m512 v) {
    float lane[FC_LANES];
    _mm512_storeu_ps(lane, v);
    return fc_reduce_lanes(lane, FC_LANES);
}

VNNI_INLINE __m512 add_scaled(__m512 total, __m512i s, float scale) {
    return _mm512_fmadd_ps(_mm512_set1_ps(scale), _mm512_cvtepi32_ps(s), total);
}

VNNI_INLINE __m512i load_sums(const int32_t *lane_sum) { return _mm512_load_si512(lane_sum); }

VNNI_INLINE void ask_for_block(const uint8_t *block, int bytes) {
    FC_UNROLL
    for (int i = 0; i < bytes; i += 64) FC_PREFETCH(block + FC_PREFETCH_AHEAD + i);
}

/* The 52 bytes of digits of a tq1_0 block. */
VNNI_INLINE __m512 add_tq1_0(__m512 total, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    __m512i bytes = _mm512_maskz_loadu_epi8(((__mmask64)1 << FC_TQ1_D) - 1, b), sum = _mm512_setzero_si512();
    add_trit5_group(&sum, &bytes, 1, q);
    /* Each digit came plus one, which is the weight plus two. */
    sum = _mm512_sub_epi32(_mm512_srai_epi32(sum, 6), _mm512_slli_epi32(load_sums(lane_sum), 1));
    return add_scaled(total, sum, fc_half(b + FC_TQ1_D) * scale);
}

VNNI_INLINE __m512 add_tq2_0(__m512 total, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    __m512i bytes = _mm512_loadu_si512(b), field[4];
    FC_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i digit = _mm512_and_si512(bytes, _mm512_set1_epi8((char)(3 << 2 * k)));
        field[k] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), digit, _mm512_load_si512(q + 64 * k));
    }
    __m512i low = _mm512_add_epi32(field[0], _mm512_srai_epi32(field[1], 2));
    __m512i high = _mm512_add_epi32(_mm512_srai_epi32(field[2], 4), _mm512_srai_epi32(field[3], 6));
    __m512i sum = _mm512_sub_epi32(_mm512_add_epi32(low, high), load_sums(lane_sum));
    return add_scaled(total, sum, fc_half(b + FC_TQ2_D) * scale);
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
    low = _mm512_mullo_epi32(low, load_sums(lane_sum));
    total = add_scaled(total, sum, fc_half(b) * scale);
    return add_scaled(total, low, -(fc_half(b + 2) * scale));
}

/* Scales of 64 columns, one for each 16 of them: four bytes to 32 words. */
VNNI_INLINE __m512i four_scales(const uint8_t *at) {
    __m512i all = _mm512_cvtepi8_epi16(_mm256_set1_epi32((int32_t)fc_load_u32(at)));
    __m512i order = _mm512_set_epi64(0x0003000300030003, 0x0003000300030003, 0x0002000200020002, 0x0002000200020002,
                                     0x0001000100010001, 0x0001000100010001, 0, 0);
    return _mm512_permutexvar_epi16(order, all);
}

VNNI_INLINE __m512 add_q6_k(__m512 total, const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    const uint8_t *scales = b + FC_Q6K_SCALES;
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
        sum = add_products(sum, w0, q + 128 * half, four_scales(scales + 8 * half));
        sum = add_products(sum, w1, q + 128 * half + 64, four_scales(scales + 8 * half + 4));
    }
    __m512i offset = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)scales));
    offset = _mm512_slli_epi32(_mm512_mullo_epi32(offset, load_sums(lane_sum)), 5);
    return add_scaled(total, _mm512_sub_epi32(sum, offset), fc_half(b + FC_Q6K_D) * scale);
}

#define BLOCK_KERNEL(format, block_bytes, q_bytes)                                                                    \
    VNNI void fc_gemv_##format##_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end,   \
                                            float *y) {                                                               \
        for (int64_t row = begin; row < end; row++) {                                                                 \
            __m512 total = _mm512_setzero_ps();                                                                       \
            const uint8_t *at = w->data + row * w->row_bytes;                                                         \
            for (int64_t b = 0; b < w->cols / FC_SUPER; b++, at += block_bytes) {                                     \
                ask_for_block(at, block_bytes);                                                                       \
                total = add_##format(total, at, x->q + b * q_bytes, x->lane_sum + b * FC_LANES, x->scale[b]);            \
            }                                                                                                         \
            y[row - begin] = reduce_lanes(total);                                                                     \
        }                                                                                                             \
    }
BLOCK_KERNEL(tq1_0, FC_TQ1_BYTES, 320)
BLOCK_KERNEL(tq2_0, FC_TQ2_BYTES, 256)
BLOCK_KERNEL(q4_k, FC_Q4K_BYTES, 256)
BLOCK_KERNEL(q6_k, FC_Q6K_BYTES, 256)

/* Dot products take one side unsigned: weights plus 128, so 128 times the
 * activations come off again. */
VNNI_INLINE __m512i q8_0_products(__m512i weights, __m512i x) {
    __m512i top = _mm512_set1_epi8((char)0x80);
    __m512i offset = _mm512_dpbusd_epi32(_mm512_setzero_si512(), top, x);
    return _mm512_sub_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(weights, top), x), offset);
}

VNNI_INLINE __m256i q8_0_weights(const uint8_t *block) { return _mm256_loadu_si256((const __m256i *)(block + 2)); }

VNNI void fc_gemv_q8_0_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    int64_t blocks = w->cols / FC_Q8_BLOCK;
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *at = w->data + row * w->row_bytes;
        __m512 total = _mm512_setzero_ps();
        for (int64_t i = 0; i < blocks; i += 2, at += 2 * FC_Q8_BYTES) {
            int two = i + 1 < blocks;
            ask_for_block(at, 2 * FC_Q8_BYTES);
            __m256i upper = two ? q8_0_weights(at + FC_Q8_BYTES) : _mm256_setzero_si256();
            __m512i weights = _mm512_inserti64x4(_mm512_castsi256_si512(q8_0_weights(at)), upper, 1);
            __m256 low_scale = _mm256_set1_ps(fc_half(at) * x->scale[i]);
            __m256 high_scale = two ? _mm256_set1_ps(fc_half(at + FC_Q8_BYTES) * x->scale[i + 1]) : _mm256_setzero_ps();
            __m512d scale = _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_castps_pd(low_scale)),
                                               _mm256_castps_pd(high_scale), 1);
            __m512i sum = q8_0_products(weights, _mm512_load_si512(x->q + i * FC_Q8_BLOCK));
            total = _mm512_fmadd_ps(_mm512_castpd_ps(scale), _mm512_cvtepi32_ps(sum), total);
        }
        y[row - begin] = reduce_lanes(total);
    }
}

/* ---- floats ------------------------------------------------------------------ */

VNNI_INLINE __m512 floats_of_half(__m256i h) { return _mm512_cvtph_ps(h); }

VNNI_INLINE __m512 floats_of_bf16(__m256i b) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

VNNI_INLINE __mmask16 first_lanes(int64_t n) { return (__mmask16)(n < 1 ? 0 : n > 15 ? 0xffff : (1u << n) - 1); }

/* A vector of floats fills the first-level cache, so several rows share each
 * load of it. Lines are asked for in the order of memory, as in fc_rows. */
enum { FLOAT_ROWS = 8 };

#define FLOAT_KERNEL(format, convert)                                                                               \
    VNNI_INLINE void format##_step(__m512 *total, const int n, __mmask16 some, const uint8_t *at, int64_t stride,   \
                                   const float *x) {                                                                \
        __m512 v = _mm512_maskz_loadu_ps(some, x);                                                                  \
        FC_UNROLL                                                                                                   \
        for (int r = 0; r < n; r++)                                                                                 \
            total[r] = _mm512_fmadd_ps(convert(_mm256_maskz_loadu_epi16(some, at + r * stride)), v, total[r]);      \
    }                                                                                                               \
    VNNI_INLINE void format##_rows(const fc_matrix *w, const fc_activation *a, int64_t row, const int n, float *y) { \
        const uint8_t *at = w->data + row * w->row_bytes, *ahead = at + FC_PREFETCH_AHEAD;                          \
        const float *x = a->f;                                                                                      \
        int64_t left = w->cols, stride = w->row_bytes;                                                              \
        __m512 even[FLOAT_ROWS], odd[FLOAT_ROWS];                                                                   \
        memset(even, 0, sizeof even);                                                                               \
        memset(odd, 0, sizeof odd);                                                                                 \
        for (; left >= FC_FLOAT_LANES; left -= FC_FLOAT_LANES, at += 64, x += FC_FLOAT_LANES) {                     \
            FC_UNROLL                                                                                               \
            for (int r = 0; r < n; r++, ahead += 64) FC_PREFETCH(ahead);                                            \
            format##_step(even, n, 0xffff, at, stride, x);                                                          \
            format##_step(odd, n, 0xffff, at + 32, stride, x + 16);                                                 \
        }                                                                                                           \
        format##_step(even, n, first_lanes(left), at, stride, x);                                                   \
        format##_step(odd, n, first_lanes(left - 16), at + 32, stride, x + 16);                                     \
        FC_UNROLL                                                                                                   \
        for (int r = 0; r < n; r++) y[r] = reduce_lanes(_mm512_add_ps(even[r], odd[r]));                            \
    }                                                                                                               \
    VNNI void fc_gemv_##format##_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, \
                                            float *y) {                                                             \
        int64_t row = begin;                                                                                        \
        for (; row + FLOAT_ROWS <= end; row += FLOAT_ROWS) format##_rows(w, x, row, FLOAT_ROWS, y + (row - begin)); \
        for (; row < end; row++) format##_rows(w, x, row, 1, y + (row - begin));                                    \
    }
FLOAT_KERNEL(f16, floats_of_half)
FLOAT_KERNEL(bf16, floats_of_bf16)

/* ---- attention ----------------------------------------------------------------- */

typedef __m512 vec;
enum { VEC_FLOATS = 16 };
#define ATTEND_INLINE VNNI_INLINE

VNNI_INLINE vec vec_zero(void) { return _mm512_setzero_ps(); }
VNNI_INLINE vec vec_set(float x) { return _mm512_set1_ps(x); }
VNNI_INLINE vec vec_load(const float *at) { return _mm512_loadu_ps(at); }
VNNI_INLINE void vec_store(float *at, vec v) { _mm512_storeu_ps(at, v); }
VNNI_INLINE vec vec_of_half(const uint16_t *at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at)); }
VNNI_INLINE vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
VNNI_INLINE vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
VNNI_INLINE vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
VNNI_INLINE float vec_sum(vec v) { return _mm512_reduce_add_ps(v); }
VNNI_INLINE vec vec_round(vec v) { return _mm512_roundscale_ps(v, 0); }
VNNI_INLINE vec vec_two_to_the(vec n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

#include "attend.h"

VNNI void fc_attend_f16_avx512vnni(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells,
                                   int dim, float *out, float *scratch) {
    attend_all(q, heads, k, v, cells, dim, out, scratch);
}

/* ---- reading -------------------------------------------------------------------- */

VNNI uint64_t fc_read_bytes_avx512vnni(const uint8_t *data, size_t bytes) {
    __m512i seen[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t i = 0; i < bytes; i += 1024) {
        FC_UNROLL
        for (int j = 0; j < 16; j++) {
            FC_PREFETCH(data + i + 64 * j + FC_PREFETCH_AHEAD);
            seen[j % 4] = _mm512_xor_si512(seen[j % 4], _mm512_loadu_si512(data + i + 64 * j));
        }
    }
    __m512i all = _mm512_xor_si512(_mm512_xor_si512(seen[0], seen[1]), _mm512_xor_si512(seen[2], seen[3]));
    return (uint64_t)_mm512_reduce_add_epi64(all);
}

#else
typedef int fc_no_x86_here;
#endif
