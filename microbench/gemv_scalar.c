/* The oracle: each format's arithmetic in plain C, one weight at a time.
 *
 * Vectors made by the compiler would hide what the other files gain, and make
 * the oracle a second implementation to trust, so they are switched off. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize")
#endif
#if defined(__clang__)
#define PLAIN_LOOP _Pragma("clang loop vectorize(disable) interleave(disable)")
#else
#define PLAIN_LOOP
#endif

#include "tl.h"

/* ---- one scale a vector ---------------------------------------------------- */

/* A row's digits times the activations, in the activations' own order. */
typedef int32_t row_dot(const uint8_t *row, const fc_activation *x);

static void ternary(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y, row_dot *dot,
                    int scale_step) {
    for (int64_t row = begin; row < end; row++)
        y[row - begin] = fc_ternary_result(dot(w->data + row * w->row_bytes, x), x, w->scales[row * scale_step]);
}

static int32_t dot_trit5(const uint8_t *row, const fc_activation *x) {
    int32_t sum = 0;
    const int8_t *q = x->q;
    int64_t bytes = (x->cols + 4) / 5;
    for (int64_t group = 0; group < bytes; group += FC_TRIT5_GROUP_BYTES, q += FC_TRIT5_GROUP) {
        PLAIN_LOOP
        for (int64_t p = 0; p < FC_TRIT5_GROUP_BYTES && group + p < bytes; p++) {
            uint8_t fraction = row[group + p];
            PLAIN_LOOP
            for (int k = 0; k < 5; k++, fraction = fc_next_fraction(fraction))
                sum += fc_front_digit(fraction) * q[64 * k + p];
        }
    }
    return sum;
}

static int32_t dot_i2_s(const uint8_t *row, const fc_activation *x) {
    int32_t sum = 0;
    PLAIN_LOOP
    for (int64_t byte = 0; byte < x->cols / 4; byte++) {
        const int8_t *q = x->q + byte / 64 * 256 + byte % 64;
        PLAIN_LOOP
        for (int k = 0; k < 4; k++) sum += (row[byte] >> (6 - 2 * k) & 3) * q[64 * k];
    }
    return sum;
}

void fc_gemv_trit5_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    ternary(w, x, begin, end, y, dot_trit5, 1);
}

void fc_gemv_i2_s_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    ternary(w, x, begin, end, y, dot_i2_s, 0);
}

/* Sums signed weights; the offset that others' digits need is added for the sake of the common end. */
void fc_gemv_trit3_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *lane = w->data + fc_lane_of_64(row, w->row_bytes);
        int32_t sum = x->sum;
        PLAIN_LOOP
        for (int64_t c = 0; c < w->cols; c += 3) {
            int code = fc_trit3_code(lane + c / FC_TRIT3_GROUP * FC_TRIT3_GROUP_BYTES, (int)(c % FC_TRIT3_GROUP / 3));
            PLAIN_LOOP
            for (int k = 0; k < 3; k++) sum += fc_trit3_weight(code, k) * x->q[c + k];
        }
        y[row - begin] = fc_ternary_result(sum, x, w->scales[row]);
    }
}

void fc_gemv_trit5x64_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *lane = w->data + fc_lane_of_64(row, w->row_bytes);
        int32_t sum = x->sum;
        PLAIN_LOOP
        for (int64_t c = 0; c < w->cols; c++)
            sum += fc_trit5x64_weight(lane[c / 5 * FC_TRIT5X64_ROWS], (int)(c % 5)) * x->q[c];
        y[row - begin] = fc_ternary_result(sum, x, w->scales[row]);
    }
}

/* ---- tl1 and tl2: a scale a matrix, signed weights as trit3 has them ----------- */

/* A block's codes of two, from the strip that the row is of. */
static int32_t dot_twos(const uint8_t *strip, const fc_tiles *t, int64_t block, int64_t lane, const int8_t *q) {
    int32_t sum = 0;
    PLAIN_LOOP
    for (int64_t pair = 0; pair < block / 2; pair++) {
        int64_t byte = t->parts == 1 ? fc_tl1_byte(t, lane, pair) : fc_tl2_byte(lane, pair);
        int code = fc_tl_nibble(strip[byte], pair);
        sum += fc_tl_weight(code, 0) * q[2 * pair] + fc_tl_weight(code, 1) * q[2 * pair + 1];
    }
    return sum;
}

static int32_t dot_threes(const uint8_t *strip, const uint8_t *signs, int64_t block, int64_t lane, const int8_t *q) {
    int32_t sum = 0;
    PLAIN_LOOP
    for (int64_t step = 0; step < block / 3; step++) {
        int size = fc_tl_nibble(strip[fc_tl2_byte(lane, step)], step);
        int sign = signs[fc_tl2_sign_byte(lane, step)] >> fc_tl2_sign_bit(lane, step) & 1;
        for (int k = 0; k < 3; k++) sum += fc_trit3_weight(sign ? -size : size, k) * q[3 * step + k];
    }
    return sum;
}

