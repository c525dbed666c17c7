/* trit5x64 with AVX-512 and VBMI: a byte permute reads a table of 128 entries, as many as five
 * weights need but for their sign. So sums of five products are looked up, for 64 rows at a time.
 *
 * A sum s of five products is at most 635 and lies in two tables, as s = 32 high + low. Both bytes are
 * added up with the code's sign in 64 lanes of a byte, RUN codes long; then they join to words, and
 * after RUNS of those to 32 bits. */
#include "fitcheck.h"

#if FC_X86
#include "avx512.h"

#define VBMI __attribute__((target(FC_AVX512_FEATURES ",avx512vbmi")))
#define VBMI_INLINE VBMI __attribute__((always_inline)) static inline

enum {
    ROWS = FC_TRIT5X64_ROWS,
    LOW = 0, HIGH = 128, TABLE = FC_SUMS_BYTES, /* of a group of five columns */
    SPLIT = 5,    /* bits of `low`: -16 to 15, and `high` is -20 to 20 */
    RUN = 6,      /* codes: 6 * 20 stays below 128, */
    RUNS = 8,     /* and 48 * 635 below 2^15 */
    SETS = 8,     /* sets of rows that share the tables in registers, each a stream that prefetchers follow */
    SLAB = 2112,  /* groups whose tables, 528 KiB, stay in the second-level cache while rows pass. At half of it, rows
                   * of 8192 fall in two slabs, and their streams that start anew cost 11 %. */
    PANEL = 4096, /* rows whose sums wait for the next slab */
    NEAR = RUN * ROWS, FAR = 3072 /* bytes to prefetch ahead, to the first and to the second level: both together read a
                                   * fifth more than the near one alone, 5 % more than the far one */
};

/* ---- the tables ------------------------------------------------------------------ */

/* Code n stands for weights a b c d e with n = 81a + 27b + 9c + 3d + e: 121 more is a number of five
 * plain ternary digits, each its weight plus one. Of a, only whether n > 40. */
#define DIGIT(n, power) (((n) + 121) / (power) % 3)
#define PAIR(n, p) DIGIT(n, p), DIGIT(n, (p) / 3)
#define EIGHT(n, p)                                                                                                  \
    PAIR(n, p), PAIR((n) + 1, p), PAIR((n) + 2, p), PAIR((n) + 3, p), PAIR((n) + 4, p), PAIR((n) + 5, p),            \
        PAIR((n) + 6, p), PAIR((n) + 7, p)
/* The words that packing to bytes takes from one of its two operands, of 64 codes from `n` on. */
#define OPERAND(n, p) {EIGHT(n, p), EIGHT((n) + 16, p), EIGHT((n) + 32, p), EIGHT((n) + 48, p)}
#define OPERANDS(p) {OPERAND(0, p), OPERAND(8, p), OPERAND(64, p), OPERAND(72, p)}

enum { OPERAND_COUNT = 4 };
static const _Alignas(64) uint8_t digits_bc[OPERAND_COUNT][64] = OPERANDS(27);
static const _Alignas(64) uint8_t digits_de[OPERAND_COUNT][64] = OPERANDS(3);
/* Codes above 40 among the first operand's 0-7 16-23 32-39 48-55, and the second's 8-15 24-31 40-47 56-63. */
static const __mmask32 above_40[2] = {0xff000000, 0xfffe0000};

VBMI_INLINE __m512i products(const uint8_t *digits, const int8_t *q) {
    return _mm512_maddubs_epi16(_mm512_load_si512(digits), _mm512_set1_epi16((short)fc_load_u16((const uint8_t *)q)));
}

/* 64 codes' sums, plus half of what a step of `high` is worth, split into two bytes. */
VBMI_INLINE void store_split(const __m512i sum[2], int8_t *table) {
    const __m512i below = _mm512_set1_epi16((1 << SPLIT) - 1), half = _mm512_set1_epi8(1 << (SPLIT - 1));
    __m512i low = _mm512_packs_epi16(_mm512_and_si512(sum[0], below), _mm512_and_si512(sum[1], below));
    __m512i high = _mm512_packs_epi16(_mm512_srai_epi16(sum[0], SPLIT), _mm512_srai_epi16(sum[1], SPLIT));
    _mm512_store_si512(table + LOW, _mm512_sub_epi8(low, half));
    _mm512_store_si512(table + HIGH, high);
}

/* One group: q are its five activations. */
VBMI_INLINE void make_table(const int8_t *q, int8_t *table) {
    const int offset = (1 << (SPLIT - 1)) - (q[1] + q[2] + q[3] + q[4]); /* digits are weights plus one */
    const __m512i a = _mm512_set1_epi16(q[0]), start = _mm512_set1_epi16((short)offset);
    __m512i sum[OPERAND_COUNT];
    FC_UNROLL
    for (int i = 0; i < OPERAND_COUNT; i++) {
        __m512i some = _mm512_add_epi16(products(digits_bc[i], q + 1), products(digits_de[i], q + 3));
        sum[i] = _mm512_add_epi16(some, start);
        sum[i] = i < 2 ? _mm512_mask_add_epi16(sum[i], above_40[i], sum[i], a) : _mm512_add_epi16(sum[i], a);
    }
    store_split(sum, table);
    store_split(sum + 2, table + 64);
}

