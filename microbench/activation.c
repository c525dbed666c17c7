/* The vector a matrix is multiplied by: quantised to int8 by its largest
 * magnitude, and laid out so that each packed byte's digits meet consecutive
 * bytes of it. */
#include "platform.h"

#include <stdlib.h>
#include <string.h>

#include "numeric.h"

enum { ALIGNMENT = 64 };

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Room for every format's padding: tq1_0 fills up to sixteen super-blocks, trit5 to a group. */
static int64_t widest(int64_t cols) { return round_up(cols, FC_TQ1_SIXTEEN) + FC_TRIT5_GROUP; }

/* Not touched: what no format at hand wants takes no memory. */
static void *room(size_t bytes) {
    void *p = NULL;
    return posix_memalign(&p, ALIGNMENT, (size_t)round_up((int64_t)bytes, ALIGNMENT)) ? NULL : p;
}

static void *aligned(size_t bytes) {
    void *p = room(bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

fc_activation *fc_activation_new(int64_t max_cols) {
    fc_activation *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    size_t n = (size_t)widest(max_cols);
    a->q = aligned(n);
    a->f = aligned(n * sizeof(float));
    a->scale = aligned((n / FC_Q8_BLOCK + 2) * sizeof(float));
    a->lane_sum = aligned((n / 16 + FC_LANES) * sizeof(int32_t));
    a->sums = room(n / 5 * FC_SUMS_BYTES);
    if (a->q && a->f && a->scale && a->lane_sum && a->sums) return a;
    fc_activation_free(a);
    return NULL;
}

void fc_activation_free(fc_activation *a) {
    if (!a) return;
    free(a->q);
    free(a->f);
    free(a->scale);
    free(a->lane_sum);
    free(a->sums);
    free(a);
}

/* ---- the orders --------------------------------------------------------- */

/* Strips of 32 columns that lie at the same bits of 64 bytes side by side: of
 * each 256 columns, strips 0 4, 1 5, 2 6, 3 7. For i2_s and tq2_0. */
static void arrange_two_bit(const int8_t *from, int64_t cols, int8_t *to) {
    for (int64_t c = 0; c < cols; c += 32) {
        int64_t strip = c / 32 % 8, slot = strip % 4 * 2 + strip / 4;
        memcpy(to + c / 256 * 256 + slot * 32, from + c, 32);
    }
}

/* Of each 128 columns, strips 0 2, 1 3: a q4_k byte holds two strips, and two
 * runs of 32 bytes make a vector. */
static void arrange_nibbles(const int8_t *from, int64_t cols, int8_t *to) {
    for (int64_t c = 0; c < cols; c += 32) {
        int64_t strip = c / 32 % 4, slot = strip % 2 * 2 + strip / 2;
        memcpy(to + c / 128 * 128 + slot * 32, from + c, 32);
    }
}

/* Whole groups lie as they are; the last has stride t, not 64. */
static void arrange_trit5(const int8_t *from, int64_t cols, int8_t *to) {
    int64_t whole = cols / FC_TRIT5_GROUP * FC_TRIT5_GROUP, tail = fc_trit5_tail(cols);
    memcpy(to, from, (size_t)whole);
    for (int64_t c = whole, k = 0; c < cols; c += tail, k++)
        memcpy(to + whole + 64 * k, from + c, (size_t)(cols - c < tail ? cols - c : tail));
}

/* Where each digit's activations lie: fc_tq1_at. Chunks 0 and 1 are of stride 32, 2 of 16, the tail of 4. */
static void arrange_tq1_0(const int8_t *from, int64_t cols, int8_t *to) {
    for (int64_t block = 0; block < cols / FC_SUPER; block++, from += FC_SUPER)
        for (int k = 0; k < 5; k++) {
            memcpy(to + fc_tq1_at(block, 0, k), from + 32 * k, 16);
            memcpy(to + fc_tq1_at(block, 1, k), from + 32 * k + 16, 16);
            memcpy(to + fc_tq1_at(block, 2, k), from + 160 + 16 * k, 16);
            if (k < 4) memcpy(to + fc_tq1_at(block, 3, k), from + 240 + 4 * k, 4);
        }
}

static void arrange_plainly(const int8_t *from, int64_t cols, int8_t *to) {
    memcpy(to, from, (size_t)cols);
}

typedef void arrangement(const int8_t *from, int64_t cols, int8_t *to);

static arrangement *const arrange[FC_FORMATS] = {
    [FC_trit5] = arrange_trit5,    [FC_i2_s] = arrange_two_bit,   [FC_tq1_0] = arrange_tq1_0,
    [FC_tq2_0] = arrange_two_bit,  [FC_q4_k] = arrange_nibbles,   [FC_q6_k] = arrange_plainly,
    [FC_q8_0] = arrange_plainly,   [FC_trit3] = arrange_plainly,  [FC_trit5x64] = arrange_plainly,
    [FC_tl1] = arrange_plainly,    [FC_tl2] = arrange_plainly,
};

/* ---- together ------------------------------------------------------------- */

/* What each lane of a vector of 64 bytes meets in the four strips of a super-block. */
static void sum_lanes(const fc_vectors *vectors, const int8_t *q, int64_t blocks, int32_t *lane_sum) {
    for (int64_t b = 0; b < blocks; b++, q += FC_SUPER, lane_sum += FC_LANES) {
        int32_t strip[4 * FC_LANES];
        vectors->sums(q, 4 * FC_LANES, 4, strip);
        for (int i = 0; i < FC_LANES; i++) lane_sum[i] = strip[i] + strip[i + 16] + strip[i + 32] + strip[i + 48];
    }
}

/* Sixteen blocks are taken at once: those that are not there weigh nothing. */
static void pad_blocks(fc_activation *a, int64_t blocks) {
    for (; blocks % FC_TQ1_TOGETHER; blocks++) a->scale[blocks] = 0, a->lane_sum[blocks] = 0;
}

static int64_t scale_step(fc_activation_kind kind, int64_t cols) {
    return kind == FC_SCALE_PER_256 ? FC_SUPER : kind == FC_SCALE_PER_32 ? FC_Q8_BLOCK : cols;
}

void fc_activation_lay(const fc_vectors *vectors, fc_activation *a, fc_format format, const float *x, int64_t cols) {
    fc_activation_kind kind = fc_facts(format)->activation;
    a->cols = cols;
    if (kind == FC_FLOATS) {
        memcpy(a->f, x, (size_t)cols * sizeof *x);
        return;
    }
    /* The floats' room holds the natural order meanwhile. */
    int8_t *natural = (int8_t *)a->f;
    int64_t step = scale_step(kind, cols);
    for (int64_t c = 0; c < cols; c += step) a->scale[c / step] = vectors->quantise(x + c, step, natural + c);
    vectors->sums(natural, 1, cols, &a->sum);
    memset(a->q, 0, (size_t)widest(cols));
    arrange[format](natural, cols, a->q);
    if (format == FC_q4_k || format == FC_q6_k) vectors->sums(natural, cols / 16, 16, a->lane_sum);
    if (format == FC_tq1_0) {
        vectors->sums(natural, cols / FC_SUPER, FC_SUPER, a->lane_sum);
        pad_blocks(a, cols / FC_SUPER);
    }
    if (format == FC_tq2_0) sum_lanes(vectors, a->q, cols / FC_SUPER, a->lane_sum);
}

void fc_activation_set(fc_activation *a, fc_format format, const float *x, int64_t cols) {
    fc_activation_lay(&fc_vectors_scalar, a, format, x, cols);
}
