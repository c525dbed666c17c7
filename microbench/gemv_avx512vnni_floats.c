/* F16 and BF16 with AVX-512. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "avx512.h"

#define VNNI __attribute__((target(FC_AVX512_FEATURES)))
#define VNNI_INLINE FC_AVX512_INLINE

/* A vector of floats fills the first-level cache, so several rows share each
 * load of it. Such rows are long: lines are asked for in the order of memory,
 * as in fc_rows, but of the rows after these, so that none is asked for too late;
 * where there are none, of these. */
typedef struct {
    const uint8_t *at, *ahead;
    const float *x;
    int64_t stride;
} float_rows;

VNNI_INLINE float_rows float_rows_at(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t end) {
    const uint8_t *at = w->data + row * w->row_bytes;
    return (float_rows){at, row + 2 * n <= end ? at + n * w->row_bytes : at, x->f, w->row_bytes};
}

VNNI_INLINE void next_floats(float_rows *rows, const int n) {
    FC_UNROLL
    for (int r = 0; r < n; r++, rows->ahead += 64) FC_PREFETCH(rows->ahead);
    rows->at += 64;
    rows->x += FC_FLOAT_LANES;
}

VNNI_INLINE __mmask32 first_lanes(int64_t n) { return ((uint32_t)1 << n) - 1; }

/* Halves are widened eight at a time: on Zen 4 sixteen at once take 1.33
 * cycles, eight from memory take 0.5. */
enum { F16_ROWS = 4 };

typedef struct {
    __m256 quarter[4];
} f16_total;

VNNI_INLINE void f16_step(f16_total *total, const int n, const uint8_t *at, int64_t stride, const float *x) {
    FC_UNROLL
    for (int i = 0; i < 4; i++) {
        __m256 v = _mm256_loadu_ps(x + 8 * i);
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            __m256 w = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(at + r * stride + 16 * i)));
            total[r].quarter[i] = _mm256_fmadd_ps(w, v, total[r].quarter[i]);
        }
    }
}

/* The last 1 to 31 columns: a lane past them keeps what it has. */
VNNI_INLINE void f16_tail(f16_total *total, const int n, int64_t left, const float_rows *rows) {
    __mmask32 some = first_lanes(left);
    uint8_t halves[F16_ROWS][64];
    float x[FC_FLOAT_LANES];
    _mm512_storeu_ps(x, _mm512_maskz_loadu_ps((__mmask16)some, rows->x));
    _mm512_storeu_ps(x + 16, _mm512_maskz_loadu_ps((__mmask16)(some >> 16), rows->x + 16));
    for (int r = 0; r < n; r++)
        _mm512_storeu_si512(halves[r], _mm512_maskz_loadu_epi16(some, rows->at + r * rows->stride));
    f16_step(total, n, halves[0], 64, x);
}

VNNI_INLINE void f16_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t end,
                          float *y) {
    float_rows rows = float_rows_at(w, x, row, n, end);
    f16_total total[F16_ROWS];
    int64_t left = w->cols;
    FC_UNROLL
    for (int r = 0; r < n; r++) memset(&total[r], 0, sizeof total[r]);
    for (; left >= FC_FLOAT_LANES; left -= FC_FLOAT_LANES, next_floats(&rows, n))
        f16_step(total, n, rows.at, rows.stride, rows.x);
    if (left) f16_tail(total, n, left, &rows);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m256 low = _mm256_add_ps(total[r].quarter[0], total[r].quarter[2]);
        __m256 high = _mm256_add_ps(total[r].quarter[1], total[r].quarter[3]);
        __m512d both = _mm512_castpd256_pd512(_mm256_castps_pd(low));
        y[r] = fc_sum_halves(_mm512_castpd_ps(_mm512_insertf64x4(both, _mm256_castps_pd(high), 1)));
    }
}

/* A bf16 is the upper half of a float: of two in a word the upper one needs a
 * mask and the lower one a shift. So even and odd columns are summed apart. */
enum { BF16_ROWS = 8 };

typedef struct {
    __m512 even, odd;
} bf16_total;

VNNI_INLINE void bf16_step(bf16_total *total, const int n, __mmask32 some, const uint8_t *at, int64_t stride,
                           const float *x) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)some, x), high = _mm512_maskz_loadu_ps((__mmask16)(some >> 16), x + 16);
    __m512 even = _mm512_permutex2var_ps(low, evens, high);
    __m512 odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), high);
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        __m512i pairs = fc_in_register(_mm512_maskz_loadu_epi16(some, at + r * stride));
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

VNNI_INLINE void bf16_rows(const fc_matrix *w, const fc_activation *x, int64_t row, const int n, int64_t end,
                          float *y) {
    float_rows rows = float_rows_at(w, x, row, n, end);
    bf16_total total[BF16_ROWS];
    int64_t left = w->cols;
    FC_UNROLL
    for (int r = 0; r < n; r++) total[r] = (bf16_total){_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (; left >= FC_FLOAT_LANES; left -= FC_FLOAT_LANES, next_floats(&rows, n))
        bf16_step(total, n, 0xffffffff, rows.at, rows.stride, rows.x);
    if (left) bf16_step(total, n, first_lanes(left), rows.at, rows.stride, rows.x);
    FC_UNROLL
    for (int r = 0; r < n; r++) y[r] = bf16_sum(&total[r]);
}

#define FLOAT_KERNEL(format, most_rows)                                                                             \
    VNNI void fc_gemv_##format##_avx512vnni(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, \
                                            float *y) {                                                             \
        int64_t row = begin;                                                                                        \
        for (; row + most_rows <= end; row += most_rows) format##_rows(w, x, row, most_rows, end, y + (row - begin)); \
        for (; row < end; row++) format##_rows(w, x, row, 1, end, y + (row - begin));                                 \
    }
FLOAT_KERNEL(f16, F16_ROWS)
FLOAT_KERNEL(bf16, BF16_ROWS)

#else
typedef int fc_no_x86_here;
#endif