VBMI void fc_sums_trit5x64_avx512vbmi(const fc_activation *x, int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; group++) make_table(x->q + 5 * group, x->sums + TABLE * group);
}

/* ---- rows ------------------------------------------------------------------------ */

typedef struct {
    int16_t of[SETS][ROWS];
} words; /* in the order that unpacking bytes leaves */

VBMI_INLINE __m512i sums_at(const int8_t *table) { return fc_in_register(_mm512_load_si512(table)); }

/* `groups` codes of each of n sets, `stride` bytes apart; `near` and `far` are where to prefetch. */
VBMI_INLINE void add_run(const uint8_t *codes, int64_t stride, const int n, int groups, const int8_t *table,
                         int64_t near, int64_t far, words *sum) {
    __m512i low[SETS], high[SETS];
    FC_UNROLL
    for (int s = 0; s < n; s++) low[s] = high[s] = _mm512_setzero_si512();
    for (int g = 0; g < groups; g++, codes += ROWS, table += TABLE) {
        const __m512i l0 = sums_at(table + LOW), l1 = sums_at(table + LOW + 64);
        const __m512i h0 = sums_at(table + HIGH), h1 = sums_at(table + HIGH + 64);
        FC_UNROLL
        for (int s = 0; s < n; s++) {
            const __m512i code = fc_in_register(_mm512_loadu_si512(codes + s * stride));
            const __mmask64 negative = _mm512_movepi8_mask(code);
            const __m512i l = _mm512_permutex2var_epi8(l0, code, l1), h = _mm512_permutex2var_epi8(h0, code, h1);
            low[s] = fc_in_register(_mm512_mask_sub_epi8(_mm512_add_epi8(low[s], l), negative, low[s], l));
            high[s] = fc_in_register(_mm512_mask_sub_epi8(_mm512_add_epi8(high[s], h), negative, high[s], h));
            __builtin_prefetch(codes + s * stride + near, 0, 3);
            __builtin_prefetch(codes + s * stride + far, 0, 2);
        }
    }
    const __m512i worth = _mm512_set1_epi16(1 << SPLIT << 8 | 1);
    FC_UNROLL
    for (int s = 0; s < n; s++) {
        __m512i *at = (__m512i *)(void *)sum->of[s];
        at[0] = _mm512_add_epi16(at[0], _mm512_maddubs_epi16(worth, _mm512_unpacklo_epi8(low[s], high[s])));
        at[1] = _mm512_add_epi16(at[1], _mm512_maddubs_epi16(worth, _mm512_unpackhi_epi8(low[s], high[s])));
    }
}

/* Words added to 32 bits: the even ones of each half, then the odd ones. */
VBMI_INLINE void widen(words *from, const int n, int32_t *sum) {
    for (int i = 0; i < 2 * n; i++, sum += 32) {
        __m512i *at = (__m512i *)(void *)from + i, *to = (__m512i *)(void *)sum;
        to[0] = _mm512_add_epi32(to[0], _mm512_srai_epi32(_mm512_slli_epi32(*at, 16), 16));
        to[1] = _mm512_add_epi32(to[1], _mm512_srai_epi32(*at, 16));
        *at = _mm512_setzero_si512();
    }
}

/* What the tokens of a product have, and where their sums lie: a token's `rows` after another's. */
typedef struct {
    const int8_t *table[FC_MOST_TOKENS];
    int32_t *sum;
    int64_t rows;
    int tokens;
} looked_up;

/* How far the line lies from `at` that comes `distance` bytes later in a set's stream of `bytes`, which goes on
 * `next` bytes behind its own beginning; 0 where it ends. The line right behind it is the next set's, read long ago. */
static inline int64_t later(int64_t at, int64_t distance, int64_t bytes, int64_t next) {
    if (at + distance < bytes) return distance;
    return next ? next + distance - bytes : 0;
}

/* n sets of rows, a slab long: a run's codes are in the first-level cache for every token but the first. */
VBMI_INLINE void add_sets(const uint8_t *codes, int64_t stride, const int n, int64_t groups, const looked_up *x,
                          int64_t first, int64_t next) {
    _Alignas(64) words sum[FC_MOST_TOKENS];
    memset(sum, 0, (size_t)x->tokens * sizeof *sum);
    for (int64_t g = 0, run = 1; g < groups; g += RUN, run++) {
        const int64_t left = groups - g, near = later(g * ROWS, NEAR, groups * ROWS, next);
        const int64_t far = later(g * ROWS, FAR, groups * ROWS, next);
        for (int t = 0; t < x->tokens; t++) {
            const int8_t *table = x->table[t] + g * TABLE;
            if (left >= RUN) add_run(codes + g * ROWS, stride, n, RUN, table, near, far, &sum[t]);
            else add_run(codes + g * ROWS, stride, n, (int)left, table, near, far, &sum[t]);
        }
        if (run % RUNS == 0 || left <= RUN)
            for (int t = 0; t < x->tokens; t++) widen(&sum[t], n, x->sum + t * x->rows + first);
    }
}

