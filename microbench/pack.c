/* Packing and unpacking, one weight at a time: the plain statement of each
 * layout. Kernels are checked against it. */
#include <stdlib.h>
#include <string.h>

#include "tl.h"

/* ---- ternary layouts ------------------------------------------------------
 * All of them put digit k of byte p at a column that is linear in k and p, so a
 * layout is a list of runs: `bytes` bytes whose digit k stands for column
 * first + k * bytes + p. */

typedef struct {
    int64_t byte, bytes, first, digits;
} run;

enum { MAX_RUNS = 3 };

/* The runs of block number `block`; returns how many. */
static int runs_of(fc_format format, int64_t cols, int64_t block, run out[MAX_RUNS]) {
    switch (format) {
    case FC_trit5: {
        int64_t whole = cols / FC_TRIT5_GROUP;
        out[0] = (run){block * 64, block < whole ? 64 : fc_trit5_tail(cols), block * FC_TRIT5_GROUP, 5};
        return 1;
    }
    case FC_i2_s:
        out[0] = (run){block * 32, 32, block * 128, 4};
        return 1;
    case FC_tq1_0:
        out[0] = (run){block * FC_TQ1_BYTES, 32, block * 256, 5};
        out[1] = (run){block * FC_TQ1_BYTES + 32, 16, block * 256 + 160, 5};
        out[2] = (run){block * FC_TQ1_BYTES + FC_TQ1_QH, 4, block * 256 + 240, 4};
        return 3;
    case FC_tq2_0:
        out[0] = (run){block * FC_TQ2_BYTES, 32, block * 256, 4};
        out[1] = (run){block * FC_TQ2_BYTES + 32, 32, block * 256 + 128, 4};
        return 2;
    default:
        return 0;
    }
}

static int64_t blocks_of(fc_format format, int64_t cols) {
    int64_t block = format == FC_trit5 ? FC_TRIT5_GROUP : fc_facts(format)->block_weights;
    return (cols + block - 1) / block;
}

/* Digits are 0, 1, 2. Four digits of tq1_0's last bytes are five with a 0. */
static uint8_t encode(fc_format format, const int digit[5]) {
    switch (format) {
    case FC_i2_s:
        return (uint8_t)(digit[0] << 6 | digit[1] << 4 | digit[2] << 2 | digit[3]);
    case FC_tq2_0:
        return (uint8_t)(digit[0] | digit[1] << 2 | digit[2] << 4 | digit[3] << 6);
    default:
        return fc_fraction_of(81 * digit[0] + 27 * digit[1] + 9 * digit[2] + 3 * digit[3] + digit[4]);
    }
}

static void decode(fc_format format, uint8_t byte, int digit[5]) {
    for (int k = 0; k < 5; k++) {
        if (format == FC_i2_s) digit[k] = byte >> (6 - 2 * (k & 3)) & 3;
        else if (format == FC_tq2_0) digit[k] = byte >> 2 * (k & 3) & 3;
        else {
            digit[k] = fc_front_digit(byte);
            byte = fc_next_fraction(byte);
        }
    }
}

static void set_block_scale(fc_format format, uint8_t *row, int64_t block, float scale) {
    uint16_t half = fc_half_of_float(scale);
    if (format == FC_tq1_0) memcpy(row + block * FC_TQ1_BYTES + FC_TQ1_D, &half, 2);
    if (format == FC_tq2_0) memcpy(row + block * FC_TQ2_BYTES + FC_TQ2_D, &half, 2);
}

static void pack_run(fc_format format, const run *r, const int8_t *weights, int64_t cols, uint8_t *row) {
    for (int64_t p = 0; p < r->bytes; p++) {
        int digit[5] = {0};
        for (int64_t k = 0; k < r->digits; k++) {
            int64_t c = r->first + k * r->bytes + p;
            digit[k] = c < cols ? weights[c] + 1 : 1; /* past the end: a weight of 0 */
        }
        row[r->byte + p] = encode(format, digit);
    }
}

