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
    offset = _mm512_slli_epi32(_mm512_mullo_epi32(offset, fc_load_sums(lane_sum)), 5);
    return fc_add_scaled(total, _mm512_sub_epi32(sum, offset), fc_half(b + FC_Q6K_D) * scale);
}

FC_BLOCK_KERNEL(tq2_0, avx512vnni, VNNI, FC_TQ2_BYTES)
FC_BLOCK_KERNEL(q4_k, avx512vnni, VNNI, FC_Q4K_BYTES)
FC_BLOCK_KERNEL(q6_k, avx512vnni, VNNI, FC_Q6K_BYTES)

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
            fc_ask_for_block(at, 2 * FC_Q8_BYTES);
            __m256i upper = two ? q8_0_weights(at + FC_Q8_BYTES) : _mm256_setzero_si256();
            __m512i weights = _mm512_inserti64x4(_mm512_castsi256_si512(q8_0_weights(at)), upper, 1);
            __m256 low_scale = _mm256_set1_ps(fc_half(at) * x->scale[i]);
            __m256 high_scale = two ? _mm256_set1_ps(fc_half(at + FC_Q8_BYTES) * x->scale[i + 1]) : _mm256_setzero_ps();
            __m512d scale = _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_castps_pd(low_scale)),
                                               _mm256_castps_pd(high_scale), 1);
            __m512i sum = q8_0_products(weights, _mm512_load_si512(x->q + i * FC_Q8_BLOCK));
            total = _mm512_fmadd_ps(_mm512_castpd_ps(scale), _mm512_cvtepi32_ps(sum), total);
        }
        y[row - begin] = fc_sum_halves(total);
    }
}

/* ---- floats ------------------------------------------------------------------ */

/* A vector of floats fills the first-level cache, so several rows share each
 * load of it. Such rows are long: lines are asked for in the order of memory,
 * as in fc_rows, but of the rows after these, so that none is asked for too late;
 * where there are none, of these. */
typedef struct {
    const uint8_t *at, *ahead;
    const float *x;
    int64_t stride;
} float_rows;

VNNI_INLINE float_rows float_rows_at(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t end) {
    const uint8_t *at = w->data + row * w->row_bytes;
    return (float_rows){at, row + 2 * n <= end ? at + n * w->row_bytes : at, x->f, w->row_bytes};
}

VNNI_INLINE void next_floats(float_rows *rows, const int n) {
    FC_UNROLL
    for (int r = 0; r < n; r++, rows->ahead += 64) FC_PREFETCH(rows->ahead);
    rows->at += 64;
    rows->x += FC_FLOAT_LANES;
}

VNNI_INLINE __mmask32 first_lanes(int64_t n) { return ((uint32_t)1 << n) - 1; }

/* Halves are widened eight at a time: on Zen 4 sixteen at once take 1.33
 * cycles, eight from memory take 0.5. */
enum { F16_ROWS = 4 };

typedef struct {
    __m256 quarter[4];
} f16_total;

VNNI_INLINE void f16_step(f16_total *total, const int n, const uint8_t *at, int64_t stride, const float *x) {
    FC_UNROLL
    for (int i = 0; i < 4; i++) {
        __m256 v = _mm256_loadu_ps(x + 8 * i);
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            __m256 w = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(at + r * stride + 16 * i)));
            total[r].quarter[i] = _mm256_fmadd_ps(w, v, total[r].quarter[i]);
        }
    }
}

/* The last 1 to 31 columns: a lane past them keeps what it has. */
VNNI_INLINE void f16_tail(f16_total *total, const int n, int64_t left, const float_rows *rows) {
    __mmask32 some = first_lanes(left);
    uint8_t halves[F16_ROWS][64];
    float x[FC_FLOAT_LANES];
    _mm512_storeu_ps(x, _mm512_maskz_loadu_ps((__mmask16)some, rows->x));
    _mm512_storeu_ps(x + 16, _mm512_maskz_loadu_ps((__mmask16)(some >> 16), rows->x + 16));
    for (int r = 0; r < n; r++)
        _mm512_storeu_si512(halves[r], _mm512_maskz_loadu_epi16(some, rows->at + r * rows->stride));
    f16_step(total, n, halves[0], 64, x);
}

