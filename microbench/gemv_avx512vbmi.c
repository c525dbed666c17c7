/* AVX-512 with VBMI: byte permutes look digits up in 256-entry tables. */
#include "fitcheck.h"

#if FC_X86
#include <immintrin.h>

#include "avx512_ternary.h"

#define VBMI __attribute__((target(FC_AVX512_FEATURES ",avx512vbmi")))
#define VBMI_INLINE VBMI __attribute__((always_inline)) static inline

/* Digit k of a byte: bring it to the front (3^k), read it (times 3, the carry). */
#define POWER(k) ((k) == 1 ? 3 : (k) == 2 ? 9 : (k) == 3 ? 27 : 81)
#define DIGIT(b, k) ((((b) * POWER(k)) & 255) * 3 >> 8)
/* Digits 1 to 4 plus one, as two-bit fields. The front digit is not here: two
 * averages read it from the byte itself, which costs less than a second table. */
#define FIELDS(b) (DIGIT(b, 1) + 1) | (DIGIT(b, 2) + 1) << 2 | (DIGIT(b, 3) + 1) << 4 | (DIGIT(b, 4) + 1) << 6
#define FOUR(b) FIELDS(b), FIELDS((b) + 1), FIELDS((b) + 2), FIELDS((b) + 3)
#define SIXTEEN(b) FOUR(b), FOUR((b) + 4), FOUR((b) + 8), FOUR((b) + 12)
#define SIXTY_FOUR(b) SIXTEEN(b), SIXTEEN((b) + 16), SIXTEEN((b) + 32), SIXTEEN((b) + 48)

static const _Alignas(64) uint8_t four_digits[256] = {SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192)};

typedef struct {
    __m512i quarter[4];
} table;

VBMI_INLINE table load_table(const uint8_t bytes[256]) {
    table t;
    FC_UNROLL
    for (int i = 0; i < 4; i++) t.quarter[i] = fc_in_register(_mm512_load_si512(bytes + 64 * i));
    return t;
}

/* One permute serves bytes below 128 and one the rest. Each writes over its own
 * indices only, which saves the blend. */
VBMI_INLINE __m512i look_up(__m512i index, const table *t) {
    __mmask64 high = _mm512_movepi8_mask(index);
    __m512i half = _mm512_mask2_permutex2var_epi8(t->quarter[0], index, _knot_mask64(high), t->quarter[1]);
    return _mm512_mask2_permutex2var_epi8(t->quarter[2], half, high, t->quarter[3]);
}

/* Digits are left where they stand in the byte: times 64, 16, 4 and 1, each with its own sum. A lane
 * gains at most 2 * 4 * 3 * 127 * 64 a group, so 2^31 lasts for rows of three million columns. */
typedef fc_fields digit_sums;

VBMI_INLINE digit_sums no_digits(void) { return fc_no_fields(); }
VBMI_INLINE __m512i digits_total(const digit_sums *s) { return fc_fields_total(s); }

/* One group of n rows, of which `digits` digits count; each strip of activations is loaded once for all. */
VBMI_INLINE void add_group(digit_sums *s, const __m512i *bytes, const int n, const int digits, const table *t,
                           const int8_t *q) {
    __m512i fields[MOST_ROWS], x = fc_in_register(_mm512_load_si512(q));
    FC_UNROLL
    for (int r = 0; r < n; r++) {
        fields[r] = look_up(bytes[r], t);
        fc_add_products(&s[r].field[0], fc_front_digit_64(bytes[r]), x);
    }
    FC_UNROLL
    for (int k = 0; k < digits - 1; k++) {
        x = fc_in_register(_mm512_load_si512(q + 64 + 64 * k));
        FC_UNROLL
        for (int r = 0; r < n; r++) {
            __m512i digit = _mm512_and_si512(fields[r], _mm512_set1_epi8((char)(3 << 2 * k)));
            fc_add_products(&s[r].field[3 - k], digit, x);
        }
    }
}

/* ---- tq1_0 --------------------------------------------------------------------- */

#define TQ1_INLINE VBMI_INLINE

/* One token's. */
VBMI_INLINE void add_digits(digit_sums *s, __m512i *bytes, const int n, const int digits, const int8_t *const *q,
                            const int tokens, int64_t at) {
    const table t = load_table(four_digits); /* once a row: its loads leave the loop */
    (void)tokens;
    add_group(s, bytes, n, digits, &t, q[0] + at);
}

#include "avx512_tq1.h"

VBMI void fc_gemv_tq1_0_avx512vbmi(const fc_matrix *w, const fc_activation *x, int64_t begin, int64_t end, float *y) {
    for (int64_t row = begin; row < end; row++) y[row - begin] = tq1_row(w->data + row * w->row_bytes, x);
}

#else
typedef int fc_no_x86_here;
#endif
