/* Work on single vectors between the products, written once in plain C that compilers turn into vectors of
 * any width.
 *
 * An ISA file defines, then includes this:
 *   VECTORS       its function attributes
 *   VECTORS_OF    the name of the table that comes of it
 *
 * All ISAs agree to the bit: every number is worked out by itself, and sums run in LANES lanes whatever the width. */
#include <string.h>

#include "numeric.h"

enum { LANES = 16 };

/* ---- norms and gates -------------------------------------------------------------- */

VECTORS static float dot(const float *a, const float *b, int64_t n) {
    float sum[LANES] = {0}, total = 0;
    for (int64_t i = 0; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++) sum[lane] += a[i + lane] * b[i + lane];
    for (int64_t i = n / LANES * LANES; i < n; i++) sum[i % LANES] += a[i] * b[i];
    for (int lane = 0; lane < LANES; lane++) total += sum[lane];
    return total;
}

/* RMS norm with a weight of one. */
VECTORS static void norm(const float *restrict x, int64_t n, float *restrict out) {
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + 1e-5f);
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale;
}

VECTORS static void add(float *restrict x, const float *restrict y, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] += y[i];
}

/* x, or the nearest to it of -87 and 87. On bits: gcc makes branches of comparisons of floats. */
VECTORS static inline float within_87(float x) {
    int32_t bits = (int32_t)fc_bits_of_float(x), magnitude = bits & 0x7fffffff, most = 0x42ae0000;
    return fc_float_of_bits((uint32_t)((magnitude < most ? magnitude : most) | (bits & ~0x7fffffff)));
}

/* e^x within 2e-7 of itself, in arithmetic that compilers turn into vectors: the
 * library's costs more than the products of a small layer. x = (n + f) ln 2 with
 * f in [-1/2, 1/2]; 2^n goes into the exponent, 2^f is its Taylor polynomial. */
VECTORS static inline float exponential(float x) {
    x = within_87(x);
    float scaled = x * 1.44269504f, n = scaled + 0x1.8p23f - 0x1.8p23f, f = (scaled - n) * 0.693147181f;
    float power = 1 + f * (1 + f * (0.5f + f * (1.66666667e-1f + f * (4.16666667e-2f + f * (8.33333333e-3f + f * 1.38888889e-3f)))));
    return power * fc_float_of_bits((uint32_t)((int32_t)n + 127) << 23);
}

/* SwiGLU: inner *= gated * sigmoid(gated). */
VECTORS static void gate(float *restrict inner, const float *restrict gated, int64_t n) {
    for (int64_t i = 0; i < n; i++) inner[i] *= gated[i] / (1.0f + exponential(-gated[i]));
}

/* ---- heads ------------------------------------------------------------------------- */

/* Rotate the pairs (i, i + dim/2) of a head by a position's angles, and scale them. */
VECTORS static void rotate(float *restrict head, const float *restrict cosine, const float *restrict sine, int dim,
                           float scale) {
    float *restrict upper = head + dim / 2;
    for (int i = 0; i < dim / 2; i++) {
        float a = head[i] * scale, b = upper[i] * scale;
        head[i] = a * cosine[i] - b * sine[i];
        upper[i] = a * sine[i] + b * cosine[i];
    }
}

VECTORS static void halve(const float *restrict from, int64_t n, uint16_t *restrict to) {
    for (int64_t i = 0; i < n; i++) to[i] = fc_half_of_float(from[i]);
}

/* ---- int8 --------------------------------------------------------------------------- */

/* Bits of floats without a sign are ordered as the floats are, and compilers take the largest integer in vectors. */
VECTORS static float largest(const float *x, int64_t n) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t magnitude = (int32_t)(fc_bits_of_float(x[i]) & 0x7fffffff);
        most = magnitude > most ? magnitude : most;
    }
    return fc_float_of_bits((uint32_t)most);
}

/* The first of the greatest numbers. Bits of negative floats are ordered backwards. */
VECTORS static int64_t greatest(const float *x, int64_t n) {
    int32_t most = INT32_MIN;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits = (int32_t)fc_bits_of_float(x[i]), ordered = bits ^ (bits >> 31 & 0x7fffffff);
        most = ordered > most ? ordered : most;
    }
    float value = fc_float_of_bits((uint32_t)(most ^ (most >> 31 & 0x7fffffff)));
    for (int64_t i = 0; i < n; i++)
        if (x[i] == value) return i;
    return 0;
}

/* Adding 1.5 * 2^23 leaves the nearest integer (ties to even) in the low bits
 * of the sum: a rounding that every compiler turns into vectors. */
VECTORS static inline int8_t nearest(float x) { return (int8_t)(int32_t)(fc_bits_of_float(x + 0x1.8p23f) - 0x4b400000u); }

VECTORS static float quantise(const float *restrict x, int64_t n, int8_t *restrict q) {
    float most = largest(x, n), inverse = most > 0 ? 127.0f / most : 0;
    for (int64_t i = 0; i < n; i++) q[i] = nearest(x[i] * inverse);
    return most / 127.0f;
}

/* sum[i] = q[i * step] + ... + q[i * step + step - 1], for `count` sums. */
VECTORS static inline void sum_each(const int8_t *restrict q, int64_t count, const int64_t step, int32_t *restrict sum) {
    for (int64_t i = 0; i < count; i++, q += step) {
        int32_t total = 0;
        for (int64_t k = 0; k < step; k++) total += q[k];
        sum[i] = total;
    }
}

VECTORS static void sums(const int8_t *q, int64_t count, int64_t step, int32_t *sum) {
    if (step == 16) sum_each(q, count, 16, sum); /* a length that compilers know */
    else sum_each(q, count, step, sum);
}

const fc_vectors VECTORS_OF = {norm, dot, add, gate, rotate, halve, greatest, quantise, sums};