VNNI_INLINE void f16_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t end,
                          float *y) {
    float_rows rows = float_rows_at(w, x, row, n, end);
    f16_total total[F16_ROWS];
    int64_t left = w->cols;
    FC_UNROLL
    for (int r = 0; r < n; r++) memset(&total[r], 0, sizeof total[r]);
    for (; left >= FC_FLOAT_LANES; left -= FC_FLOAT_LANES, next_floats(&rows, n))
        f16_step(total, n, rows.at, rows.stride, rows.x);
    if (left) f16_tail(total, n, left, &rows);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m256 low = _mm256_add_ps(total[r].quarter[0], total[r].quarter[2]);
        __m256 high = _mm256_add_ps(total[r].quarter[1], total[r].quarter[3]);
        __m512d both = _mm512_castpd256_pd512(_mm256_castps_pd(low));
        y[r] = fc_sum_halves(_mm512_castpd_ps(_mm512_insertf64x4(both, _mm256_castps_pd(high), 1)));
    }
}

/* A bf16 is the upper half of a float: of two in a word the upper one needs a
 * mask and the lower one a shift. So even and odd columns are summed apart. */
enum { BF16_ROWS = 8 };

typedef struct {
    __m512 even, odd;
} bf16_total;

VNNI_INLINE void bf16_step(bf16_total *total, const int n, __mmask32 some, const uint8_t *at, int64_t stride,
                           const float *x) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)some, x), high = _mm512_maskz_loadu_ps((__mmask16)(some >> 16), x + 16);
    __m512 even = _mm512_permutex2var_ps(low, evens, high);
    __m512 odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), high);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m512i pairs = fc_in_register(_mm512_maskz_loadu_epi16(some, at + r * stride));
        __m512i upper = _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000));
        total[r].even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)), even, total[r].even);
        total[r].odd = _mm512_fmadd_ps(_mm512_castsi512_ps(upper), odd, total[r].odd);
    }
}

/* Back to the order of columns, and then as ever. */
VNNI_INLINE float bf16_sum(const bf16_total *t) {
    const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512 low = _mm512_permutex2var_ps(t->even, first, t->odd);
    __m512 high = _mm512_permutex2var_ps(t->even, _mm512_add_epi32(first, _mm512_set1_epi32(8)), t->odd);
    return fc_sum_halves(_mm512_add_ps(low, high));
}

VNNI_INLINE void bf16_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t end,
                          float *y) {
    float_rows rows = float_rows_at(w, x, row, n, end);
    bf16_total total[BF16_ROWS];
    int64_t left = w->cols;
    FC_UNROLL
    for (int r = 0; r < n; r++) total[r] = (bf16_total){_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (; left >= FC_FLOAT_LANES; left -= FC_FLOAT_LANES, next_floats(&rows, n))
        bf16_step(total, n, 0xffffffff, rows.at, rows.stride, rows.x);
    if (left) bf16_step(total, n, first_lanes(left), rows.at, rows.stride, rows.x);
    FC_UNROLL
    for (int r = 0; r < n; r++) y[r] = bf16_sum(&total[r]);
}

#define FLOAT_KERNEL(format, most_rows)                                                                             \
    VNNI void fc_gemv_##format##_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, \
                                            float *y) {                                                             \
        int64_t row = begin;                                                                                        \
        for (; row + most_rows <= end; row += most_rows) format##_rows(w, x, row, most_rows, end, y + (row - begin)); \
        for (; row < end; row++) format##_rows(w, x, row, 1, end, y + (row - begin));                                 \
    }
FLOAT_KERNEL(f16, F16_ROWS)
FLOAT_KERNEL(bf16, BF16_ROWS)

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

typedef __m512i line;
#define READ_INLINE VNNI_INLINE

VNNI_INLINE line line_zero(void) { return _mm512_setzero_si512(); }
VNNI_INLINE line line_add(line sum, const uint8_t *at) { return _mm512_xor_si512(sum, _mm512_loadu_si512(at)); }
VNNI_INLINE uint64_t line_fold(line sum) { return (uint64_t)_mm512_reduce_add_epi64(sum); }

#include "read.h"

VNNI uint64_t fc_read_bytes_avx512vnni(const uint8_t *data, size_t bytes) { return read_streams(data, bytes); }

#else
typedef int fc_no_x86_here;
#endif
