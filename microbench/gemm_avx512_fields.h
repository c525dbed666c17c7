/* Ternary products of a few tokens with AVX-512, unpacked in registers: 64 bytes of two rows become
 * digits once and meet two tokens' activations there, where gemm.h's way leads through the
 * first-level cache. An ISA file includes this after defining
 *   FIELDS_INLINE                        attributes of helpers
 *   field_sums, no_fields(), fields_total(sums)   what a row's products with a token gather in
 *   add_tile(sums, bytes, n, q, tokens)  64 bytes of n rows times some tokens' activations at q
 *
 * Two by two, because a load takes longer than a product on Zen 4 (1.5 cycles of 64 bytes, by measurement):
 * activations serve two rows, digits two tokens, and sixteen sums fill half of the registers.
 * Integers are added in another order than by gemv and come to the same. */
#include "avx512.h"

enum {
    TOKENS_TOGETHER = 2,
    VECTORS_TOGETHER = 32 /* of a row, before the next rows: two tokens' activations stay in the first-level cache */
};

typedef field_sums tile_sums[MOST_ROWS][TOKENS_TOGETHER];
typedef __m512i token_sums[FC_MOST_TOKENS][FC_ROWS_TOGETHER];

/* Some vectors of n rows and some tokens; a vector meets `columns` columns, of which `column` is the first. */
FIELDS_INLINE void add_vectors(fc_rows rows, const int n, const int columns, int64_t column,
                               const fc_activation *const *x, const int tokens, int row, __m512i (*total)[FC_ROWS_TOGETHER]) {
    tile_sums sum;
    __m512i bytes[MOST_ROWS];
    const int8_t *q[TOKENS_TOGETHER];
    FC_UNROLL
    for (int t = 0; t < tokens; t++) q[t] = x[t]->q + column;
    FC_UNROLL
    for (int r = 0; r < n; r++)
        FC_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = no_fields();
    for (int i = 0; i < VECTORS_TOGETHER && rows.left > 0; i++) {
        if (rows.left >= 64) fc_next_vectors(&rows, bytes);
        else fc_last_vectors(&rows, bytes), rows.left = 0;
        add_tile(sum, bytes, n, q, tokens);
        FC_UNROLL
        for (int t = 0; t < tokens; t++) q[t] += columns;
    }
    FC_UNROLL
    for (int r = 0; r < n; r++)
        FC_UNROLL
        for (int t = 0; t < tokens; t++)
            total[t][row + r] = _mm512_add_epi32(total[t][row + r], fields_total(&sum[r][t]));
}

/* n rows and all tokens. */
FIELDS_INLINE void add_to_all(const fc_matrix *w, int64_t row, const int n, int64_t byte, const int columns,
                              int64_t column, const fc_activation *const *x, int tokens, int at, token_sums total) {
    fc_rows rows = fc_rows_at(w, row, n);
    int t = 0;
    rows.at += byte, rows.ahead += n * byte, rows.left -= byte;
    for (; t + TOKENS_TOGETHER <= tokens; t += TOKENS_TOGETHER)
        add_vectors(rows, n, columns, column, x + t, TOKENS_TOGETHER, at, total + t);
    if (t < tokens) add_vectors(rows, n, columns, column, x + t, 1, at, total + t);
}

/* The body of a kernel: `offset` is what digits are above weights. */
FIELDS_INLINE void fields_gemm(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,
                               int64_t end, float *y, int64_t stride, const int columns, const int offset,
                               const int a_scale_a_row) {
    for (int64_t row = begin; row < end; row += FC_ROWS_TOGETHER, y += FC_ROWS_TOGETHER) {
        int rows = end - row < FC_ROWS_TOGETHER ? (int)(end - row) : FC_ROWS_TOGETHER;
        token_sums total;
        memset(total, 0, sizeof total);
        for (int64_t byte = 0, column = 0; byte < w->row_bytes;
             byte += 64 * VECTORS_TOGETHER, column += columns * VECTORS_TOGETHER) {
            int r = 0;
            for (; r + MOST_ROWS <= rows; r += MOST_ROWS)
                add_to_all(w, row + r, MOST_ROWS, byte, columns, column, x, tokens, r, total);
            for (; r < rows; r++) add_to_all(w, row + r, 1, byte, columns, column, x, tokens, r, total);
        }
        __m512 scales = fc_scales_of_rows(w->scales + a_scale_a_row * row, rows, a_scale_a_row);
        for (int t = 0; t < tokens; t++) fc_ternary_results(total[t], rows, x[t], offset, scales, y + t * stride);
    }
}
