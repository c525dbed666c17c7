/* tl1 with NEON: sums of two products are looked up, not multiplied.
 *
 * For every two columns a table holds what each code adds, up to 254 in size: more than
 * a byte look-up gives, so value = 31 h + l with |l| <= 15 and |h| <= 8 lies in two tables
 * of 16 signed bytes. Lanes are rows; h and l are summed apart, eight look-ups long, which
 * fits bytes, and a block's 64 look-ups fit 16 bits. Every sum is exact. */
#include "fitcheck.h"

#if FC_ARM
#include <arm_neon.h>

#include "tl.h"

#define NEON __attribute__((always_inline)) static inline

enum {
    SPLIT = 31,
    CODES = 9,
    COLS = 16,   /* columns whose look-ups bytes hold: four vectors of 16 rows */
    VECTORS = COLS / 4,
    SLAB = 256,  /* times so many columns whose tables are built at once: 64 KiB */
    PANEL = 4096 /* rows that share them */
};

/* ---- tables ------------------------------------------------------------------- */

/* l and h of each code of two columns. */
typedef struct {
    int8x16_t l, h;
} table;

/* What codes 0 to 15 say of each column, in 16 bits. */
typedef struct {
    int16x8_t weight[2][2];
} digits;

static digits digits_of_codes(void) {
    int16_t weight[2][16] = {{0}};
    digits d;
    for (int k = 0; k < 2; k++)
        for (int code = 0; code < CODES; code++) weight[k][code] = (int16_t)fc_tl_weight(code, k);
    for (int k = 0; k < 2; k++)
        for (int half = 0; half < 2; half++) d.weight[k][half] = vld1q_s16(weight[k] + 8 * half);
    return d;
}

/* Multiplying by 1057 / 2^15 and rounding is the nearest 31st for every sum that can occur. */
NEON table table_of(const int8_t *q, const digits *d) {
    int16x8_t l[2], h[2];
    FC_UNROLL
    for (int half = 0; half < 2; half++) {
        int16x8_t sum = vmlaq_n_s16(vmulq_n_s16(d->weight[0][half], q[0]), d->weight[1][half], q[1]);
        h[half] = vqrdmulhq_n_s16(sum, 1057);
        l[half] = vmlsq_n_s16(sum, h[half], SPLIT);
    }
    return (table){vcombine_s8(vmovn_s16(l[0]), vmovn_s16(l[1])), vcombine_s8(vmovn_s16(h[0]), vmovn_s16(h[1]))};
}

/* ---- rows ---------------------------------------------------------------------- */

/* What 16 rows have come to. */
typedef struct {
    int16x8_t of[2];
} words;

/* 16 columns of 16 rows; the next four columns lie `fours` by `fours` together, then 64 bytes on. */
NEON void add_rows(words *sum, const uint8_t *at, const int fours, const table *t) {
    int8x16_t l = vdupq_n_s8(0), h = vdupq_n_s8(0);
    FC_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        uint8x16_t pairs = vld1q_u8(at + v / fours * 64 + v % fours * 16);
        uint8x16_t first = vshrq_n_u8(pairs, 4), second = vandq_u8(pairs, vdupq_n_u8(15));
        l = vaddq_s8(l, vaddq_s8(vqtbl1q_s8(t[2 * v].l, first), vqtbl1q_s8(t[2 * v + 1].l, second)));
        h = vaddq_s8(h, vaddq_s8(vqtbl1q_s8(t[2 * v].h, first), vqtbl1q_s8(t[2 * v + 1].h, second)));
    }
    sum->of[0] = vmlal_s8(vaddw_s8(sum->of[0], vget_low_s8(l)), vget_low_s8(h), vdup_n_s8(SPLIT));
    sum->of[1] = vmlal_s8(vaddw_s8(sum->of[1], vget_high_s8(l)), vget_high_s8(h), vdup_n_s8(SPLIT));
}

