/* trit3 with AVX2: sums of three products are looked up, not multiplied (see lookup_avx2.h).
 *
 * The order below is the one that measured best; gcc's own, made by replacing
 * temporaries and pairing additions anew, spills registers and is 10 to 15 % slower. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-ter", "no-tree-reassoc", "no-schedule-insns2")
#endif
#include "fitcheck.h"

#if FC_X86
#include "numeric.h"

#include "lookup_avx2.h"

enum {
    SLAB = 360,   /* groups whose tables are built at once: 90 KiB, in the second-level cache */
    PANEL = 4096, /* rows that share them */
    AHEAD = 20480 /* bytes to prefetch ahead: whole groups */
};

/* ---- rows ----------------------------------------------------------------------- */

enum {
    PAIRS = FC_TRIT3_ROWS / (2 * VECTOR) /* two vectors of rows share the tables' registers */
};

/* A group of columns of two vectors of rows. */
AVX2_INLINE void add_group(const uint8_t *data, const __m256i *table, words *sum) {
    const __m256i nibble = _mm256_set1_epi8(15), one = _mm256_set1_epi8(1);
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
    for (int v = 0; v < 2; v++) add_steps(&sum[v], l[v], h[v]);
}

/* Added to 32 sums: the even words of each half, then the odd ones. */
AVX2_INLINE void widen(const words *from, int32_t *sum) {
    for (int part = 0; part < 4; part++) {
        __m256i *at = (__m256i *)(void *)(sum + 8 * part);
        __m256i pick = _mm256_set1_epi32(part % 2 ? 1 << 16 : 1);
        _mm256_store_si256(at, _mm256_add_epi32(_mm256_load_si256(at), _mm256_madd_epi16(from->of[part / 2], pick)));
    }
}

AVX2_INLINE void prefetch(const uint8_t *at) {
    for (int line = 0; line < FC_TRIT3_GROUP_BYTES; line += 64) _mm_prefetch((const char *)at + line, _MM_HINT_T1);
}

/* `groups` groups of one set of rows: memory is read from end to end. */
AVX2 static void add_set(const uint8_t *data, const __m256i *table, int64_t groups, int32_t *sum) {
    for (int64_t g = 0; g < groups;) {
        int64_t end = g + WIDEN < groups ? g + WIDEN : groups;
        words vectors[2 * PAIRS];
        memset(vectors, 0, sizeof vectors);
        for (; g < end; g++, data += FC_TRIT3_GROUP_BYTES, table += FC_TRIT3_STEPS) {
            prefetch(data + AHEAD);
            for (int p = 0; p < PAIRS; p++) add_group(data + 2 * VECTOR * p, table, &vectors[2 * p]);
        }
        for (int v = 0; v < 2 * PAIRS; v++) widen(&vectors[v], sum + VECTOR * v);
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
        build_tables(q + group * FC_TRIT3_GROUP, 3, groups * FC_TRIT3_STEPS, d, table);
        for (int64_t set = 0; set < sets; set++)
            add_set(data + set * set_bytes + group * FC_TRIT3_GROUP_BYTES, table, groups, sum + set * FC_TRIT3_ROWS);
    }
}

/* Any rows: what a set has beyond them is worked out and dropped. */
AVX2 void fc_gemv_trit3_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    _Alignas(32) int32_t sum[PANEL];
    digits d = digits_of_threes();
    for (int64_t first = begin / FC_TRIT3_ROWS * FC_TRIT3_ROWS; first < end; first += PANEL) {
        int64_t stop = first + PANEL < end ? first + PANEL : end;
        int64_t sets = (stop - first + FC_TRIT3_ROWS - 1) / FC_TRIT3_ROWS;
        add_panel(w->data + first * w->row_bytes, FC_TRIT3_ROWS * w->row_bytes, sets, x->q, &d, sum);
        for (int64_t row = first > begin ? first : begin; row < stop; row++)
            y[row - begin] = fc_ternary_result(sum[order_of(row - first)] + x->sum, x, w->scales[row]);
    }
}
#endif
