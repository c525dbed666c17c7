/* One scale a vector, of a few tokens: see gemm.h. */

/* 64 packed bytes to `strips` strips of digits. */
typedef void unpack_strips(const uint8_t *bytes, uint8_t *w);

GEMM_INLINE void unpack_trit5(const uint8_t *bytes, uint8_t *w) { unpack_fractions(bytes, w); }
GEMM_INLINE void unpack_i2_s(const uint8_t *bytes, uint8_t *w) { unpack_fields(bytes, 6, -2, w); }

/* Whole groups and the last, narrower one. */
GEMM_INLINE void unpack_group(const uint8_t *row, int64_t left, unpack_strips *unpack, uint8_t *w) {
    uint8_t last[STRIP] = {0};
    if (left < STRIP) memcpy(last, row, (size_t)left);
    unpack(left < STRIP ? last : row, w);
}

/* Some rows times some tokens, few enough for registers. */
GEMM_INLINE void ternary_tile(uint8_t (*w)[GEMM_ROWS][STRIP * STRIPS], int groups, const int rows, int64_t at,
                              const fc_activation *const *x, int first, const int tokens, const int strips,
                              int32_t (*total)[FC_MOST_TOKENS][FC_LANES]) {
    lanes sum[GEMM_ROWS][GEMM_TOKENS];
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) sum[r][t] = lanes_zero();
    for (int g = 0; g < groups; g++, at += STRIP * strips) {
        FC_UNROLL
        for (int k = 0; k < strips; k++) {
            strip digits[GEMM_ROWS];
            FC_UNROLL
            for (int r = 0; r < rows; r++) digits[r] = strip_load(w[g][r] + STRIP * k);
            FC_UNROLL
            for (int t = 0; t < tokens; t++) {
                strip q = strip_load(x[first + t]->q + at + STRIP * k);
                FC_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = ternary_dot(sum[r][t], digits[r], q);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++)
            lanes_store(total[r][first + t], lanes_add(lanes_load(total[r][first + t]), ternary_sums(sum[r][t])));
}

typedef int32_t group_sums[GROUP][FC_MOST_TOKENS][FC_LANES];

/* A stretch of one or two rows is unpacked and meets all tokens. */
GEMM_INLINE void ternary_stretch(const uint8_t *data, int64_t stride, int64_t left, const int rows, int64_t at,
                                 const fc_activation *const *x, int tokens, const int strips, unpack_strips *unpack,
                                 int32_t (*total)[FC_MOST_TOKENS][FC_LANES]) {
    _Alignas(STRIP) uint8_t w[STRETCH][GEMM_ROWS][STRIP * STRIPS];
    int groups = 0, t = 0;
    for (; groups < STRETCH && left > 0; groups++, data += STRIP, left -= STRIP)
        for (int r = 0; r < rows; r++) {
            FC_PREFETCH(data + r * stride + FC_PREFETCH_AHEAD);
            unpack_group(data + r * stride, left, unpack, w[groups][r]);
        }
    for (; t + GEMM_TOKENS <= tokens; t += GEMM_TOKENS)
        ternary_tile(w, groups, rows, at, x, t, GEMM_TOKENS, strips, total);
    for (; t < tokens; t++) ternary_tile(w, groups, rows, at, x, t, 1, strips, total);
}

GEMM_INLINE void ternary_group(const fc_matrix *m, const fc_activation *const *x, int tokens, int64_t row, int rows,
                               const int strips, unpack_strips *unpack, group_sums total) {
    int64_t stride = m->row_bytes;
    for (int64_t byte = 0, at = 0; byte < stride; byte += STRETCH * STRIP, at += STRETCH * STRIP * strips) {
        const uint8_t *data = m->data + row * stride + byte;
        int r = 0;
        for (; r + GEMM_ROWS <= rows; r += GEMM_ROWS)
            ternary_stretch(data + r * stride, stride, stride - byte, GEMM_ROWS, at, x, tokens, strips, unpack, total + r);
        for (; r < rows; r++)
            ternary_stretch(data + r * stride, stride, stride - byte, 1, at, x, tokens, strips, unpack, total + r);
    }
}

GEMM_INLINE int32_t sum_of_lanes(const int32_t lane[FC_LANES]) {
    int32_t sum = 0;
    for (int i = 0; i < FC_LANES; i++) sum += lane[i];
    return sum;
}

#define TERNARY_GEMM(format, strips, scale_step)                                                                      \
    GEMM void GEMM_NAME(format)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,         \
                                int64_t end, float *y, int64_t stride) {                                              \
        for (int64_t row = begin; row < end; row += GROUP) {                                                          \
            group_sums total = {{{0}}};                                                                               \
            int rows = (int)(end - row < GROUP ? end - row : GROUP);                                                  \
            ternary_group(w, x, tokens, row, rows, strips, unpack_##format, total);                                   \
            for (int r = 0; r < rows; r++)                                                                            \
                for (int t = 0; t < tokens; t++)                                                                      \
                    y[t * stride + row - begin + r] =                                                                 \
                        fc_ternary_result(sum_of_lanes(total[r][t]), x[t], w->scales[(row + r) * (scale_step)]);      \
        }                                                                                                             \
    }
TERNARY_GEMM(trit5, 5, 1)
TERNARY_GEMM(i2_s, 4, 0)
