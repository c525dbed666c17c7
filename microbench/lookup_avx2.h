/* Sums of a few products by looking them up, with AVX2: see gemv_avx2_trit3.c.
 *
 * For every two or three columns a table holds what each code adds: 9 bits, more
 * than a byte look-up gives, so value = 31 h + l with |l| <= 15 and |h| <= 12 lies
 * in two tables of 16 signed bytes. Lanes are rows; h and l are looked up and summed
 * apart, eight steps long: 8 * 15 and 8 * 12 fit a byte, and ten times 8 * 381 fits
 * 16 bits. Every sum is exact. */
#include <immintrin.h>

#include "numeric.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum {
    SPLIT = 31,
    THREES = 14, /* codes of three digits, by size */
    STEPS = 8,   /* look-ups that bytes hold */
    WIDEN = 10,  /* times so many that 16 bits hold */
    VECTOR = 32
};

/* ---- tables ------------------------------------------------------------------- */

/* What a code says of three columns, for codes 0 to 15, in 16 bits. */
typedef struct {
    __m256i weight[3];
} digits;

static inline digits digits_of_threes(void) {
    _Alignas(VECTOR) int16_t weight[3][16] = {{0}};
    digits d;
    for (int k = 0; k < 3; k++)
        for (int code = 0; code < THREES; code++) weight[k][code] = (int16_t)fc_trit3_weight(code, k);
    memcpy(&d, weight, sizeof d);
    return d;
}

/* 16 l and 16 h of the columns q[0..2]. Multiplying by 1057 / 2^15 and rounding is
 * the nearest 31st for every sum that can occur. */
AVX2_INLINE __m256i table_of(const int8_t *q, const digits *d) {
    __m256i sum = _mm256_sign_epi16(_mm256_set1_epi16(q[0]), d->weight[0]);
    sum = _mm256_add_epi16(sum, _mm256_sign_epi16(_mm256_set1_epi16(q[1]), d->weight[1]));
    sum = _mm256_add_epi16(sum, _mm256_sign_epi16(_mm256_set1_epi16(q[2]), d->weight[2]));
    __m256i h = _mm256_mulhrs_epi16(sum, _mm256_set1_epi16(1057));
    __m256i l = _mm256_sub_epi16(sum, _mm256_mullo_epi16(h, _mm256_set1_epi16(SPLIT)));
    return _mm256_permute4x64_epi64(_mm256_packs_epi16(l, h), 0xd8);
}

/* Of `width` columns each; of two, the one after them is read, too, and has no weight. */
AVX2_INLINE void build_tables(const int8_t *q, int width, int64_t tables, const digits *d, __m256i *table) {
    for (int64_t t = 0; t < tables; t++) table[t] = table_of(q + width * t, d);
}

AVX2_INLINE __m256i both_halves(const void *table) {
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)table));
}

/* ---- sums --------------------------------------------------------------------- */

AVX2_INLINE __m256i load(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)at); }

/* What 32 rows have come to: the low and the high half of their 128-bit lanes. */
typedef struct {
    __m256i of[2];
} words;

AVX2_INLINE void add_steps(words *sum, __m256i l, __m256i h) {
    const __m256i weigh = _mm256_set1_epi16(SPLIT << 8 | 1);
    __m256i first = _mm256_maddubs_epi16(weigh, _mm256_unpacklo_epi8(l, h));
    __m256i second = _mm256_maddubs_epi16(weigh, _mm256_unpackhi_epi8(l, h));
    sum->of[0] = _mm256_add_epi16(sum->of[0], first);
    sum->of[1] = _mm256_add_epi16(sum->of[1], second);
}
