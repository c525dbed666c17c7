/* trit3 with AVX2: sums of three products are looked up, not multiplied.
 *
 * For every three columns a table holds what each code adds: 9 bits, more than a
 * byte look-up gives, so value = 31 h + l with |l| <= 15 and |h| <= 12 lies in two
 * tables of 16 signed bytes. Lanes are rows; h and l are looked up, given the
 * code's sign and summed apart, eight steps long: 8 * 15 and 8 * 12 fit a byte,
 * and ten times 8 * 381 fits 16 bits. Every sum is exact.
 *
 * The order below is the one that measured best; gcc's own, made by replacing
 * temporaries and pairing additions anew, spills registers and is 10 to 15 % slower. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-ter", "no-tree-reassoc", "no-schedule-insns2")
#endif
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "numeric.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum {
    SPLIT = 31,
    CODES = 14,   /* 0 to 13 */
    WIDEN = 10,   /* groups that 16 bits hold */
    SLAB = 360,   /* groups whose tables are built at once: 90 KiB, in the second-level cache */
    PANEL = 4096, /* rows that share them */
    AHEAD = 20480 /* bytes to prefetch ahead: whole groups */
};

/* ---- tables ------------------------------------------------------------------- */

typedef struct {
    __m256i weight[3]; /* of codes 0 to 15, in 16 bits */
} digits;

static digits digits_of_codes(void) {
    _Alignas(32) int16_t weight[3][16] = {{0}};
    digits d;
    for (int k = 0; k < 3; k++)
        for (int code = 0; code < CODES; code++) weight[k][code] = (int16_t)fc_trit3_weight(code, k);
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

AVX2 static void build_tables(const int8_t *q, int64_t groups, const digits *d, __m256i *table) {
    for (int64_t t = 0; t < groups * FC_TRIT3_STEPS; t++) table[t] = table_of(q + 3 * t, d);
}

/* ---- rows ----------------------------------------------------------------------- */

enum {
    VECTOR = 32,
    PAIRS = FC_TRIT3_ROWS / (2 * VECTOR) /* two vectors of rows share the tables' registers */
};

/* What the rows of a pair have come to since they were last widened. */
typedef struct {
    __m256i of[2][2]; /* of each vector: the low and the high half of its 128-bit lanes */
} words;

AVX2_INLINE __m256i load(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)at); }

AVX2_INLINE __m256i both_halves(const void *table) {
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)table));
}

/* A group of columns of the 64 rows that start at `data`. */
AVX2_INLINE void add_group(const uint8_t *data, const __m256i *table, words *sum) {
    const __m256i nibble = _mm256_set1_epi8(15), one = _mm256_set1_epi8(1), weigh = _mm256_set1_epi16(SPLIT << 8 | 1);
    __m256i l[2], h[2], signs[2], pair[2];
    for (int v = 0; v < 2; v++) {
        l[v] = h[v] = _mm256_setzero_si256();
        signs[v] = load(data + FC_TRIT3_SIGNS + v * VECTOR);
    }
    FC_UNROLL
    for (int step = 0; step < FC_TRIT3_STEPS; step++) {
        __m256i low = both_halves(&table[step]), high = both_halves((const char *)&table[step] + 16);
        for (int v = 0; v < 2; v++) {
            if (step % 2 == 0) pair[v] = load(data + step / 2 * FC_TRIT3_ROWS + v * VECTOR);
            __m256i size = _mm256_and_si256(step % 2 ? _mm256_srli_epi16(pair[v], 4) : pair[v], nibble);
            __m256i sign = _mm256_or_si256(signs[v], one); /* never zero, which would erase */
            signs[v] = _mm256_add_epi8(signs[v], signs[v]);
            l[v] = _mm256_add_epi8(l[v], _mm256_sign_epi8(_mm256_shuffle_epi8(low, size), sign));
            h[v] = _mm256_add_epi8(h[v], _mm256_sign_epi8(_mm256_shuffle_epi8(high, size), sign));
        }
    }
    for (int v = 0; v < 2; v++) {
        __m256i first = _mm256_maddubs_epi16(weigh, _mm256_unpacklo_epi8(l[v], h[v]));
        __m256i second = _mm256_maddubs_epi16(weigh, _mm256_unpackhi_epi8(l[v], h[v]));
        sum->of[v][0] = _mm256_add_epi16(sum->of[v][0], first);
        sum->of[v][1] = _mm256_add_epi16(sum->of[v][1], second);
    }
}

