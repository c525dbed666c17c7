/* AVX2 with VNNI in 256 bits, VEX-encoded: laptops and desktops without
 * AVX-512 (Alder Lake, Zen 5 and later, where the processor says so).
 *
 * Few machines that build this have the instruction. With FC_AVXVNNI_AS_EVEX
 * the same source is compiled for AVX-512VL's encoding of it, which computes
 * the same, so that a machine with that one can hold these kernels to scalar
 * (`make avxvnni`). Detection and the encoding itself stay untested by that. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "numeric.h"

#ifdef FC_AVXVNNI_AS_EVEX
#define FEATURES "avx2,fma,f16c,avx512vl,avx512vnni"
#define DPBUSD _mm256_dpbusd_epi32
#else
#define FEATURES "avx2,fma,f16c,avxvnni"
#define DPBUSD _mm256_dpbusd_avx_epi32
#endif

#define GEMM __attribute__((target(FEATURES)))
#define GEMM_INLINE GEMM __attribute__((always_inline)) static inline
#define GEMM_NAME(format) fc_gemm_##format##_avxvnni

GEMM_INLINE __m256i dot_half(__m256i sum, __m256i w, __m256i q) { return DPBUSD(sum, w, q); }
GEMM_INLINE __m256i ternary_half(__m256i sum, __m256i w, __m256i q) { return DPBUSD(sum, w, q); }
GEMM_INLINE __m256i ternary_sums_half(__m256i sum) { return sum; }

#include "gemm_x86_halves.h"

#include "gemm.h"

/* ---- one token ----------------------------------------------------------------- */

GEMM_INLINE __m256i load(const void *at) { return _mm256_loadu_si256((const __m256i *)at); }

GEMM_INLINE int32_t sum_eight(__m256i a) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

/* A fraction's front digit plus one, times 64: see fc_front_digit_64 in avx512.h. */
GEMM_INLINE __m256i front_digit_64(__m256i fraction) {
    __m256i half = _mm256_avg_epu8(fraction, _mm256_set1_epi8((char)253));
    return _mm256_and_si256(_mm256_avg_epu8(fraction, half), _mm256_set1_epi8((char)0xc0));
}

GEMM_INLINE __m256i add_fractions(__m256i sum, __m256i fraction, const int8_t *q) {
    FC_UNROLL
    for (int k = 0; k < 5; k++) {
        sum = DPBUSD(sum, front_digit_64(fraction), load(q + STRIP * k));
        fraction = _mm256_add_epi8(fraction, _mm256_add_epi8(fraction, fraction));
    }
    return sum;
}

GEMM_INLINE int32_t trit5_dot(const uint8_t *row, int64_t bytes, const fc_activation *x) {
    __m256i low = _mm256_setzero_si256(), high = low;
    const int8_t *q = x->q;
    for (; bytes >= STRIP; bytes -= STRIP, row += STRIP, q += FC_TRIT5_GROUP) {
        FC_PREFETCH(row + FC_PREFETCH_AHEAD);
        low = add_fractions(low, load(row), q);
        high = add_fractions(high, load(row + 32), q + 32);
    }
    if (bytes) {
        uint8_t last[STRIP] = {0};
        memcpy(last, row, (size_t)bytes);
        low = add_fractions(low, load(last), q);
        high = add_fractions(high, load(last + 32), q + 32);
    }
    __m256i sum = _mm256_add_epi32(_mm256_srai_epi32(low, 6), _mm256_srai_epi32(high, 6));
    return sum_eight(sum) - x->sum; /* each digit came plus one */
}

GEMM void fc_gemv_trit5_avxvnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++)
        y[row - begin] =
            fc_ternary_result(trit5_dot(w->data + row * w->row_bytes, w->row_bytes, x), x, w->scales[row]);
}

/* Two-bit fields stay where they stand, each with a sum of its own. */
typedef struct {
    __m256i field[4];
} fields;

GEMM_INLINE fields no_fields(void) {
    __m256i zero = _mm256_setzero_si256();
    return (fields){{zero, zero, zero, zero}};
}

/* Field k is at bits 2k; its activations at q + step * k. */
GEMM_INLINE void add_fields(fields *s, __m256i bytes, const int8_t *q, const int step) {
    FC_UNROLL
    for (int k = 0; k < 4; k++)
        s->field[k] = DPBUSD(s->field[k], _mm256_and_si256(bytes, _mm256_set1_epi8((char)(3 << 2 * k))), load(q + step * k));
}

GEMM_INLINE __m256i fields_sum(const fields *s) {
    __m256i low = _mm256_add_epi32(s->field[0], _mm256_srai_epi32(s->field[1], 2));
    __m256i high = _mm256_add_epi32(_mm256_srai_epi32(s->field[2], 4), _mm256_srai_epi32(s->field[3], 6));
    return _mm256_add_epi32(low, high);
}

GEMM_INLINE int32_t i2_s_dot(const uint8_t *row, int64_t cols, const int8_t *q) {
    fields s = no_fields();
    for (int64_t block = 0; block < cols / 128; block++, row += 32) {
        FC_PREFETCH(row + FC_PREFETCH_AHEAD);
        add_fields(&s, load(row), q + block / 2 * 256 + block % 2 * 32 + 3 * STRIP, -STRIP);
    }
    return sum_eight(fields_sum(&s));
}

GEMM void fc_gemv_i2_s_avxvnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++)
        y[row - begin] = fc_ternary_result(i2_s_dot(w->data + row * w->row_bytes, w->cols, x->q), x, w->scales[0]);
}

GEMM void fc_gemv_tq2_0_avxvnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *at = w->data + row * w->row_bytes;
        floats total = floats_zero();
        for (int64_t i = 0; i < w->cols / FC_SUPER; i++, at += FC_TQ2_BYTES) {
            lanes sum;
            FC_PREFETCH(at + FC_PREFETCH_AHEAD);
            for (int h = 0; h < 2; h++) {
                fields s = no_fields();
                add_fields(&s, load(at + 32 * h), x->q + i * FC_SUPER + 32 * h, STRIP);
                sum.half[h] = fields_sum(&s);
            }
            sum = lanes_sub(sum, lanes_load(x->lane_sum + i * FC_LANES));
            float scale = gemm_half(at + FC_TQ2_D) * x->scale[i];
            total = floats_add(total, sum, scale, scale);
        }
        y[row - begin] = reduce_floats(total);
    }
}

GEMM void fc_gemv_q8_0_avxvnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    fc_gemm_q8_0_avxvnni(w, &x, 1, begin, end, y, 0);
}

#else
typedef int fc_no_x86_here;
#endif
