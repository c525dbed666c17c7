/* What a batch must give: each token by itself. */
#include "fitcheck.h"

#define SCALAR_GEMM(format)                                                                                          \
    void fc_gemm_##format##_scalar(const fc_matrix *w, const fc_activation *const *x, int tokens, int64_t begin,     \
                                   int64_t end, float *y, int64_t stride) {                                          \
        for (int t = 0; t < tokens; t++) fc_gemv_##format##_scalar(w, x[t], begin, end, y + t * stride);             \
    }
FC_GEMM_FORMATS(SCALAR_GEMM)
