/* tq1_0 for the AVX-512 files, sixteen blocks at a time. An ISA file defines,
 * then includes this:
 *   TQ1_INLINE           attributes of helpers
 *   digit_sums           what products of digits gather in, and no_digits(), none
 *   add_digits(sums, bytes, n, digits, q, tokens, at)   as fc_add_fractions in avx512_ternary.h; digits come plus one
 *   digits_total(sums)   lane by lane
 *
 * A block's 54 bytes fill no vector and its scale is a half among bytes, so
 * four blocks make three vectors of digits, a quarter each, sixteen make a
 * vector of tails, and what a block costs besides digits is paid by the vector:
 * turning over, scaling and adding up are some 25 operations for 4096 weights. */
#include "avx512.h"

/* Bytes of a block that isn't there: its activations are zeros too. */
static const uint8_t tq1_no_block[FC_TQ1_BYTES];

/* Chunk `chunk` of a set's four blocks, a quarter each. */
TQ1_INLINE __m512i tq1_chunks(const uint8_t *const at[FC_TQ1_SET], const int chunk) {
    __m256i half[2];
    FC_UNROLL
    for (int h = 0; h < 2; h++) {
        __m128i low = _mm_loadu_si128((const __m128i *)(at[2 * h] + 16 * chunk));
        __m128i high = _mm_loadu_si128((const __m128i *)(at[2 * h + 1] + 16 * chunk));
        half[h] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(half[0]), half[1], 1);
}

/* Sums of a set of n rows, each block's spread over its quarter, to total[row * tokens + token]; `left` blocks are there. */
TQ1_INLINE void tq1_sets(const uint8_t *block, int64_t row_bytes, const int n, const int64_t left, const int8_t *const *q,
                         const int tokens, int64_t first, __m512i *total) {
    const uint8_t *at[MOST_ROWS][FC_TQ1_SET];
    digit_sums s[MOST_ROWS * FC_MOST_TOKENS];
    FC_UNROLL
    for (int i = 0; i < n * tokens; i++) s[i] = no_digits();
    FC_UNROLL
    for (int r = 0; r < n; r++)
        FC_UNROLL
        for (int b = 0; b < FC_TQ1_SET; b++) at[r][b] = b < left ? block + r * row_bytes + b * FC_TQ1_BYTES : tq1_no_block;
    FC_UNROLL
    for (int chunk = 0; chunk < 3; chunk++) {
        __m512i bytes[MOST_ROWS];
        FC_UNROLL
        for (int r = 0; r < n; r++) bytes[r] = tq1_chunks(at[r], chunk);
        add_digits(s, bytes, n, 5, q, tokens, first + 320 * chunk);
    }
    FC_UNROLL
    for (int i = 0; i < n * tokens; i++) total[i] = digits_total(&s[i]);
}

typedef struct {
    __m512i tails; /* four bytes a block */
    __m256i scales; /* a half a block */
} tq1_ends;

/* The last six bytes of a block and of the one after it, of those `left` that are there: words 0 to 2 and 27 to 29. */
TQ1_INLINE __m512i tq1_two_ends(const uint8_t *block, const int64_t left) {
    __mmask32 words = left >= 2 ? 0x3fffffff : left == 1 ? 7 : 0;
    return _mm512_maskz_loadu_epi16(words, block + FC_TQ1_QH);
}

/* Tails to the front and scales behind them: of four blocks, of eight, of sixteen. */
TQ1_INLINE tq1_ends tq1_all_ends(const uint8_t *block, const int64_t left) {
    const __m512i four = _mm512_castsi256_si512(_mm256_set_epi16(0, 0, 0, 0, 61, 34, 29, 2, 60, 59, 33, 32, 28, 27, 1, 0));
    const __m512i eight = _mm512_set_epi64(0, 0, 10, 2, 9, 8, 1, 0), scales = _mm512_set_epi64(0, 0, 0, 0, 13, 12, 5, 4);
    __m512i of_four[4], of_eight[2];
    FC_UNROLL
    for (int i = 0; i < 4; i++)
        of_four[i] = _mm512_permutex2var_epi16(tq1_two_ends(block + 4 * i * FC_TQ1_BYTES, left - 4 * i), four,
                                               tq1_two_ends(block + (4 * i + 2) * FC_TQ1_BYTES, left - 4 * i - 2));
    FC_UNROLL
    for (int i = 0; i < 2; i++) of_eight[i] = _mm512_permutex2var_epi64(of_four[2 * i], eight, of_four[2 * i + 1]);
    return (tq1_ends){_mm512_inserti64x4(of_eight[0], _mm512_castsi512_si256(of_eight[1]), 1),
                      _mm512_castsi512_si256(_mm512_permutex2var_epi64(of_eight[0], scales, of_eight[1]))};
}

/* Sums of sixteen blocks, from the one numbered `first` on, scaled and added to a row's total. */
TQ1_INLINE __m512 tq1_finish(__m512 total, const __m512i *set, __m512i tails, __m256i scales, const fc_activation *x, int64_t first) {
    __m512i sum = _mm512_add_epi32(fc_sums_of_quarters(set), tails);
    /* Each digit came plus one, which is the weight plus two. */
    __m512i beside = _mm512_loadu_si512(x->lane_sum + first);
    sum = _mm512_sub_epi32(_mm512_sub_epi32(sum, beside), beside);
    __m512 scale = _mm512_mul_ps(_mm512_cvtph_ps(scales), _mm512_loadu_ps(x->scale + first));
    return _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum), total);
}

/* Up to sixteen blocks, added to the row's total. */
TQ1_INLINE __m512 tq1_add(__m512 total, const uint8_t *block, const int64_t left, const fc_activation *x, int64_t first) {
    const int8_t *q = x->q + first * FC_SUPER;
    __m512i set[FC_TQ1_TOGETHER / FC_TQ1_SET];
    tq1_ends ends = tq1_all_ends(block, left);
    digit_sums tails = no_digits();
    add_digits(&tails, &ends.tails, 1, 4, &q, 1, FC_TQ1_TAILS);
    FC_UNROLL
    for (int i = 0; i < FC_TQ1_TOGETHER / FC_TQ1_SET; i++) {
        set[i] = _mm512_setzero_si512();
        if (FC_TQ1_SET * i < left)
            tq1_sets(block + FC_TQ1_SET * i * FC_TQ1_BYTES, 0, 1, left - FC_TQ1_SET * i, &q, 1, FC_TQ1_SET_BYTES * i, &set[i]);
    }
    return tq1_finish(total, set, digits_total(&tails), ends.scales, x, first);
}

TQ1_INLINE float tq1_row(const uint8_t *at, const fc_activation *x) {
    const int64_t sixteen = FC_TQ1_TOGETHER * FC_TQ1_BYTES, blocks = x->cols / FC_SUPER;
    __m512 total = _mm512_setzero_ps();
    int64_t first = 0;
    for (; first + FC_TQ1_TOGETHER <= blocks; first += FC_TQ1_TOGETHER, at += sixteen) {
        fc_ask_for_block(at, FC_TQ1_TOGETHER * FC_TQ1_BYTES);
        total = tq1_add(total, at, FC_TQ1_TOGETHER, x, first);
    }
    if (first < blocks) {
        fc_ask_for_block(at, FC_TQ1_TOGETHER * FC_TQ1_BYTES);
        total = tq1_add(total, at, blocks - first, x, first);
    }
    return fc_sum_halves(total);
}
