/* AVX2: trit5 and i2_s, one scale a row or a matrix. */
#include "fitcheck.h"

#if FC_X86
#include "avx2.h"

/* ---- trit5 -------------------------------------------------------------------- */

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

#else
typedef int fc_no_x86_here;
#endif