/* A slab of all sets of a panel, as many at once as there are up to SETS. */
VBMI static void add_slab(const uint8_t *codes, int64_t stride, int64_t sets, int64_t groups, const looked_up *x) {
    for (int64_t set = 0; set < sets; set += SETS) {
        const uint8_t *from = codes + set * stride;
        const int64_t next = sets - set > SETS ? SETS * stride : 0;
        switch (sets - set) {
#define TAKE(n) add_sets(from, stride, n, groups, x, set * ROWS, next)
        case 1: TAKE(1); break;
        case 2: TAKE(2); break;
        case 3: TAKE(3); break;
        case 4: TAKE(4); break;
        case 5: TAKE(5); break;
        case 6: TAKE(6); break;
        case 7: TAKE(7); break;
        default: TAKE(8); break;
#undef TAKE
        }
    }
}

/* ---- together -------------------------------------------------------------------- */

/* A set's sums from the order that unpacking and widening left to that of its rows. */
VBMI_INLINE void sort_set(int32_t *sum) {
    __m512i *at = (__m512i *)(void *)sum;
    __m512i a = _mm512_unpacklo_epi32(at[0], at[1]), b = _mm512_unpackhi_epi32(at[0], at[1]);
    __m512i c = _mm512_unpacklo_epi32(at[2], at[3]), d = _mm512_unpackhi_epi32(at[2], at[3]);
    __m512i ab = _mm512_shuffle_i32x4(a, b, 0x44), cd = _mm512_shuffle_i32x4(c, d, 0x44);
    at[0] = _mm512_shuffle_i32x4(ab, cd, 0x88);
    at[1] = _mm512_shuffle_i32x4(ab, cd, 0xdd);
    ab = _mm512_shuffle_i32x4(a, b, 0xee), cd = _mm512_shuffle_i32x4(c, d, 0xee);
    at[2] = _mm512_shuffle_i32x4(ab, cd, 0x88);
    at[3] = _mm512_shuffle_i32x4(ab, cd, 0xdd);
}

/* Groups a slab: whole runs of words, and slabs alike in length, for their tables share the cache. */
static int64_t slab_of(int64_t groups, int tokens) {
    const int64_t most = SLAB / tokens, slabs = (groups + most - 1) / most, unit = RUN * RUNS;
    return ((groups + slabs - 1) / slabs + unit - 1) / unit * unit;
}

/* Sums of `sets` sets of rows, of which the first starts at `codes`. */
VBMI static void add_panel(const fc_matrix *w, const fc_activation *const *x, int64_t set, int64_t sets,
                           looked_up *found) {
    const int64_t all = w->row_bytes, stride = ROWS * all, slab = slab_of(all, found->tokens);
    for (int t = 0; t < found->tokens; t++)
        memset(found->sum + t * found->rows, 0, (size_t)(sets * ROWS) * sizeof *found->sum);
    for (int64_t group = 0; group < all; group += slab) {
        for (int t = 0; t < found->tokens; t++) found->table[t] = x[t]->sums + group * TABLE;
        int64_t groups = all - group < slab ? all - group : slab;
        add_slab(w->data + set * stride + group * ROWS, stride, sets, groups, found);
    }
    for (int t = 0; t < found->tokens; t++)
        for (int64_t s = 0; s < sets; s++) sort_set(found->sum + t * found->rows + s * ROWS);
}

/* Any rows: what a set has beyond them is worked out and dropped. */
VBMI void fc_gemm_trit5x64_avx512vbmi(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,
                                      int64_t end, float *y, int64_t stride) {
    _Alignas(64) int32_t sum[PANEL];
    const int64_t panel = PANEL / tokens / (SETS * ROWS) * (SETS * ROWS);
    looked_up found = {.sum = sum, .rows = panel, .tokens = tokens};
    for (int64_t first = begin / ROWS * ROWS; first < end; first += panel) {
        int64_t stop = first + panel < end ? first + panel : end, from = first > begin ? first : begin;
        add_panel(w, x, first / ROWS, (stop - first + ROWS - 1) / ROWS, &found);
        for (int t = 0; t < tokens; t++)
            for (int64_t row = from; row < stop; row++)
                y[t * stride + row - begin] =
                    fc_ternary_result(sum[t * panel + row - first] + x[t]->sum, x[t], w->scales[row]);
    }
}

VBMI void fc_gemv_trit5x64_avx512vbmi(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    fc_gemm_trit5x64_avx512vbmi(w, &x, 1, begin, end, y, 0);
}

#else
typedef int fc_no_x86_here;
#endif
