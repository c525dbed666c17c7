/* bitnet.cpp's TL1 and TL2: where their codes lie. See fitcheck.h for what the codes are.
 *
 * A matrix is one part (tl1) or three, one after the other: tl2's threes, their signs, its
 * twos. A part holds some of the columns of all rows, tile after tile of rows; of a tile,
 * block after block of columns; of a block, strip after strip of rows side by side. */
#ifndef FITCHECK_TL_H
#define FITCHECK_TL_H

#include "numeric.h"

typedef struct {
    int64_t offset;      /* bytes from the start of the matrix */
    int64_t first, cols; /* the columns it holds */
    int64_t block;       /* columns of a tile that lie together */
    int64_t per_byte;    /* weights */
} fc_part;

enum { FC_MOST_PARTS = 3, FC_MOST_TILE = 320 };

typedef struct {
    int64_t tile;  /* rows */
    int64_t lanes; /* rows of a strip: 32 or 64 */
    int parts;
    fc_part part[FC_MOST_PARTS];
} fc_tiles;

enum { FC_TL2_THREES, FC_TL2_SIGNS, FC_TL2_TWOS };

fc_tiles fc_tl_tiles(fc_format format, int64_t rows, int64_t cols);
void fc_tl_pack_row(fc_format format, const int8_t *weights, int64_t rows, int64_t cols, uint8_t *data, int64_t row);
void fc_tl_unpack_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t row, int8_t *weights);

/* Bytes from the start of the matrix to the strip of `row` in the block of the part's column `col`. */
static inline int64_t fc_tl_strip(const fc_tiles *t, const fc_part *p, int64_t row, int64_t col) {
    int64_t tile = row / t->tile * t->tile, strip = row % t->tile / t->lanes * t->lanes, block = col / p->block * p->block;
    return p->offset + (tile * p->cols + t->tile * block + strip * p->block) / p->per_byte;
}

/* ---- tl1: 64 bytes are 16 rows of four columns, four times: other columns first, then other rows ---- */

static inline int64_t fc_tl1_byte(const fc_tiles *t, int64_t lane, int64_t pair) {
    int64_t fours = 64 / t->lanes, four = pair / 2;
    return four / fours * 64 + (lane / 16 * fours + four % fours) * 16 + lane % 16;
}

/* ---- tl2: 32 bytes are 32 rows of two codes, or eight signs --------------------------------------- */

/* Rows 8 to 15 and 16 to 23 change places. */
static inline int64_t fc_tl2_byte(int64_t lane, int64_t code) {
    return code / 2 * 32 + (lane & 7) + (lane & 8) * 2 + (lane & 16) / 2;
}

/* Sixteen words of two rows: of `lane` and `lane` + 16 the sign of step 0, then of step 1, from the top bit down. */
static inline int64_t fc_tl2_sign_byte(int64_t lane, int64_t step) {
    return step / 8 * 32 + lane % 16 * 2 + (step % 8 < 4);
}
static inline int fc_tl2_sign_bit(int64_t lane, int64_t step) { return (int)(7 - step % 4 * 2 - lane / 16); }

/* ---- both: the first of two codes is the high nibble ----------------------------------------------- */

static inline int fc_tl_nibble(uint8_t byte, int64_t which) { return which % 2 ? byte & 15 : byte >> 4; }

/* Weights 0 and 1 of a code of two. */
static inline int fc_tl_weight(int code, int which) { return (which ? code % 3 : code / 3) - 1; }

#endif
