/* tl2 with AVX2: sums of three or two products are looked up (see lookup_avx2.h).
 *
 * A strip's 32 rows are the lanes. Signs stand in words of two rows: of such words and
 * the same moved up by a bit, saturated to bytes, come the signs of 32 bytes at once.
 * As with trit3, gcc's own order of the operations measured slower: by 5 %. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-ter", "no-tree-reassoc", "no-schedule-insns2")
#endif
#include "fitcheck.h"

#if FC_X86
#include "tl.h"

#include "lookup_avx2.h"

enum {
    SLAB = 2880,  /* tables that are built at once: 90 KiB, in the second-level cache; whole blocks of 96 and 192 */
    PANEL = 4096, /* rows that share them */
    AHEAD = 20480 /* bytes to prefetch ahead */
};

/* Codes 0 to 8 of two columns. */
static digits digits_of_twos(void) {
    _Alignas(VECTOR) int16_t weight[3][16] = {{0}};
    digits d;
    for (int k = 0; k < 2; k++)
        for (int code = 0; code < 9; code++) weight[k][code] = (int16_t)fc_tl_weight(code, k);
    memcpy(&d, weight, sizeof d);
    return d;
}

/* ---- strips ----------------------------------------------------------------------- */

/* One or two strips of a tile, and how far apart they lie. */
typedef struct {
    const uint8_t *codes, *signs;
    int64_t codes_apart, signs_apart;
} strips;

/* A step's signs, in the order of the codes, and the words moved on to the next. Adding a word to
 * itself is a shift that more of a core's pipes can do. The low bit, set, keeps every word from
 * zero, which would erase; it is a row's in the last step alone. */
AVX2_INLINE __m256i take_signs(__m256i *words, const uint8_t *at, const int step) {
    __m256i upper = *words, lower = _mm256_add_epi16(upper, upper);
    *words = _mm256_add_epi16(lower, lower);
    if (step == STEPS - 1) lower = _mm256_or_si256(_mm256_slli_epi16(load(at), 15), _mm256_set1_epi16(1));
    return _mm256_packs_epi16(upper, lower);
}

/* Eight look-ups a row. */
AVX2_INLINE void add_group(const strips *from, const int n, const int with_signs, const __m256i *table, words *sum) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i l[2], h[2], signs[2], pair[2];
    for (int v = 0; v < n; v++) {
        l[v] = h[v] = _mm256_setzero_si256();
        if (with_signs) signs[v] = _mm256_or_si256(load(from->signs + v * from->signs_apart), _mm256_set1_epi16(1));
    }
    FC_UNROLL
    for (int step = 0; step < STEPS; step++) {
        __m256i low = both_halves(&table[step]), high = both_halves((const char *)&table[step] + 16);
        for (int v = 0; v < n; v++) {
            if (step % 2 == 0) pair[v] = load(from->codes + v * from->codes_apart + step / 2 * VECTOR);
            __m256i code = _mm256_and_si256(step % 2 ? pair[v] : _mm256_srli_epi16(pair[v], 4), nibble);
            __m256i add_l = _mm256_shuffle_epi8(low, code), add_h = _mm256_shuffle_epi8(high, code);
            if (with_signs) {
                __m256i sign = take_signs(&signs[v], from->signs + v * from->signs_apart, step);
                add_l = _mm256_sign_epi8(add_l, sign);
                add_h = _mm256_sign_epi8(add_h, sign);
            }
            l[v] = _mm256_add_epi8(l[v], add_l);
            h[v] = _mm256_add_epi8(h[v], add_h);
        }
    }
    for (int v = 0; v < n; v++) add_steps(&sum[v], l[v], h[v]);
}

/* A block of columns; the next group's codes and signs follow at once. */
AVX2_INLINE void add_strips(strips from, const int n, const int with_signs, const __m256i *table, int64_t groups,
                            words *sum) {
    words mine[2];
    for (int v = 0; v < n; v++) mine[v] = sum[v];
    for (int64_t g = 0; g < groups; g++, table += STEPS) {
        for (int v = 0; v < n; v++) {
            const uint8_t *at = from.codes + v * from.codes_apart + AHEAD;
            _mm_prefetch((const char *)at, _MM_HINT_T1);
            _mm_prefetch((const char *)at + 64, _MM_HINT_T1);
            if (with_signs) _mm_prefetch((const char *)from.signs + v * from.signs_apart + AHEAD / 4, _MM_HINT_T1);
        }
        add_group(&from, n, with_signs, table, mine);
        from.codes += STEPS / 2 * VECTOR;
        from.signs += VECTOR;
    }
    for (int v = 0; v < n; v++) sum[v] = mine[v];
}

