/* F16 and BF16 with AVX-512. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "avx512.h"

#define VNNI __attribute__((target(FC_AVX512_FEATURES)))
#define VNNI_INLINE FC_AVX512_INLINE

/* A vector of floats fills the first-level cache, so eight rows share each load of
 * it (a quarter of what is fetched from the second level then, and the rest weights).
 * Every other line is asked for, and the hardware brings its neighbour: asking takes
 * the second level's time too, a tenth of the loop where the weights lie there. */
enum { FLOAT_ROWS = 8, FLOATS_AHEAD = 2048 };

typedef struct {
    const uint8_t *at;
    const float *x;
    int64_t stride, left; /* bytes from row to row, columns still to come */
} float_rows;

VNNI_INLINE float_rows float_rows_at(const fc_matrix *w, const fc_activation *x, int64_t row, int64_t apart) {
    return (float_rows){w->data + row * w->row_bytes, x->f, apart * w->row_bytes, w->cols};
}

VNNI_INLINE void next_floats(float_rows *rows, const int n) {
    if (rows->left & FC_FLOAT_LANES) {
        FC_UNROLL
        for (int r = 0; r < n; r++) FC_PREFETCH(rows->at + r * rows->stride + FLOATS_AHEAD);
    }
    rows->at += 64;
    rows->x += FC_FLOAT_LANES;
    rows->left -= FC_FLOAT_LANES;
}

VNNI_INLINE __mmask32 first_lanes(int64_t n) { return ((uint32_t)1 << n) - 1; }

/* Sixteen halves are widened at once. Eight at a time take three quarters of the cycles
 * on Zen 4, but sums of six rows at most, and twice the instructions to look past. */
typedef struct {
    __m512 low, high;
} f16_total;

VNNI_INLINE void f16_step(f16_total *total, const int n, __mmask32 some, const float_rows *rows) {
    const __mmask16 first = (__mmask16)some, second = (__mmask16)(some >> 16);
    __m512 low = _mm512_maskz_loadu_ps(first, rows->x), high = _mm512_maskz_loadu_ps(second, rows->x + 16);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        const uint8_t *at = rows->at + r * rows->stride;
        __m512 w0 = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first, at));
        __m512 w1 = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(second, at + 32));
        total[r].low = _mm512_fmadd_ps(w0, low, total[r].low);
        total[r].high = _mm512_fmadd_ps(w1, high, total[r].high);
    }
}

VNNI_INLINE float f16_sum(const f16_total *t) { return fc_sum_halves(_mm512_add_ps(t->low, t->high)); }

/* A bf16 is the upper half of a float: of two in a word the upper one needs a
 * mask and the lower one a shift. So even and odd columns are summed apart. */
typedef struct {
    __m512 even, odd;
} bf16_total;

VNNI_INLINE void bf16_step(bf16_total *total, const int n, __mmask32 some, const float_rows *rows) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)some, rows->x);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(some >> 16), rows->x + 16);
    __m512 even = _mm512_permutex2var_ps(low, evens, high);
    __m512 odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), high);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m512i pairs = fc_in_register(_mm512_maskz_loadu_epi16(some, rows->at + r * rows->stride));
        __m512i upper = _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000));
        total[r].even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)), even, total[r].even);
        total[r].odd = _mm512_fmadd_ps(_mm512_castsi512_ps(upper), odd, total[r].odd);
    }
}

/* Back to the order of columns, and then as ever. */
VNNI_INLINE float bf16_sum(const bf16_total *t) {
    const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512 low = _mm512_permutex2var_ps(t->even, first, t->odd);
    __m512 high = _mm512_permutex2var_ps(t->even, _mm512_add_epi32(first, _mm512_set1_epi32(8)), t->odd);
    return fc_sum_halves(_mm512_add_ps(low, high));
}

#define FLOAT_KERNEL(format)                                                                                        \
    VNNI_INLINE void format##_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n,            \
                                   int64_t apart, float *y) {                                                       \
        float_rows rows = float_rows_at(w, x, row, apart);                                                          \
        format##_total total[FLOAT_ROWS];                                                                           \
        FC_UNROLL                                                                                                   \
        for (int r = 0; r < n; r++) total[r] = (format##_total){_mm512_setzero_ps(), _mm512_setzero_ps()};          \
        for (; rows.left >= FC_FLOAT_LANES; next_floats(&rows, n)) format##_step(total, n, 0xffffffff, &rows);      \
        if (rows.left) format##_step(total, n, first_lanes(rows.left), &rows);                                      \
        FC_UNROLL                                                                                                   \
        for (int r = 0; r < n; r++) y[r * apart] = format##_sum(&total[r]);                                         \
    }                                                                                                               \
    VNNI void fc_gemv_##format##_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, \
                                            float *y) {                                                             \
        FC_FOR_STREAMS(format##_rows, FLOAT_ROWS)                                                                   \
    }
FLOAT_KERNEL(f16)
FLOAT_KERNEL(bf16)

#else
typedef int fc_no_x86_here;
#endif