/* Added to 32 sums: the even words of each half, then the odd ones. */
AVX2_INLINE void widen(const __m256i of[2], int32_t *sum) {
    for (int part = 0; part < 4; part++) {
        __m256i *at = (__m256i *)(void *)(sum + 8 * part);
        __m256i pick = _mm256_set1_epi32(part % 2 ? 1 << 16 : 1);
        _mm256_store_si256(at, _mm256_add_epi32(_mm256_load_si256(at), _mm256_madd_epi16(of[part / 2], pick)));
    }
}

AVX2_INLINE void prefetch(const uint8_t *at) {
    for (int line = 0; line < FC_TRIT3_GROUP_BYTES; line += 64) _mm_prefetch((const char *)at + line, _MM_HINT_T1);
}

/* `groups` groups of one set of rows: memory is read from end to end. */
AVX2 static void add_set(const uint8_t *data, const __m256i *table, int64_t groups, int32_t *sum) {
    for (int64_t g = 0; g < groups;) {
        int64_t end = g + WIDEN < groups ? g + WIDEN : groups;
        words pairs[PAIRS];
        memset(pairs, 0, sizeof pairs);
        for (; g < end; g++, data += FC_TRIT3_GROUP_BYTES, table += FC_TRIT3_STEPS) {
            prefetch(data + AHEAD);
            for (int p = 0; p < PAIRS; p++) add_group(data + 2 * VECTOR * p, table, &pairs[p]);
        }
        for (int v = 0; v < 2 * PAIRS; v++) widen(pairs[v / 2].of[v % 2], sum + VECTOR * v);
    }
}

/* ---- together ------------------------------------------------------------------- */

/* Where a row of a set stands among its sums: unpacking and widening moved it. */
static int64_t order_of(int64_t row) {
    int64_t lane = row % VECTOR, half = lane / 16, upper = lane % 16 / 8, word = lane % 8;
    return row / VECTOR * VECTOR + 8 * (2 * upper + word % 2) + 4 * half + word / 2;
}

/* Sums of `sets` sets of rows, of which the first starts at `data`. */
AVX2 static void add_panel(const uint8_t *data, int64_t set_bytes, int64_t sets, const int8_t *q, const digits *d,
                           int32_t *sum) {
    __m256i table[SLAB * FC_TRIT3_STEPS];
    int64_t all = set_bytes / FC_TRIT3_GROUP_BYTES;
    memset(sum, 0, (size_t)(sets * FC_TRIT3_ROWS) * sizeof *sum);
    for (int64_t group = 0; group < all; group += SLAB) {
        int64_t groups = all - group < SLAB ? all - group : SLAB;
        build_tables(q + group * FC_TRIT3_GROUP, groups, d, table);
        for (int64_t set = 0; set < sets; set++)
            add_set(data + set * set_bytes + group * FC_TRIT3_GROUP_BYTES, table, groups, sum + set * FC_TRIT3_ROWS);
    }
}

/* Any rows: what a set has beyond them is worked out and dropped. */
AVX2 void fc_gemv_trit3_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    _Alignas(32) int32_t sum[PANEL];
    digits d = digits_of_codes();
    for (int64_t first = begin / FC_TRIT3_ROWS * FC_TRIT3_ROWS; first < end; first += PANEL) {
        int64_t stop = first + PANEL < end ? first + PANEL : end;
        int64_t sets = (stop - first + FC_TRIT3_ROWS - 1) / FC_TRIT3_ROWS;
        add_panel(w->data + first * w->row_bytes, FC_TRIT3_ROWS * w->row_bytes, sets, x->q, &d, sum);
        for (int64_t row = first > begin ? first : begin; row < stop; row++)
            y[row - begin] = fc_ternary_result(sum[order_of(row - first)] + x->sum, x, w->scales[row]);
    }
}
#endif
