/* F16 and BF16 with AVX2. */
#include "fitcheck.h"

#if FC_X86
#include "avx2.h"

AVX2_INLINE __m256 floats_of_f16(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }

AVX2_INLINE __m256 floats_of_bf16(const uint8_t *at) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)at));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* The last columns, one a lane, are added after the vectors. */
#define FLOAT_KERNEL(format, to_float)                                                                             \
    AVX2_INLINE float format##_dot(const uint8_t *at, const float *x, int64_t cols) {                              \
        __m256 total[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};    \
        float lane[FC_FLOAT_LANES];                                                                                \
        for (; cols >= FC_FLOAT_LANES; cols -= FC_FLOAT_LANES, at += 64, x += FC_FLOAT_LANES) {                    \
            FC_PREFETCH(at + FC_PREFETCH_AHEAD);                                                                   \
            FC_UNROLL                                                                                              \
            for (int i = 0; i < 4; i++)                                                                            \
                total[i] = _mm256_fmadd_ps(floats_of_##format(at + 16 * i), _mm256_loadu_ps(x + 8 * i), total[i]); \
        }                                                                                                          \
        for (int i = 0; i < 4; i++) _mm256_storeu_ps(lane + 8 * i, total[i]);                                      \
        for (int64_t i = 0; i < cols; i++) lane[i] = fmaf(to_float(fc_load_u16(at + 2 * i)), x[i], lane[i]);       \
        return fc_reduce_lanes(lane, FC_FLOAT_LANES);                                                              \
    }                                                                                                              \
    AVX2 void fc_gemv_##format##_avx2(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end,      \
                                      float *y) {                                                                  \
        for (int64_t row = begin; row < end; row++)                                                                \
            y[row - begin] = format##_dot(w->data + row * w->row_bytes, x->f, w->cols);                            \
    }
FLOAT_KERNEL(f16, fc_float_of_half)
FLOAT_KERNEL(bf16, fc_float_of_bf16)

#else
typedef int fc_no_x86_here;
#endif