/* ---- tiles ------------------------------------------------------------------------- */

/* What the strips of a tile have come to since they were last added to the sums. */
typedef struct {
    words strip[FC_MOST_TILE / VECTOR];
    int64_t groups;
} tile_words;

AVX2_INLINE void widen(tile_words *from, int64_t count, int32_t *sum) {
    int16_t word[FC_MOST_TILE];
    memcpy(word, from->strip, (size_t)count * sizeof *from->strip);
    for (int64_t i = 0; i < count * VECTOR; i++) sum[i] += word[i];
    memset(from, 0, sizeof *from);
}

/* Some of a part's columns of some of a tile's strips. */
typedef struct {
    const fc_matrix *w;
    const fc_tiles *t;
    int part;
    int64_t row, strips; /* the first row */
    int64_t col, cols;
} area;

AVX2_INLINE strips first_strips(const area *a) {
    const fc_part *codes = &a->t->part[a->part], *signs = &a->t->part[FC_TL2_SIGNS];
    const uint8_t *data = a->w->data;
    return (strips){data + fc_tl_strip(a->t, codes, a->row, a->col), data + fc_tl_strip(a->t, signs, a->row, a->col),
                    VECTOR * codes->block / codes->per_byte, VECTOR * signs->block / signs->per_byte};
}

AVX2_INLINE strips strips_after(strips from, int64_t n) {
    return (strips){from.codes + n * from.codes_apart, from.signs + n * from.signs_apart, from.codes_apart,
                    from.signs_apart};
}

/* A block: two strips at a time share the tables' registers. */
AVX2_INLINE void add_block(strips from, int64_t n, const int with_signs, const __m256i *table, int64_t groups,
                           words *sum) {
    for (; n >= 2; n -= 2, sum += 2, from = strips_after(from, 2)) add_strips(from, 2, with_signs, table, groups, sum);
    if (n) add_strips(from, 1, with_signs, table, groups, sum);
}

AVX2_INLINE void add_area(const area *a, const int with_signs, const __m256i *table, int32_t *sum) {
    const int64_t block = a->t->part[a->part].block, steps = block / (with_signs ? 3 : 2), groups = steps / STEPS;
    const int64_t tile = a->t->tile / VECTOR; /* strips: the next block's are so many on */
    tile_words words = {0};
    strips from = first_strips(a);
    for (int64_t col = 0; col < a->cols; col += block, table += steps, from = strips_after(from, tile)) {
        if (words.groups + groups > WIDEN) widen(&words, a->strips, sum);
        words.groups += groups;
        add_block(from, a->strips, with_signs, table, groups, words.strip);
    }
    widen(&words, a->strips, sum);
}

/* ---- together ---------------------------------------------------------------------- */

/* A part's sums of the strips from row `first` to row `end`, added. */
AVX2_INLINE void add_part(const fc_matrix *w, const fc_tiles *t, const int part, const int8_t *q, int64_t first,
                          int64_t end, int32_t *sum) {
    __m256i table[SLAB];
    const int threes = part == FC_TL2_THREES, width = threes ? 3 : 2;
    digits d = threes ? digits_of_threes() : digits_of_twos();
    for (int64_t col = 0, cols; col < t->part[part].cols; col += cols) {
        cols = t->part[part].cols - col < SLAB * width ? t->part[part].cols - col : SLAB * width;
        build_tables(q + t->part[part].first + col, width, cols / width, &d, table);
        for (int64_t row = first, next; row < end; row = next) {
            next = (row / t->tile + 1) * t->tile;
            if (next > end) next = end;
            area a = {w, t, part, row, (next - row) / VECTOR, col, cols};
            add_area(&a, threes, table, sum + (row - first));
        }
    }
}

/* Any rows: what a strip has beyond them is worked out and dropped. */
AVX2 void fc_gemv_tl2_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    fc_tiles t = fc_tl_tiles(FC_tl2, w->rows, w->cols);
    int32_t sum[PANEL];
    for (int64_t first = begin / VECTOR * VECTOR; first < end; first += PANEL) {
        int64_t stop = first + PANEL < end ? first + PANEL : end, whole = (stop + VECTOR - 1) / VECTOR * VECTOR;
        memset(sum, 0, sizeof sum);
        add_part(w, &t, FC_TL2_THREES, x->q, first, whole, sum);
        add_part(w, &t, FC_TL2_TWOS, x->q, first, whole, sum);
        for (int64_t row = first > begin ? first : begin; row < stop; row++)
            y[row - begin] = fc_ternary_result(sum[row - first] + x->sum, x, w->scales[0]);
    }
}
#endif