static int32_t dot_tl(const fc_matrix *w, const fc_tiles *t, int64_t row, const int8_t *q) {
    int32_t sum = 0;
    int64_t lane = row % t->tile % t->lanes;
    const fc_part *twos = &t->part[t->parts - 1], *threes = &t->part[FC_TL2_THREES], *signs = &t->part[FC_TL2_SIGNS];
    for (int64_t c = 0; c < twos->cols; c += twos->block)
        sum += dot_twos(w->data + fc_tl_strip(t, twos, row, c), t, twos->block, lane, q + twos->first + c);
    if (t->parts == 1) return sum;
    for (int64_t c = 0; c < threes->cols; c += threes->block)
        sum += dot_threes(w->data + fc_tl_strip(t, threes, row, c), w->data + fc_tl_strip(t, signs, row, c), threes->block,
                          lane, q + c);
    return sum;
}

#define TL_KERNEL(format)                                                                                              \
    void fc_gemv_##format##_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) { \
        fc_tiles t = fc_tl_tiles(FC_##format, w->rows, w->cols);                                                       \
        for (int64_t row = begin; row < end; row++)                                                                    \
            y[row - begin] = fc_ternary_result(dot_tl(w, &t, row, x->q) + x->sum, x, w->scales[0]);                    \
    }
TL_KERNEL(tl1)
TL_KERNEL(tl2)

/* ---- a scale a block -------------------------------------------------------
 *
 * A block's products are added as integers in FC_LANES lanes: byte p of the 64
 * that a wide vector holds belongs to lane p / 4, as dot-product instructions
 * have it. Then each lane is scaled and added up in floats, fused. */

typedef struct {
    int32_t of[FC_LANES];
} lanes;

static void add_scaled(float total[FC_LANES], const lanes *s, float scale) {
    PLAIN_LOOP
    for (int i = 0; i < FC_LANES; i++) total[i] = fmaf(scale, (float)s->of[i], total[i]);
}

/* One super-block of weights against its activations, added to the lanes. */
typedef void add_block(float total[FC_LANES], const uint8_t *block, const int8_t *q, const int32_t *lane_sum, float scale);

static void blocks(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y, add_block *add,
                   int block_bytes) {
    for (int64_t row = begin; row < end; row++) {
        float total[FC_LANES] = {0};
        const uint8_t *data = w->data + row * w->row_bytes;
        for (int64_t b = 0; b < w->cols / FC_SUPER; b++)
            add(total, data + b * block_bytes, x->q + b * FC_SUPER, x->lane_sum + b * FC_LANES, x->scale[b]);
        y[row - begin] = fc_reduce_lanes(total, FC_LANES);
    }
}

static void add_tq2_0(float total[FC_LANES], const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    lanes s;
    for (int i = 0; i < FC_LANES; i++) s.of[i] = -lane_sum[i];
    for (int p = 0; p < FC_TQ2_D; p++)
        for (int k = 0; k < 4; k++) s.of[p / 4] += (b[p] >> 2 * k & 3) * q[64 * k + p];
    add_scaled(total, &s, fc_half_at(b + FC_TQ2_D) * scale);
}

static void add_q4_k(float total[FC_LANES], const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    lanes s = {{0}}, low;
    uint8_t scales[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, scales);
    for (int p = 0; p < 128; p++) {
        int half = p / 64, lane = p % 64, sub = half * 4 + lane / 32 * 2;
        const int8_t *at = q + half * 128 + lane;
        s.of[lane / 4] += scales[sub] * (b[FC_Q4K_QS + p] & 15) * at[0];
        s.of[lane / 4] += scales[sub + 1] * (b[FC_Q4K_QS + p] >> 4) * at[64];
    }
    for (int i = 0; i < FC_LANES; i++) low.of[i] = scales[8 + i / 2] * lane_sum[i];
    add_scaled(total, &s, fc_half_at(b) * scale);
    add_scaled(total, &low, -(fc_half_at(b + 2) * scale));
}

static void add_q6_k(float total[FC_LANES], const uint8_t *b, const int8_t *q, const int32_t *lane_sum, float scale) {
    const int8_t *scales = (const int8_t *)b + FC_Q6K_SCALES;
    lanes s;
    for (int i = 0; i < FC_LANES; i++) s.of[i] = -32 * scales[i] * lane_sum[i];
    for (int c = 0; c < FC_SUPER; c++) {
        int low = b[c / 128 * 64 + c % 64] >> c / 64 % 2 * 4 & 15;
        int high = b[FC_Q6K_QH + c / 128 * 32 + c % 32] >> c / 32 % 4 * 2 & 3;
        s.of[c % 64 / 4] += scales[c / 16] * (low | high << 4) * q[c];
    }
    add_scaled(total, &s, fc_half_at(b + FC_Q6K_D) * scale);
}

#define BLOCK_KERNEL(format, block_bytes)                                                                          \
    void fc_gemv_##format##_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) { \
        blocks(w, x, begin, end, y, add_##format, block_bytes);                                                    \
    }
