/* q8_0 of a few tokens (see gemm.h): two blocks of 32 share a strip; an odd last one stands beside zeros. */

#ifndef GEMM_HAS_BLOCKS
GEMM_INLINE void q8_0_pair(floats *total, const uint8_t *at, const int two, const fc_activation *const *x, int tokens,
                           int64_t i) {
    _Alignas(STRIP) int8_t bytes[STRIP] = {0};
    float low = gemm_half(at), high = two ? gemm_half(at + FC_Q8_BYTES) : 0;
    memcpy(bytes, at + 2, FC_Q8_BLOCK);
    if (two) memcpy(bytes + FC_Q8_BLOCK, at + FC_Q8_BYTES + 2, FC_Q8_BLOCK);
    strip w = strip_load(bytes);
    for (int t = 0; t < tokens; t++) {
        lanes sum = lanes_dot_signed(w, strip_load(x[t]->q + i * FC_Q8_BLOCK));
        total[t] = floats_add(total[t], sum, low * x[t]->scale[i], two ? high * x[t]->scale[i + 1] : 0);
    }
}

enum { PAIRS = 8 };

GEMM void GEMM_NAME(q8_0)(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin, int64_t end,
                          float *y, int64_t stride) {
    int64_t blocks = w->cols / FC_Q8_BLOCK;
    for (int64_t row = begin; row < end; row += GROUP) {
        group_floats total;
        int rows = (int)(end - row < GROUP ? end - row : GROUP);
        for (int r = 0; r < rows; r++)
            for (int t = 0; t < tokens; t++) total[r][t] = floats_zero();
        for (int64_t first = 0; first < blocks; first += 2 * PAIRS)
            for (int r = 0; r < rows; r++) {
                const uint8_t *at = w->data + (row + r) * w->row_bytes + first * FC_Q8_BYTES;
                for (int64_t i = first; i < blocks && i < first + 2 * PAIRS; i += 2, at += 2 * FC_Q8_BYTES) {
                    FC_PREFETCH(at + FC_PREFETCH_AHEAD);
                    if (i + 1 < blocks) q8_0_pair(total[r], at, 1, x, tokens, i);
                    else q8_0_pair(total[r], at, 0, x, tokens, i);
                }
            }
        write_group(total, rows, tokens, y + (row - begin), stride);
    }
}
#endif
