/* A scale a block, of a few tokens: see gemm.h.
 *
 * Of every such format a block's sum is, lane by lane,
 *   sum over strips of factor[k] * (w[k] . q[k])  -  offset * lane_sum
 * times its scale, and q4_k takes minimum * lane_sum times another scale off. */

typedef struct {
    _Alignas(STRIP) uint8_t w[STRIP * STRIPS];
    int32_t factor[4][FC_LANES], offset[FC_LANES], minimum[FC_LANES];
    float scale, minimum_scale;
} block;

GEMM_INLINE void unpack_tq2_0(const uint8_t *b, block *to) {
    unpack_fields(b, 0, 2, to->w);
    to->scale = gemm_half(b + FC_TQ2_D);
}

GEMM_INLINE void unpack_q4_k(const uint8_t *b, block *to) {
    uint8_t sub[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, sub);
    for (int half = 0; half < 2; half++) unpack_nibbles(b + FC_Q4K_QS + STRIP * half, to->w + 2 * STRIP * half);
    for (int i = 0; i < FC_LANES; i++) {
        for (int k = 0; k < 4; k++) to->factor[k][i] = sub[k / 2 * 4 + i / 8 * 2 + k % 2];
        to->minimum[i] = sub[8 + i / 2];
    }
    to->scale = gemm_half(b);
    to->minimum_scale = gemm_half(b + 2);
}

GEMM_INLINE void unpack_q6_k(const uint8_t *b, block *to) {
    const int8_t *scales = (const int8_t *)b + FC_Q6K_SCALES;
    for (int half = 0; half < 2; half++) {
        const uint8_t *high = b + FC_Q6K_QH + 32 * half;
        uint8_t *w = to->w + 2 * STRIP * half;
        unpack_nibbles(b + STRIP * half, w);
        for (int strip = 0; strip < 4; strip++)
            for (int p = 0; p < 32; p++) w[32 * strip + p] |= (uint8_t)((high[p] >> 2 * strip & 3) << 4);
    }
    for (int i = 0; i < FC_LANES; i++) {
        for (int k = 0; k < 4; k++) to->factor[k][i] = scales[4 * k + i / 4];
        to->offset[i] = 32 * scales[i];
    }
    to->scale = gemm_half(b + FC_Q6K_D);
}

/* What a format's blocks have beside strips. */
typedef enum { PLUS_ONE, OFFSET, MINIMUM } correction;

/* One strip of a block, which some tokens share. */
GEMM_INLINE void add_strip(lanes *sum, const block *b, const int k, const fc_activation *const *x, const int tokens,
                           int64_t at, const correction kind) {
    strip w = strip_load(b->w + STRIP * k);
    FC_UNROLL
    for (int t = 0; t < tokens; t++) {
        strip q = strip_load(x[t]->q + at + STRIP * k);
        if (kind == PLUS_ONE) sum[t] = lanes_dot(sum[t], w, q);
        else sum[t] = lanes_add(sum[t], lanes_mul(lanes_dot(lanes_zero(), w, q), lanes_load(b->factor[k])));
    }
}

/* What a block's sums lack, and its scale. */
GEMM_INLINE floats finish_block(floats total, lanes sum, const block *b, const fc_activation *x, int64_t index,
                                const correction kind) {
    lanes beside = lanes_load(x->lane_sum + index * FC_LANES);
    float scale = b->scale * x->scale[index];
    if (kind == PLUS_ONE) sum = lanes_sub(sum, beside);
    if (kind == OFFSET) sum = lanes_sub(sum, lanes_mul(lanes_load(b->offset), beside));
    total = floats_add(total, sum, scale, scale);
    if (kind != MINIMUM) return total;
    float low = -(b->minimum_scale * x->scale[index]);
    return floats_add(total, lanes_mul(lanes_load(b->minimum), beside), low, low);
}

GEMM_INLINE void block_tile(floats *total, const block *b, int n, int64_t first, const fc_activation *const *x,
                            const int tokens, const int strips, const correction kind) {
    for (int i = 0; i < n; i++) {
        lanes sum[GEMM_TOKENS];
        FC_UNROLL
        for (int t = 0; t < tokens; t++) sum[t] = lanes_zero();
        FC_UNROLL
        for (int k = 0; k < strips; k++) add_strip(sum, &b[i], k, x, tokens, (first + i) * STRIP * strips, kind);
        FC_UNROLL
        for (int t = 0; t < tokens; t++) total[t] = finish_block(total[t], sum[t], &b[i], x[t], first + i, kind);
    }
}

GEMM_INLINE float reduce_floats(floats total) {
    float lane[FC_LANES];
    floats_store(lane, total);
    return fc_reduce_lanes(lane, FC_LANES);
}

/* Blocks that are unpacked before the tokens meet them, so that neither waits for the other. */
enum { BLOCKS = 4 };

typedef void unpack_block(const uint8_t *at, block *to);

typedef floats group_floats[GROUP][FC_MOST_TOKENS];

/* Up to BLOCKS blocks of a row are unpacked and meet all tokens. */
GEMM_INLINE void block_stretch(const uint8_t *at, int n, int64_t first, const fc_activation *const *x, int tokens,
                               unpack_block *unpack, const int bytes, const int strips, const correction kind,
                               floats *total) {
    block b[BLOCKS];
    int t = 0;
    for (int i = 0; i < BLOCKS && i < n; i++, at += bytes) {
        for (int ahead = 0; ahead < bytes; ahead += 64) FC_PREFETCH(at + FC_PREFETCH_AHEAD + ahead);
        unpack(at, &b[i]);
    }
    for (; t + GEMM_TOKENS <= tokens; t += GEMM_TOKENS)
        block_tile(total + t, b, n, first, x + t, GEMM_TOKENS, strips, kind);
    for (; t < tokens; t++) block_tile(total + t, b, n, first, x + t, 1, strips, kind);
}

GEMM_INLINE void block_group(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t row, int rows,
                             unpack_block *unpack, const int bytes, const int strips, const correction kind,
                             group_floats total) {
    int64_t blocks = w->cols / FC_SUPER;
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) total[r][t] = floats_zero();
    for (int64_t first = 0; first < blocks; first += BLOCKS) {
        int n = (int)(blocks - first < BLOCKS ? blocks - first : BLOCKS);
        for (int r = 0; r < rows; r++)
            block_stretch(w->data + (row + r) * w->row_bytes + first * bytes, n, first, x, tokens, unpack, bytes,
                          strips, kind, total[r]);
    }
}

GEMM_INLINE void write_group(group_floats total, int rows, int tokens, float *y, int64_t stride) {
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) y[t * stride + r] = reduce_floats(total[r][t]);
}

#define BLOCK_GEMM(format, bytes, strips, kind)                                                                       \
    GEMM void GEMM_NAME(format)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,         \
                                int64_t end, float *y, int64_t stride) {                                              \
        for (int64_t row = begin; row < end; row += GROUP) {                                                          \
            group_floats total;                                                                                       \
            int rows = (int)(end - row < GROUP ? end - row : GROUP);                                                  \
            block_group(w, x, tokens, row, rows, unpack_##format, bytes, strips, kind, total);                        \
            write_group(total, rows, tokens, y + (row - begin), stride);                                              \
        }                                                                                                             \
    }
#ifndef GEMM_HAS_BLOCKS
BLOCK_GEMM(tq2_0, FC_TQ2_BYTES, 4, PLUS_ONE)
BLOCK_GEMM(q4_k, FC_Q4K_BYTES, 4, MINIMUM)
BLOCK_GEMM(q6_k, FC_Q6K_BYTES, 4, OFFSET)
#endif
