/* The packed formats: what lies where in their bytes, and their facts as integers.
 *
 * trit5 is fitcheck's own: five ternary digits in a byte, ceil(cols / 5) bytes
 * a row, one float scale a row. Digits are weight + 1, so 0, 1 or 2.
 *
 *   byte code   Digits a b c d e stand in one byte as the fraction
 *               q / 243 with q = 81a + 27b + 9c + 3d + e, rounded up to the
 *               next 1/256: code = ceil(256 q / 243). Times 3 modulo 256
 *               brings the next digit to the front, where two comparisons (or
 *               two averages) read it; that needs only byte arithmetic. A
 *               machine with byte permutes looks the digits up instead.
 *   order       64 bytes are a group of 320 columns: byte p holds columns
 *               p, p+64, p+128, p+192, p+256, first digit first. So digit k of
 *               a vector of bytes meets 64 consecutive activations. The last
 *               group of t bytes has stride t in place of 64.
 *
 * trit5x64 is trit5 for machines whose byte look-ups see 128 entries: the same bytes a row,
 * of 64 rows together, rows padded to whole sets; one float scale a row.
 *
 *   byte code   Weights a b c d e make n = 81a + 27b + 9c + 3d + e, -121 to 121: seven
 *               bits of |n|, and its sign in bit 7.
 *   order       Byte r (0 to 63) of each 64 belongs to row r. The first 64 are columns
 *               0-4, then come 5-9, ...; then the next 64 rows.
 *
 * trit3 is fitcheck's own too, for machines whose byte look-ups see 16 entries:
 * three digits in five bits, 24 columns of 64 rows in 320 bytes, rows padded to
 * whole groups of columns and of rows; one float scale a row.
 *
 *   code        Weights a b c make n = 9a + 3b + c, -13 to 13: four bits of
 *               |n|, one of its sign.
 *   order       Byte r (0 to 63) of each 64 belongs to row r. Steps 0 to 7 are
 *               columns 0-2, 3-5, ...: |n| of steps 2j and 2j + 1 lies in the
 *               low and high nibble of byte 64 j + r, the sign of step k in
 *               bit 7 - k of byte 256 + r. Groups follow one another along the
 *               rows; then come the next 64 rows.
 *
 * i2_s is bitnet.cpp's x86 layout: 128 columns in 32 bytes, byte p holding
 * columns p, p+32, p+64, p+96 at bits 6, 4, 2, 0; one scale for the matrix.
 *
 * tl1 and tl2 are bitnet.cpp's for kernels that look sums up; one scale for the
 * matrix. What lies where is in tl.h. A file goes on with zeros, to what 256
 * columns of tl2's twos would take: no kernel reads them, and they don't count here.
 *
 *   tl1         Weights a b make the nibble 3a + b + 4.
 *   tl2         Weights a b c make n = 9a + 3b + c: a nibble |n|, and apart from it a
 *               bit of sign. Columns past the last whole block of 96 lie as tl1's
 *               nibbles (a block is 192 in one published shape).
 *   rows        lie side by side in tiles, whose height bitnet.cpp chooses by the
 *               matrix's shape and no file tells. Rows are padded to whole strips,
 *               where bitnet.cpp refuses them.
 *
 * The others are ggml's, block by block.
 */
#ifndef FITCHECK_FORMATS_H
#define FITCHECK_FORMATS_H

#include <stdint.h>

typedef enum {
    FC_trit5,
    FC_i2_s,
    FC_tq1_0,
    FC_tq2_0,
    FC_trit3,
    FC_trit5x64,
    FC_tl1,
    FC_tl2,
    FC_LAST_TERNARY = FC_tl2,
    FC_q4_k,
    FC_q6_k,
    FC_q8_0,
    FC_f16,
    FC_bf16,
    FC_FORMATS
} fc_format;

/* What a format wants of the vector it is multiplied by. */
typedef enum {
    FC_ONE_SCALE,      /* int8, one scale for the whole vector (BitNet's way) */
    FC_SCALE_PER_256,  /* int8, a scale for each super-block */
    FC_SCALE_PER_32,
    FC_FLOATS
} fc_activation_kind;

typedef struct {
    const char *name;
    int block_weights;      /* cols must be a multiple of it */
    int block_bytes;        /* 0: trit5 and trit3, whose rows end in a partly used byte or group, and tl2 */
    int scales;             /* floats beside the data: a row's (1), the matrix's (0), none (-1) */
    fc_activation_kind activation;
    int together;           /* rows that lie interleaved: 1, 64 of trit3 and trit5x64, or strips of tl1 and tl2 */
} fc_format_facts;

const fc_format_facts *fc_facts(fc_format format);
int fc_format_by_name(const char *name);              /* -1: unknown */
int64_t fc_row_bytes(fc_format format, int64_t cols); /* -1: cols does not suit the format */
/* The whole matrix: rows that lie interleaved are padded to whole sets. */
int64_t fc_matrix_bytes(fc_format format, int64_t rows, int64_t cols);

/* Byte offsets inside ggml's blocks. */
enum {
    FC_SUPER = 256, /* columns in a super-block */
    FC_LANES = 16,  /* float accumulators a row, */
    FC_FLOAT_LANES = 32, /* and of formats that are floats: nothing else hides the adder's latency */
    FC_TQ1_QH = 48, FC_TQ1_D = 52, FC_TQ1_BYTES = 54,
    FC_TQ1_TOGETHER = 16, FC_TQ1_SET = 4, /* blocks: see fc_tq1_at in numeric.h */
    FC_TQ1_SET_BYTES = 3 * 5 * 64, FC_TQ1_TAILS = FC_TQ1_TOGETHER / FC_TQ1_SET * FC_TQ1_SET_BYTES,
    FC_TQ1_SIXTEEN = FC_TQ1_TAILS + 4 * 64, /* activations that sixteen blocks meet, one for each weight */
    FC_TQ2_D = 64, FC_TQ2_BYTES = 66,
    FC_Q4K_SCALES = 4, FC_Q4K_QS = 16, FC_Q4K_BYTES = 144,
    FC_Q6K_QH = 128, FC_Q6K_SCALES = 192, FC_Q6K_D = 208, FC_Q6K_BYTES = 210,
    FC_Q8_BLOCK = 32, FC_Q8_BYTES = 34,
    FC_TRIT5_GROUP = 320, FC_TRIT5_GROUP_BYTES = 64,
    FC_TRIT5X64_ROWS = 64, FC_SUMS_BYTES = 256, /* of five activations: see fc_sums */
    FC_TRIT3_ROWS = 64, FC_TRIT3_GROUP = 24, FC_TRIT3_STEPS = 8,
    FC_TRIT3_SIGNS = 4 * FC_TRIT3_ROWS, FC_TRIT3_GROUP_BYTES = 5 * FC_TRIT3_ROWS,
    FC_TL2_BLOCK = 96
};

#endif
