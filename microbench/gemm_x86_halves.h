/* gemm.h's types as two AVX2 registers each. The ISA file's own are
 * dot_half(sum, w, q), ternary_half(sum, w, q) and ternary_sums_half(sum). */
#include <immintrin.h>

#include "numeric.h"

typedef struct {
    __m256i half[2];
} lanes;
typedef lanes strip;
typedef struct {
    __m256 half[2];
} floats;
enum { GEMM_TOKENS = 2 };

#define BOTH(expression)                                              \
    do {                                                              \
        lanes both;                                                   \
        FC_UNROLL                                                     \
        for (int h = 0; h < 2; h++) both.half[h] = (expression);      \
        return both;                                                  \
    } while (0)

GEMM_INLINE float gemm_half(const uint8_t *at) { return _cvtsh_ss(fc_load_u16(at)); }
GEMM_INLINE strip strip_load(const void *at) { BOTH(_mm256_loadu_si256((const __m256i *)at + h)); }

GEMM_INLINE lanes lanes_zero(void) { BOTH(_mm256_setzero_si256()); }
GEMM_INLINE lanes lanes_load(const int32_t *at) { BOTH(_mm256_loadu_si256((const __m256i *)at + h)); }
GEMM_INLINE lanes lanes_add(lanes a, lanes b) { BOTH(_mm256_add_epi32(a.half[h], b.half[h])); }
GEMM_INLINE lanes lanes_sub(lanes a, lanes b) { BOTH(_mm256_sub_epi32(a.half[h], b.half[h])); }
GEMM_INLINE lanes lanes_mul(lanes a, lanes b) { BOTH(_mm256_mullo_epi32(a.half[h], b.half[h])); }
GEMM_INLINE lanes lanes_dot(lanes sum, strip w, strip q) { BOTH(dot_half(sum.half[h], w.half[h], q.half[h])); }
GEMM_INLINE lanes ternary_dot(lanes sum, strip w, strip q) { BOTH(ternary_half(sum.half[h], w.half[h], q.half[h])); }
GEMM_INLINE lanes ternary_sums(lanes sum) { BOTH(ternary_sums_half(sum.half[h])); }

GEMM_INLINE void lanes_store(int32_t *at, lanes a) {
    for (int h = 0; h < 2; h++) _mm256_storeu_si256((__m256i *)at + h, a.half[h]);
}

/* |w| times q with w's sign: |w| is at most 128, so pairs stay within 16 bits. */
GEMM_INLINE __m256i dot_signed_half(__m256i w, __m256i q) {
    return dot_half(_mm256_setzero_si256(), _mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
}

GEMM_INLINE lanes lanes_dot_signed(strip w, strip q) { BOTH(dot_signed_half(w.half[h], q.half[h])); }

GEMM_INLINE floats floats_zero(void) { return (floats){{_mm256_setzero_ps(), _mm256_setzero_ps()}}; }

GEMM_INLINE void floats_store(float *at, floats f) {
    for (int h = 0; h < 2; h++) _mm256_storeu_ps(at + 8 * h, f.half[h]);
}

/* Of two sums the quarters side by side: 0 0 2 2 and 1 1 3 3, then 0 2 0 2 and 1 3 1 3. */
GEMM_INLINE __m256i quarters_of_two(const lanes *two) {
    __m256i first = _mm256_hadd_epi32(two[0].half[0], two[0].half[1]);
    __m256i second = _mm256_hadd_epi32(two[1].half[0], two[1].half[1]);
    const __m256i order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
    return _mm256_permutevar8x32_epi32(_mm256_hadd_epi32(first, second), order);
}

GEMM_INLINE lanes lanes_of_quarters(const lanes part[4]) { BOTH(quarters_of_two(part + 2 * h)); }

GEMM_INLINE floats floats_add_each(floats f, lanes a, const float *scale) {
    for (int h = 0; h < 2; h++)
        f.half[h] = _mm256_fmadd_ps(_mm256_loadu_ps(scale + 8 * h), _mm256_cvtepi32_ps(a.half[h]), f.half[h]);
    return f;
}

GEMM_INLINE floats floats_add(floats f, lanes a, float low, float high) {
    f.half[0] = _mm256_fmadd_ps(_mm256_set1_ps(low), _mm256_cvtepi32_ps(a.half[0]), f.half[0]);
    f.half[1] = _mm256_fmadd_ps(_mm256_set1_ps(high), _mm256_cvtepi32_ps(a.half[1]), f.half[1]);
    return f;
}