static void unpack_run(fc_format format, const run *r, const uint8_t *row, int64_t cols, int8_t *weights) {
    for (int64_t p = 0; p < r->bytes; p++) {
        int digit[5];
        decode(format, row[r->byte + p], digit);
        for (int64_t k = 0; k < r->digits; k++) {
            int64_t c = r->first + k * r->bytes + p;
            if (c < cols) weights[c] = (int8_t)(digit[k] - 1);
        }
    }
}

static int is_ternary(fc_format format, int64_t cols) {
    return format <= FC_LAST_TERNARY && fc_row_bytes(format, cols) > 0;
}

/* ---- trit3 and trit5x64: rows interleaved ----------------------------------- */

/* `count` weights from column `first` as digits of one number, the first the highest; 0 past the end. */
static int number_of(const int8_t *weights, int64_t cols, int64_t first, int64_t count) {
    int number = 0;
    for (int64_t c = first; c < first + count; c++) number = 3 * number + (c < cols ? weights[c] : 0);
    return number;
}

static void pack_trit3(const int8_t *weights, int64_t cols, uint8_t *lane) {
    for (int64_t first = 0; first < cols; first += FC_TRIT3_GROUP, lane += FC_TRIT3_GROUP_BYTES)
        for (int step = 0; step < FC_TRIT3_STEPS; step++) {
            int code = number_of(weights, cols, first + 3 * step, 3);
            uint8_t *nibbles = lane + step / 2 * FC_TRIT3_ROWS, *signs = lane + FC_TRIT3_SIGNS;
            int shift = step % 2 * 4, sign = 0x80 >> step;
            *nibbles = (uint8_t)((*nibbles & ~(15 << shift)) | abs(code) << shift);
            *signs = (uint8_t)((*signs & ~sign) | (code < 0 ? sign : 0));
        }
}

static void unpack_trit3(const uint8_t *lane, int64_t cols, int8_t *weights) {
    for (int64_t c = 0; c < cols; c++) {
        int64_t group = c / FC_TRIT3_GROUP;
        int code = fc_trit3_code(lane + group * FC_TRIT3_GROUP_BYTES, (int)(c % FC_TRIT3_GROUP / 3));
        weights[c] = (int8_t)fc_trit3_weight(code, (int)(c % 3));
    }
}

static void pack_trit5x64(const int8_t *weights, int64_t cols, uint8_t *lane) {
    for (int64_t first = 0; first < cols; first += 5, lane += FC_TRIT5X64_ROWS)
        *lane = fc_trit5x64_byte(number_of(weights, cols, first, 5));
}

static void unpack_trit5x64(const uint8_t *lane, int64_t cols, int8_t *weights) {
    for (int64_t c = 0; c < cols; c++)
        weights[c] = (int8_t)fc_trit5x64_weight(lane[c / 5 * FC_TRIT5X64_ROWS], (int)(c % 5));
}

static int in_lanes(fc_format format) { return format == FC_trit3 || format == FC_trit5x64; }

/* ---- any ternary layout ------------------------------------------------------- */

int fc_pack_row(fc_format format, const int8_t *weights, int64_t rows, int64_t cols, float scale, uint8_t *data,
                int64_t index) {
    if (!is_ternary(format, cols)) return -1;
    if (format == FC_tl1 || format == FC_tl2) {
        fc_tl_pack_row(format, weights, rows, cols, data, index);
        return 0;
    }
    if (in_lanes(format)) {
        uint8_t *lane = data + fc_lane_of_64(index, fc_row_bytes(format, cols));
        (format == FC_trit3 ? pack_trit3 : pack_trit5x64)(weights, cols, lane);
        return 0;
    }
    uint8_t *row = data + index * fc_row_bytes(format, cols);
    for (int64_t block = 0; block < blocks_of(format, cols); block++) {
        run runs[MAX_RUNS];
        int n = runs_of(format, cols, block, runs);
        for (int i = 0; i < n; i++) pack_run(format, &runs[i], weights, cols, row);
        set_block_scale(format, row, block, scale);
    }
    return 0;
}