NEON void widen(words *from, int32_t *sum) {
    FC_UNROLL
    for (int i = 0; i < 2; i++) {
        int32x4_t low = vaddw_s16(vld1q_s32(sum + 8 * i), vget_low_s16(from->of[i]));
        int32x4_t high = vaddw_s16(vld1q_s32(sum + 8 * i + 4), vget_high_s16(from->of[i]));
        vst1q_s32(sum + 8 * i, low);
        vst1q_s32(sum + 8 * i + 4, high);
        from->of[i] = vdupq_n_s16(0);
    }
}

/* A strip's `cols` columns of a block: 64 or 128. */
NEON void add_strip(const uint8_t *at, const int lanes, int64_t cols, const table *t, int32_t *sum) {
    const int fours = 64 / lanes, vectors = lanes / 16;
    words of[4];
    for (int i = 0; i < vectors; i++) of[i].of[0] = of[i].of[1] = vdupq_n_s16(0);
    for (int64_t c = 0; c < cols; c += COLS, at += COLS * lanes / 4, t += COLS / 2) {
        FC_PREFETCH(at + FC_PREFETCH_AHEAD);
        FC_UNROLL
        for (int i = 0; i < vectors; i++) add_rows(&of[i], at + i * fours * 16, fours, t);
    }
    for (int i = 0; i < vectors; i++) widen(&of[i], sum + 16 * i);
}

/* ---- together ------------------------------------------------------------------- */

/* Blocks of columns of some strips of a tile: a block's strips lie together. */
NEON void add_tile(const uint8_t *at, const fc_tiles *tiles, const int lanes, int64_t strips, int64_t cols, const table *t,
                   int32_t *sum) {
    const int64_t block = tiles->part[0].block, apart = lanes * block / 4;
    for (int64_t c = 0; c < cols; c += block, at += tiles->tile * block / 4)
        for (int64_t s = 0; s < strips; s++) add_strip(at + s * apart, lanes, block, t + c / 2, sum + s * lanes);
}

/* Columns from `col` on, whose tables are there, of the strips from row `first` to row `end`. */
static void add_slab(const fc_matrix *w, const fc_tiles *tiles, int64_t col, int64_t cols, const table *t, int64_t first,
                     int64_t end, int32_t *sum) {
    for (int64_t row = first, next; row < end; row = next) {
        next = (row / tiles->tile + 1) * tiles->tile;
        if (next > end) next = end;
        const uint8_t *at = w->data + fc_tl_strip(tiles, &tiles->part[0], row, col);
        int64_t strips = (next - row) / tiles->lanes;
        if (tiles->lanes == 64) add_tile(at, tiles, 64, strips, cols, t, sum + (row - first));
        else add_tile(at, tiles, 32, strips, cols, t, sum + (row - first));
    }
}

static void add_panel(const fc_matrix *w, const fc_tiles *tiles, const int8_t *q, int64_t first, int64_t end,
                      int32_t *sum) {
    table t[SLAB * COLS / 2];
    digits d = digits_of_codes();
    for (int64_t col = 0, cols; col < w->cols; col += cols) {
        cols = w->cols - col < SLAB * COLS ? w->cols - col : SLAB * COLS;
        for (int64_t pair = 0; pair < cols / 2; pair++) t[pair] = table_of(q + col + 2 * pair, &d);
        add_slab(w, tiles, col, cols, t, first, end, sum);
    }
}

/* Any rows: what a strip has beyond them is worked out and dropped. */
void fc_gemv_tl1_neon(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    fc_tiles tiles = fc_tl_tiles(FC_tl1, w->rows, w->cols);
    int32_t sum[PANEL];
    for (int64_t first = begin / tiles.lanes * tiles.lanes; first < end; first += PANEL) {
        int64_t stop = first + PANEL < end ? first + PANEL : end;
        memset(sum, 0, sizeof sum);
        add_panel(w, &tiles, x->q, first, (stop + tiles.lanes - 1) / tiles.lanes * tiles.lanes, sum);
        for (int64_t row = first > begin ? first : begin; row < stop; row++)
            y[row - begin] = fc_ternary_result(sum[row - first] + x->sum, x, w->scales[0]);
    }
}
#else
typedef int fc_no_arm_here;
#endif
