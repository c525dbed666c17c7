/* Small number helpers that scalar code and vector tails share. */
#ifndef FITCHECK_NUMERIC_H
#define FITCHECK_NUMERIC_H

#include <math.h>
#include <string.h>

#include "fitcheck.h"

/* Before a short loop of constant length over registers: unrolled, its arrays
 * stay in registers; rolled, they would live in memory. */
#if defined(__clang__)
#define FC_UNROLL _Pragma("unroll")
#else
#define FC_UNROLL _Pragma("GCC unroll 16")
#endif

/* A few tokens in parts of at most `most` (up to 4): `call` for each, with n tokens, a constant, from t on. */
#define FC_IN_PARTS(tokens, most, call)                                                                   \
    for (int t = 0; t < (tokens); t += (most))                                                            \
        switch ((tokens) - t < (most) ? (tokens) - t : (most)) {                                          \
            FC_PART(1, most, call) FC_PART(2, most, call) FC_PART(3, most, call) FC_PART(4, most, call)   \
        }
#define FC_PART(count, most, call) \
    case count:                    \
        if ((count) <= (most)) {   \
            enum { n = (count) };  \
            call;                  \
        }                          \
        break;

/* Ask for the line into the second-level cache. The second level has more
 * misses in flight than the first: on Zen 4 a core that asks so reads 33 GB/s,
 * one that leaves it to loads and hardware 22. The distance is a few hundred
 * nanoseconds of reading; half and twice measured no better. */
enum { FC_PREFETCH_AHEAD = 8192 };
#define FC_PREFETCH(at) __builtin_prefetch((const void *)(at), 0, 2)

static inline uint16_t fc_load_u16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t fc_load_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float fc_float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t fc_bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float fc_float_of_bf16(uint16_t b) { return fc_float_of_bits((uint32_t)b << 16); }

static inline float fc_float_of_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
    if (magnitude >= 0x7c00) return fc_float_of_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    if (magnitude >= 0x400) return fc_float_of_bits(sign | ((magnitude << 13) + (112u << 23)));
    float subnormal = (float)magnitude * 0x1p-24f; /* exact */
    return sign ? -subnormal : subnormal;
}

/* All ones where a < b, both below 2^31. */
static inline uint32_t fc_if_below(uint32_t a, uint32_t b) { return (uint32_t)((int32_t)(a - b) >> 31); }

/* Round to nearest, ties to even. Nothing branches, so that loops become vectors. */
static inline uint16_t fc_half_of_float(float f) {
    uint32_t bits = fc_bits_of_float(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    /* A subnormal half: the adder rounds at 2^-24. */
    uint32_t subnormal = fc_bits_of_float(fc_float_of_bits(magnitude) + 0.5f) - fc_bits_of_float(0.5f);
    uint32_t is_small = fc_if_below(magnitude, 0x38800000), is_finite = fc_if_below(magnitude, 0x477ff000);
    uint32_t half = (subnormal & is_small) | (normal & ~is_small & is_finite) | (0x7c00 & ~is_finite);
    return (uint16_t)(sign | half | (0x200 & fc_if_below(0x7f800000, magnitude))); /* NaN stays one */
}

static inline float fc_half_at(const uint8_t *p) { return fc_float_of_half(fc_load_u16(p)); }

/* Add the lanes pairwise, halves first: the order of every ISA. */
static inline float fc_reduce_lanes(float *lane, int lanes) {
    for (int width = lanes / 2; width; width /= 2)
        for (int i = 0; i < width; i++) lane[i] += lane[i + width];
    return lane[0];
}

/* The one multiplication that ends a ternary row. `offset` undoes weight + 1. */
static inline float fc_ternary_result(int32_t digit_dot, const fc_activation *x, float row_scale) {
    return (float)(digit_dot - x->sum) * (row_scale * x->scale[0]);
}

/* trit5 and tq1_0: digit 0..2 at the front of a fraction, and the next fraction. */
static inline int fc_front_digit(uint8_t fraction) { return fraction * 3 >> 8; }
static inline uint8_t fc_next_fraction(uint8_t fraction) { return (uint8_t)(fraction * 3); }
static inline uint8_t fc_fraction_of(int q) { return (uint8_t)((q * 256 + 242) / 243); }

/* tq1_0: the block's bytes are three chunks of sixteen and a tail of four; this is where the activations lie
 * that digit `digit` of chunk `chunk` (3: the tail) of block `block` meets, sixteen or four of them. A set of
 * four blocks meets 64 at a time, a block a quarter; the tails of sixteen blocks make 64 bytes of their own.
 * So vectors are full, a block is 256 activations, and the four 32-bit lanes of a quarter are of one block. */
static inline int64_t fc_tq1_at(int64_t block, int chunk, int digit) {
    int64_t sixteen = block / FC_TQ1_TOGETHER * FC_TQ1_SIXTEEN, b = block % FC_TQ1_TOGETHER;
    if (chunk == 3) return sixteen + FC_TQ1_TAILS + 64 * digit + 4 * b;
    return sixteen + b / FC_TQ1_SET * FC_TQ1_SET_BYTES + 64 * (5 * chunk + digit) + 16 * (b % FC_TQ1_SET);
}

/* trit3: the code (-13 to 13) of step `step` in the group whose bytes of this row start at `lane`. */
static inline int fc_trit3_code(const uint8_t *lane, int step) {
    int size = lane[step / 2 * FC_TRIT3_ROWS] >> (step % 2 * 4) & 15;
    return lane[FC_TRIT3_SIGNS] << step & 0x80 ? -size : size;
}
/* Its weights 0, 1 and 2: 13 more is a number of three plain ternary digits. */
static inline int fc_trit3_weight(int code, int which) {
    static const int power[3] = {9, 3, 1};
    return (code + 13) / power[which] % 3 - 1;
}

/* trit5x64: a byte's weight `which` of five, and the byte of n (-121 to 121). */
static inline int fc_trit5x64_weight(uint8_t byte, int which) {
    static const int power[5] = {81, 27, 9, 3, 1};
    int n = byte & 0x80 ? -(byte & 0x7f) : byte;
    return (n + 121) / power[which] % 3 - 1;
}
static inline uint8_t fc_trit5x64_byte(int n) { return (uint8_t)(n < 0 ? 0x80 | -n : n); }

/* Where the first byte of a row lies whose neighbours, 64 together, have a byte each beside it. */
static inline int64_t fc_lane_of_64(int64_t row, int64_t row_bytes) { return row / 64 * 64 * row_bytes + row % 64; }

/* Bytes in the last, narrower group of a trit5 row; 0 where there is none. */
static inline int64_t fc_trit5_tail(int64_t cols) { return (cols % FC_TRIT5_GROUP + 4) / 5; }

/* Q4_K: eight 6-bit scales (out[0..7]) and minima (out[8..15]) from 12 bytes:
 * the low four of each stand in the low six bits of bytes 0-3 and 4-7; the
 * high four have their low nibbles in bytes 8-11 and their top two bits above
 * the low four. Words in, bytes out: no loop. */
static inline void fc_q4k_scales(const uint8_t *packed, uint8_t out[16]) {
    uint32_t a = fc_load_u32(packed), b = fc_load_u32(packed + 4), c = fc_load_u32(packed + 8);
    uint32_t words[4] = {
        a & 0x3f3f3f3f,
        (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030),
        b & 0x3f3f3f3f,
        (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030),
    };
    memcpy(out, words, sizeof words);
}

#endif
