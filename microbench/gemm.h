/* A few tokens at once (speculative decoding, short prompts), for vectors of
 * any width: weights are unpacked once, to bytes in the first-level cache, and
 * meet every token's activations there.
 *
 * An ISA file defines, then includes this:
 *   GEMM_INLINE, GEMM         attributes of its helpers and of its kernels
 *   GEMM_NAME(format)         the symbol of a kernel
 *   GEMM_TOKENS               tokens whose sums, of two rows, stay in registers
 *   gemm_half(at)             an f16 as a float
 *   strip, strip_load(at)     64 bytes
 *   lanes                     FC_LANES sums of 32 bits
 *   lanes_zero(), lanes_load(at), lanes_store(at, a), lanes_add(a, b), lanes_sub(a, b), lanes_mul(a, b)
 *   lanes_dot(sum, w, q)      lane i gains bytes 4i to 4i + 3: w at most 63, q signed
 *   lanes_dot_signed(w, q)    the same of signed w and nothing
 *   ternary_dot(sum, w, q), ternary_sums(sum)   the same for w of 0 to 2: up to STRETCH * STRIPS dots are
 *                             gathered in whatever way is quickest, then become lanes
 *   lanes_of_quarters(part)   of four: lane 4 i + q is the sum over quarter q of part[i]
 *   floats, floats_zero(), floats_store(at, f)   FC_LANES floats
 *   floats_add(f, a, low, high)   f[i] + a[i] * (i < 8 ? low : high), fused
 *   floats_add_each(f, a, scale)  f[i] + a[i] * scale[i], fused
 * Unpacking is plain C: it is shared by the tokens, and compilers make vectors
 * of it under the ISA's own flags.
 *
 * Integers are added in another order than gemv's, floats in the same: results
 * equal the scalar gemv's, token by token, to the bit. */
#include "numeric.h"

enum { STRIP = 64, STRIPS = 5, GEMM_ROWS = 2, STRETCH = 8 };

/* Rows that meet a stretch of the activations while it is in the first-level
 * cache: all tokens' whole vectors don't fit there. */
enum { GROUP = 16 };

/* ---- unpacking: digits and nibbles in the order of the activations ---------- */

GEMM_INLINE void unpack_fractions(const uint8_t *bytes, uint8_t *w) {
    _Alignas(STRIP) uint8_t fraction[STRIP];
    memcpy(fraction, bytes, STRIP);
    for (int k = 0; k < 5; k++)
        for (int p = 0; p < STRIP; p++) {
            /* Below 86: 0, below 171: 1, above: 2; comparisons make narrower vectors than products. */
            w[STRIP * k + p] = (uint8_t)((fraction[p] > 85) + (fraction[p] > 170));
            fraction[p] = fc_next_fraction(fraction[p]);
        }
}

GEMM_INLINE void unpack_fields(const uint8_t *bytes, const int first_shift, const int step, uint8_t *w) {
    for (int k = 0; k < 4; k++)
        for (int p = 0; p < STRIP; p++) w[STRIP * k + p] = bytes[p] >> (first_shift + step * k) & 3;
}

GEMM_INLINE void unpack_nibbles(const uint8_t *bytes, uint8_t *w) {
    for (int p = 0; p < STRIP; p++) {
        w[p] = bytes[p] & 15;
        w[STRIP + p] = bytes[p] >> 4;
    }
}

#include "gemm_ternary.h"
#include "gemm_blocks.h"
#include "gemm_tq1.h"
#include "gemm_q8.h"
