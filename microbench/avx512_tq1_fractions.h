/* avx512_tq1.h with digits read by arithmetic. */
#include "avx512_ternary.h"

#define TQ1_INLINE FC_AVX512_INLINE
typedef __m512i digit_sums;

TQ1_INLINE digit_sums no_digits(void) { return _mm512_setzero_si512(); }
TQ1_INLINE __m512i digits_total(const digit_sums *s) { return fc_fractions_total(s); }
TQ1_INLINE void add_digits(digit_sums *s, __m512i *bytes, const int n, const int digits, const int8_t *const *q,
                           const int tokens, int64_t at) {
    fc_add_fractions(s, bytes, n, digits, q, tokens, at);
}

#include "avx512_tq1.h"
