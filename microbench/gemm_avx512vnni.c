/* A few tokens at once with AVX-512 VNNI: see gemm.h. */
#include "fitcheck.h"

#if FC_X86
#include "avx512.h"

/* Bytes are unpacked by vectors as wide as those that load them: what a
 * narrower store leaves behind, a wider load has to wait for. */
#if defined(__clang__)
#define GEMM __attribute__((target(FC_AVX512_FEATURES), min_vector_width(512)))
#else
#define GEMM __attribute__((target(FC_AVX512_FEATURES ",prefer-vector-width=512")))
#endif
#define GEMM_INLINE GEMM __attribute__((always_inline)) static inline
#define GEMM_NAME(format) fc_gemm_##format##_avx512vnni
#define GEMM_HAS_I2_S /* in registers: gemv_avx512vnni.c */
enum { GEMM_TOKENS = 4 };

typedef __m512i strip;
typedef __m512i lanes;
typedef __m512 floats;

GEMM_INLINE float gemm_half(const uint8_t *at) { return _cvtsh_ss(fc_load_u16(at)); }

/* Into a register, once for all its readers. */
GEMM_INLINE strip strip_load(const void *at) {
    __m512i bytes = _mm512_loadu_si512(at);
    __asm__("" : "+v"(bytes));
    return bytes;
}

GEMM_INLINE lanes lanes_zero(void) { return _mm512_setzero_si512(); }
GEMM_INLINE lanes lanes_load(const int32_t *at) { return _mm512_loadu_si512(at); }
GEMM_INLINE void lanes_store(int32_t *at, lanes a) { _mm512_storeu_si512(at, a); }
GEMM_INLINE lanes lanes_add(lanes a, lanes b) { return _mm512_add_epi32(a, b); }
GEMM_INLINE lanes lanes_sub(lanes a, lanes b) { return _mm512_sub_epi32(a, b); }
GEMM_INLINE lanes lanes_mul(lanes a, lanes b) { return _mm512_mullo_epi32(a, b); }
GEMM_INLINE lanes lanes_dot(lanes sum, strip w, strip q) { return _mm512_dpbusd_epi32(sum, w, q); }
GEMM_INLINE lanes ternary_dot(lanes sum, strip w, strip q) { return _mm512_dpbusd_epi32(sum, w, q); }
GEMM_INLINE lanes ternary_sums(lanes sum) { return sum; }
GEMM_INLINE lanes lanes_of_quarters(const lanes part[4]) { return fc_sums_of_quarters(part); }

/* One side of the instruction is unsigned: weights plus 128, less 128 times the activations. */
GEMM_INLINE lanes lanes_dot_signed(strip w, strip q) {
    __m512i top = _mm512_set1_epi8((char)0x80), none = _mm512_setzero_si512();
    __m512i raised = _mm512_dpbusd_epi32(none, _mm512_xor_si512(w, top), q);
    return _mm512_sub_epi32(raised, _mm512_dpbusd_epi32(none, top, q));
}

GEMM_INLINE floats floats_zero(void) { return _mm512_setzero_ps(); }
GEMM_INLINE void floats_store(float *at, floats f) { _mm512_storeu_ps(at, f); }
GEMM_INLINE floats floats_add(floats f, lanes a, float low, float high) {
    __m512 scale = _mm512_mask_mov_ps(_mm512_set1_ps(low), 0xff00, _mm512_set1_ps(high));
    return _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(a), f);
}

GEMM_INLINE floats floats_add_each(floats f, lanes a, const float *scale) {
    return _mm512_fmadd_ps(_mm512_loadu_ps(scale), _mm512_cvtepi32_ps(a), f);
}

#include "gemm.h"

#else
typedef int fc_no_x86_here;
#endif
