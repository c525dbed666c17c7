/* tq1_0 of a few tokens, sixteen blocks at a time: see gemm.h, and fc_tq1_at for the order. */

enum { TQ1_SETS = FC_TQ1_TOGETHER / FC_TQ1_SET };

/* Sixteen blocks of some rows: digits 0 to 2 in the order of the activations, and scales. */
typedef struct {
    _Alignas(STRIP) uint8_t w[FC_TQ1_SIXTEEN];
    float scale[FC_TQ1_TOGETHER];
} sixteen;

/* Blocks past `left` are zeros, as their activations are. */
GEMM_INLINE void unpack_sixteen(const uint8_t *block, int64_t left, sixteen *to) {
    _Alignas(STRIP) uint8_t bytes[TQ1_SETS * 3 + 1][STRIP] = {{0}}, digits[STRIP * STRIPS];
    for (int b = 0; b < FC_TQ1_TOGETHER; b++, block += FC_TQ1_BYTES) {
        to->scale[b] = b < left ? gemm_half(block + FC_TQ1_D) : 0;
        if (b >= left) continue;
        FC_PREFETCH(block + FC_PREFETCH_AHEAD);
        for (int chunk = 0; chunk < 3; chunk++)
            memcpy(bytes[b / FC_TQ1_SET * 3 + chunk] + 16 * (b % FC_TQ1_SET), block + 16 * chunk, 16);
        memcpy(bytes[TQ1_SETS * 3] + 4 * b, block + FC_TQ1_QH, 4);
    }
    for (int i = 0; i < TQ1_SETS * 3; i++) unpack_fractions(bytes[i], to->w + STRIP * STRIPS * i);
    unpack_fractions(bytes[TQ1_SETS * 3], digits);
    memcpy(to->w + FC_TQ1_TAILS, digits, 4 * STRIP); /* tails have four digits */
}

/* The products of one strip of some rows and some tokens. */
GEMM_INLINE void tq1_strip(const sixteen *s, const int rows, int64_t first, int at, const fc_activation *const *x,
                           const int tokens, lanes (*sum)[GEMM_TOKENS]) {
    strip digits[GEMM_ROWS];
    FC_UNROLL
    for (int r = 0; r < rows; r++) digits[r] = strip_load(s[r].w + at);
    FC_UNROLL
    for (int t = 0; t < tokens; t++) {
        strip q = strip_load(x[t]->q + first * FC_SUPER + at);
        FC_UNROLL
        for (int r = 0; r < rows; r++) sum[r][t] = ternary_dot(sum[r][t], digits[r], q);
    }
}

/* Of `chunks` times `digits` strips from `at` on, to to[row][token][i]. */
GEMM_INLINE void tq1_strips(const sixteen *s, const int rows, int64_t first, int at, const int chunks, const int digits,
                            const fc_activation *const *x, const int tokens, lanes (*to)[GEMM_TOKENS][TQ1_SETS + 1], int i) {
    lanes sum[GEMM_ROWS][GEMM_TOKENS];
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) sum[r][t] = lanes_zero();
    for (int chunk = 0; chunk < chunks; chunk++, at += STRIP * digits) {
        FC_UNROLL
        for (int k = 0; k < digits; k++) tq1_strip(s, rows, first, at + STRIP * k, x, tokens, sum);
    }
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) to[r][t][i] = ternary_sums(sum[r][t]);
}

/* Some rows times some tokens, few enough for registers. */
GEMM_INLINE void tq1_tile(const sixteen *s, const int rows, int64_t first, const fc_activation *const *x,
                          const int tokens, floats (*total)[FC_MOST_TOKENS], int t0) {
    lanes sums[GEMM_ROWS][GEMM_TOKENS][TQ1_SETS + 1]; /* of each set, and of the tails */
    for (int i = 0; i < TQ1_SETS; i++)
        tq1_strips(s, rows, first, FC_TQ1_SET_BYTES * i, 3, 5, x, tokens, sums, i);
    tq1_strips(s, rows, first, FC_TQ1_TAILS, 1, 4, x, tokens, sums, TQ1_SETS);
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) {
            float scale[FC_TQ1_TOGETHER];
            for (int b = 0; b < FC_TQ1_TOGETHER; b++) scale[b] = s[r].scale[b] * x[t]->scale[first + b];
            lanes sum = lanes_add(lanes_of_quarters(sums[r][t]), sums[r][t][TQ1_SETS]);
            sum = lanes_sub(sum, lanes_load(x[t]->lane_sum + first)); /* digits are weights plus one */
            total[r][t0 + t] = floats_add_each(total[r][t0 + t], sum, scale);
        }
}

GEMM_INLINE void tq1_rows(const fc_matrix *w, int64_t row, const int rows, int64_t first, const fc_activation *const *x,
                          int tokens, floats (*total)[FC_MOST_TOKENS]) {
    sixteen s[GEMM_ROWS];
    int t = 0;
    for (int r = 0; r < rows; r++)
        unpack_sixteen(w->data + (row + r) * w->row_bytes + first * FC_TQ1_BYTES, w->cols / FC_SUPER - first, &s[r]);
    for (; t + GEMM_TOKENS <= tokens; t += GEMM_TOKENS) tq1_tile(s, rows, first, x + t, GEMM_TOKENS, total, t);
    for (; t < tokens; t++) tq1_tile(s, rows, first, x + t, 1, total, t);
}

GEMM void GEMM_NAME(tq1_0)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin, int64_t end,
                           float *y, int64_t stride) {
    for (int64_t row = begin; row < end; row += GROUP) {
        group_floats total;
        int rows = (int)(end - row < GROUP ? end - row : GROUP), r;
        for (r = 0; r < rows; r++)
            for (int t = 0; t < tokens; t++) total[r][t] = floats_zero();
        for (int64_t first = 0; first < w->cols / FC_SUPER; first += FC_TQ1_TOGETHER) {
            for (r = 0; r + GEMM_ROWS <= rows; r += GEMM_ROWS) tq1_rows(w, row + r, GEMM_ROWS, first, x, tokens, total + r);
            for (; r < rows; r++) tq1_rows(w, row + r, 1, first, x, tokens, total + r);
        }
        write_group(total, rows, tokens, y + (row - begin), stride);
    }
}
