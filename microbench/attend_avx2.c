/* Attention and plain reading with AVX2. */
#include "fitcheck.h"

#if FC_X86
#include "avx2.h"

/* ---- attention ----------------------------------------------------------------- */

typedef __m256 vec;
enum { VEC_FLOATS = 8 };
#define ATTEND_INLINE AVX2_INLINE

AVX2_INLINE vec vec_zero(void) { return _mm256_setzero_ps(); }
AVX2_INLINE vec vec_set(float x) { return _mm256_set1_ps(x); }
AVX2_INLINE vec vec_load(const float *at) { return _mm256_loadu_ps(at); }
AVX2_INLINE void vec_store(float *at, vec v) { _mm256_storeu_ps(at, v); }
AVX2_INLINE vec vec_of_half(const uint16_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }
AVX2_INLINE vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
AVX2_INLINE vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
AVX2_INLINE vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
AVX2_INLINE float vec_sum(vec v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
AVX2_INLINE vec vec_round(vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
AVX2_INLINE vec vec_two_to_the(vec n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

#include "attend.h"

AVX2 void fc_attend_f16_avx2(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                             float *out, float *scratch) {
    attend_all(q, heads, k, v, cells, dim, out, scratch);
}

/* ---- reading -------------------------------------------------------------------- */

typedef struct {
    __m256i half[2];
} line;
#define READ_INLINE AVX2_INLINE

AVX2_INLINE line line_zero(void) { return (line){{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
AVX2_INLINE line line_add(line sum, const uint8_t *at) {
    for (int i = 0; i < 2; i++)
        sum.half[i] = _mm256_xor_si256(sum.half[i], _mm256_loadu_si256((const __m256i *)(at + 32 * i)));
    return sum;
}
AVX2_INLINE uint64_t line_fold(line sum) {
    __m256i all = _mm256_xor_si256(sum.half[0], sum.half[1]);
    return (uint64_t)(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^ _mm256_extract_epi64(all, 2)
                      ^ _mm256_extract_epi64(all, 3));
}

#include "read.h"

AVX2 uint64_t fc_read_bytes_avx2(const uint8_t *data, size_t bytes) { return read_streams(data, bytes); }

#else
typedef int fc_no_x86_here;
#endif