BLOCK_KERNEL(tq2_0, FC_TQ2_BYTES)
BLOCK_KERNEL(q4_k, FC_Q4K_BYTES)
BLOCK_KERNEL(q6_k, FC_Q6K_BYTES)

/* A block's products become one integer, and block b adds to lane b % FC_LANES. */
static int32_t dot_tq1_0(const uint8_t *b, const int8_t *q, int64_t block) {
    int32_t sum = 0;
    PLAIN_LOOP
    for (int p = 0; p < FC_TQ1_D; p++) {
        uint8_t fraction = b[p];
        PLAIN_LOOP
        for (int k = 0; k < (p < FC_TQ1_QH ? 5 : 4); k++, fraction = fc_next_fraction(fraction))
            sum += (fc_front_digit(fraction) - 1) * q[fc_tq1_at(block, p / 16, k) + p % 16];
    }
    return sum;
}

void fc_gemv_tq1_0_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        float total[FC_LANES] = {0};
        const uint8_t *at = w->data + row * w->row_bytes;
        for (int64_t b = 0; b < w->cols / FC_SUPER; b++, at += FC_TQ1_BYTES) {
            float *lane = &total[b % FC_LANES];
            *lane = fmaf(fc_half_at(at + FC_TQ1_D) * x->scale[b], (float)dot_tq1_0(at, x->q, b), *lane);
        }
        y[row - begin] = fc_reduce_lanes(total, FC_LANES);
    }
}

/* Two blocks of 32 share the lanes: eight each. */
void fc_gemv_q8_0_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        float total[FC_LANES] = {0};
        for (int64_t i = 0; i < w->cols / FC_Q8_BLOCK; i++) {
            const uint8_t *b = w->data + row * w->row_bytes + i * FC_Q8_BYTES;
            lanes s = {{0}};
            for (int p = 0; p < FC_Q8_BLOCK; p++)
                s.of[i % 2 * 8 + p / 4] += (int8_t)b[2 + p] * x->q[i * FC_Q8_BLOCK + p];
            add_scaled(total, &s, fc_half_at(b) * x->scale[i]);
        }
        y[row - begin] = fc_reduce_lanes(total, FC_LANES);
    }
}

/* ---- floats ---------------------------------------------------------------- */

typedef float to_float(uint16_t bits);

static void floats(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y, to_float *convert) {
    for (int64_t row = begin; row < end; row++) {
        float total[FC_FLOAT_LANES] = {0};
        const uint8_t *data = w->data + row * w->row_bytes;
        PLAIN_LOOP
        for (int64_t c = 0; c < w->cols; c++)
            total[c % FC_FLOAT_LANES] = fmaf(convert(fc_load_u16(data + 2 * c)), x->f[c], total[c % FC_FLOAT_LANES]);
        y[row - begin] = fc_reduce_lanes(total, FC_FLOAT_LANES);
    }
}

void fc_gemv_f16_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    floats(w, x, begin, end, y, fc_float_of_half);
}

void fc_gemv_bf16_scalar(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    floats(w, x, begin, end, y, fc_float_of_bf16);
}

/* ---- attention ----------------------------------------------------------------
 *
 * Two passes over the keys, nothing kept: the plainest softmax there is. */

static float score(const float *q, const uint16_t *k, int dim) {
    float sum = 0;
    PLAIN_LOOP
    for (int i = 0; i < dim; i++) sum += q[i] * fc_float_of_half(k[i]);
    return sum;
}

static void attend_head(const float *q, const uint16_t *k, const uint16_t *v, int64_t cells, int dim, float *out) {
    float most = score(q, k, dim), sum = 0;
    for (int64_t cell = 1; cell < cells; cell++) most = fmaxf(most, score(q, k + cell * dim, dim));
    for (int i = 0; i < dim; i++) out[i] = 0;
    for (int64_t cell = 0; cell < cells; cell++) {
        float weight = expf(score(q, k + cell * dim, dim) - most);
        sum += weight;
        PLAIN_LOOP
        for (int i = 0; i < dim; i++) out[i] += weight * fc_float_of_half(v[cell * dim + i]);
    }
    for (int i = 0; i < dim; i++) out[i] /= sum;
}

void fc_attend_f16_scalar(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                          float *out, float *scratch) {
    (void)scratch;
    for (int h = 0; h < heads; h++) attend_head(q + h * dim, k, v, cells, dim, out + h * dim);
}

/* ---- reading ------------------------------------------------------------------ */

typedef uint64_t line;
#define READ_INLINE static inline

READ_INLINE line line_zero(void) { return 0; }
READ_INLINE line line_fold(line sum) { return sum; }
READ_INLINE line line_add(line sum, const uint8_t *at) {
    uint64_t word;
    PLAIN_LOOP
    for (size_t i = 0; i < 64; i += sizeof word) {
        memcpy(&word, at + i, sizeof word);
        sum ^= word;
    }
    return sum;
}

#include "read.h"

uint64_t fc_read_bytes_scalar(const uint8_t *data, size_t bytes) { return read_streams(data, bytes); }
