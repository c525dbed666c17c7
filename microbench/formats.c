/* Formats as integers. */
#include <string.h>

#include "fitcheck.h"

static const fc_format_facts facts[FC_FORMATS] = {
    [FC_trit5] = {"trit5", 1, 0, 1, FC_ONE_SCALE, 1},
    [FC_i2_s] = {"i2_s", 128, 32, 0, FC_ONE_SCALE, 1},
    [FC_tq1_0] = {"tq1_0", 256, FC_TQ1_BYTES, -1, FC_SCALE_PER_256, 1},
    [FC_tq2_0] = {"tq2_0", 256, FC_TQ2_BYTES, -1, FC_SCALE_PER_256, 1},
    [FC_trit3] = {"trit3", 1, 0, 1, FC_ONE_SCALE, FC_TRIT3_ROWS},
    [FC_trit5x64] = {"trit5x64", 1, 0, 1, FC_ONE_SCALE, FC_TRIT5X64_ROWS},
    [FC_tl1] = {"tl1", 64, 16, 0, FC_ONE_SCALE, 64},
    [FC_tl2] = {"tl2", 32, 0, 0, FC_ONE_SCALE, 32},
    [FC_q4_k] = {"q4_k", 256, FC_Q4K_BYTES, -1, FC_SCALE_PER_256, 1},
    [FC_q6_k] = {"q6_k", 256, FC_Q6K_BYTES, -1, FC_SCALE_PER_256, 1},
    [FC_q8_0] = {"q8_0", 32, FC_Q8_BYTES, -1, FC_SCALE_PER_32, 1},
    [FC_f16] = {"f16", 1, 2, -1, FC_FLOATS, 1},
    [FC_bf16] = {"bf16", 1, 2, -1, FC_FLOATS, 1},
};

const fc_format_facts *fc_facts(fc_format format) { return &facts[format]; }

int fc_format_by_name(const char *name) {
    for (int i = 0; i < FC_FORMATS; i++)
        if (strcmp(facts[i].name, name) == 0) return i;
    return -1;
}

int64_t fc_row_bytes(fc_format format, int64_t cols) {
    const fc_format_facts *f = &facts[format];
    if (cols <= 0 || cols % f->block_weights) return -1;
    if (format == FC_trit5 || format == FC_trit5x64) return (cols + 4) / 5;
    if (format == FC_trit3) return (cols + FC_TRIT3_GROUP - 1) / FC_TRIT3_GROUP * (FC_TRIT3_GROUP_BYTES / FC_TRIT3_ROWS);
    if (format == FC_tl2) return cols / FC_TL2_BLOCK * FC_TL2_BLOCK / 24 * 5 + cols % FC_TL2_BLOCK / 4;
    return cols / f->block_weights * f->block_bytes;
}

int64_t fc_matrix_bytes(fc_format format, int64_t rows, int64_t cols) {
    int64_t bytes = fc_row_bytes(format, cols), together = facts[format].together;
    return bytes < 0 ? -1 : (rows + together - 1) / together * together * bytes;
}

int64_t fc_row_step(fc_format format) {
    enum { PLAIN = 8 };
    return facts[format].together > PLAIN ? facts[format].together : PLAIN;
}
