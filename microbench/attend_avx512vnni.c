/* Attention and plain reading with AVX-512. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "avx512.h"

#define VNNI __attribute__((target(FC_AVX512_FEATURES)))
#define VNNI_INLINE FC_AVX512_INLINE

/* ---- attention ----------------------------------------------------------------- */

typedef __m512 vec;
enum { VEC_FLOATS = 16 };
#define ATTEND_INLINE VNNI_INLINE

VNNI_INLINE vec vec_zero(void) { return _mm512_setzero_ps(); }
VNNI_INLINE vec vec_set(float x) { return _mm512_set1_ps(x); }
VNNI_INLINE vec vec_load(const float *at) { return _mm512_loadu_ps(at); }
VNNI_INLINE void vec_store(float *at, vec v) { _mm512_storeu_ps(at, v); }
VNNI_INLINE vec vec_of_half(const uint16_t *at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at)); }
VNNI_INLINE vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
VNNI_INLINE vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
VNNI_INLINE vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
VNNI_INLINE float vec_sum(vec v) { return _mm512_reduce_add_ps(v); }
VNNI_INLINE vec vec_round(vec v) { return _mm512_roundscale_ps(v, 0); }
VNNI_INLINE vec vec_two_to_the(vec n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

#include "attend.h"

VNNI void fc_attend_f16_avx512vnni(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells,
                                   int dim, float *out, float *scratch) {
    attend_all(q, heads, k, v, cells, dim, out, scratch);
}

/* ---- reading -------------------------------------------------------------------- */

typedef __m512i line;
#define READ_INLINE VNNI_INLINE

VNNI_INLINE line line_zero(void) { return _mm512_setzero_si512(); }
VNNI_INLINE line line_add(line sum, const uint8_t *at) { return _mm512_xor_si512(sum, _mm512_loadu_si512(at)); }
VNNI_INLINE uint64_t line_fold(line sum) {
    uint64_t of[8], all = 0;
    _mm512_storeu_si512(of, sum);
    for (int i = 0; i < 8; i++) all ^= of[i]; /* an intrinsic's sum is a signed one, which may not overflow */
    return all;
}

#include "read.h"

VNNI uint64_t fc_read_bytes_avx512vnni(const uint8_t *data, size_t bytes) { return read_streams(data, bytes); }

#else
typedef int fc_no_x86_here;
#endif