int fc_unpack_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t index, int8_t *weights) {
    if (!is_ternary(format, cols)) return -1;
    if (format == FC_tl1 || format == FC_tl2) {
        fc_tl_unpack_row(format, data, rows, cols, index, weights);
        return 0;
    }
    if (in_lanes(format)) {
        const uint8_t *lane = data + fc_lane_of_64(index, fc_row_bytes(format, cols));
        (format == FC_trit3 ? unpack_trit3 : unpack_trit5x64)(lane, cols, weights);
        return 0;
    }
    const uint8_t *row = data + index * fc_row_bytes(format, cols);
    for (int64_t block = 0; block < blocks_of(format, cols); block++) {
        run runs[MAX_RUNS];
        int n = runs_of(format, cols, block, runs);
        for (int i = 0; i < n; i++) unpack_run(format, &runs[i], row, cols, weights);
    }
    return 0;
}

/* ---- every layout to floats -------------------------------------------------- */

static void dequantise_q4_k(const uint8_t *b, float *out) {
    float d = fc_half_at(b), dmin = fc_half_at(b + 2);
    uint8_t scales[16];
    fc_q4k_scales(b + FC_Q4K_SCALES, scales);
    for (int i = 0; i < FC_SUPER; i++) {
        int sub = i / 32, byte = b[FC_Q4K_QS + sub / 2 * 32 + i % 32];
        int nibble = sub % 2 ? byte >> 4 : byte & 15;
        out[i] = d * scales[sub] * (float)nibble - dmin * scales[8 + sub];
    }
}

static void dequantise_q6_k(const uint8_t *b, float *out) {
    float d = fc_half_at(b + FC_Q6K_D);
    for (int i = 0; i < FC_SUPER; i++) {
        int half = i / 128, in = i % 128;
        int low = b[half * 64 + in % 64] >> in / 64 * 4 & 15;
        int high = b[FC_Q6K_QH + half * 32 + in % 32] >> in / 32 * 2 & 3;
        int8_t scale = (int8_t)b[FC_Q6K_SCALES + i / 16];
        out[i] = d * (float)scale * (float)((low | high << 4) - 32);
    }
}

static void dequantise_q8_0(const uint8_t *b, float *out) {
    float d = fc_half_at(b);
    for (int i = 0; i < FC_Q8_BLOCK; i++) out[i] = d * (float)(int8_t)b[2 + i];
}

static void dequantise_ternary(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t index,
                               float *out) {
    int block = fc_facts(format)->block_weights, bytes = fc_facts(format)->block_bytes;
    int8_t *weights = (int8_t *)out + 3 * cols; /* the back of `out`: read before it is overwritten */
    fc_unpack_row(format, data, rows, cols, index, weights);
    const uint8_t *row = data + index * fc_row_bytes(format, cols);
    for (int64_t c = 0; c < cols; c++) {
        float scale = 1;
        if (format == FC_tq1_0) scale = fc_half_at(row + c / block * bytes + FC_TQ1_D);
        if (format == FC_tq2_0) scale = fc_half_at(row + c / block * bytes + FC_TQ2_D);
        out[c] = scale * (float)weights[c];
    }
}

int fc_dequantise_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t index, float *out) {
    if (fc_row_bytes(format, cols) < 0) return -1;
    const uint8_t *row = data + index * fc_row_bytes(format, cols);
    int block = fc_facts(format)->block_weights, bytes = fc_facts(format)->block_bytes;
    if (format <= FC_LAST_TERNARY) {
        dequantise_ternary(format, data, rows, cols, index, out);
        return 0;
    }
    for (int64_t c = 0; c < cols; c += block, row += bytes) {
        if (format == FC_q4_k) dequantise_q4_k(row, out + c);
        if (format == FC_q6_k) dequantise_q6_k(row, out + c);
        if (format == FC_q8_0) dequantise_q8_0(row, out + c);
        if (format == FC_f16) out[c] = fc_half_at(row);
        if (format == FC_bf16) out[c] = fc_float_of_bf16(fc_load_u16(row));
    }
    return 0;
}
