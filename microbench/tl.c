/* TL1 and TL2, one weight at a time: how a matrix is cut, packing, unpacking. */
#include "tl.h"

#include <stdlib.h>

/* ---- tiles -------------------------------------------------------------------------------- */

enum { USUAL_TILE = 256, LANES = 32, TL1_BLOCK = 64, TL2_BLOCK = FC_TL2_BLOCK, TWOS_BLOCK = 32 };

typedef struct {
    fc_format format;
    int64_t rows, cols, tile, block, lanes;
} published;

/* BM, BK and bm that bitnet.cpp generates its kernels with (microsoft/BitNet@16da220a, setup_env.py):
 * nothing in a file says them. bitnet_b1_58-large, bitnet_b1_58-3B (BitNet-b1.58-2B-4T is told to use
 * the same), Llama3-8B-1.58 and Falcon3. */
static const published known[] = {
    {FC_tl1, 1536, 4096, 256, 128, 32},  {FC_tl1, 1536, 1536, 128, 64, 64},   {FC_tl1, 4096, 1536, 256, 128, 32},
    {FC_tl1, 3200, 8640, 160, 64, 32},   {FC_tl1, 3200, 3200, 320, 128, 64},  {FC_tl1, 8640, 3200, 320, 64, 32},
    {FC_tl1, 14336, 4096, 256, 128, 32}, {FC_tl1, 4096, 14336, 128, 64, 64},  {FC_tl1, 1024, 4096, 256, 128, 32},
    {FC_tl1, 4096, 4096, 128, 64, 64},   {FC_tl2, 1536, 4096, 256, 96, 32},   {FC_tl2, 1536, 1536, 128, 192, 32},
    {FC_tl2, 4096, 1536, 256, 96, 32},   {FC_tl2, 3200, 8640, 160, 96, 32},   {FC_tl2, 3200, 3200, 320, 96, 32},
    {FC_tl2, 8640, 3200, 320, 96, 32},   {FC_tl2, 14336, 4096, 256, 96, 32},  {FC_tl2, 4096, 14336, 128, 96, 32},
    {FC_tl2, 1024, 4096, 256, 96, 32},   {FC_tl2, 4096, 4096, 128, 96, 32},
};

/* Other shapes: the narrowest usual block, and the tallest tile of at most 256 rows that divides them,
 * as bitnet.cpp would ask. */
static published cut(fc_format format, int64_t rows, int64_t cols) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].format == format && known[i].rows == rows && known[i].cols == cols) return known[i];
    int64_t step = fc_facts(format)->together, padded = (rows + step - 1) / step * step, tile = USUAL_TILE;
    while (padded % tile) tile -= step;
    return (published){format, padded, cols, tile, format == FC_tl1 ? TL1_BLOCK : TL2_BLOCK, LANES};
}

fc_tiles fc_tl_tiles(fc_format format, int64_t rows, int64_t cols) {
    published p = cut(format, rows, cols);
    if (format == FC_tl1) return (fc_tiles){p.tile, p.lanes, 1, {{0, 0, cols, p.block, 4}}};
    int64_t threes = cols / p.block * p.block, signs = p.rows * threes / 6, twos = signs + p.rows * threes / 24;
    return (fc_tiles){p.tile,
                      p.lanes,
                      FC_MOST_PARTS,
                      {{0, 0, threes, p.block, 6},
                       {signs, 0, threes, p.block, 24},
                       {twos, threes, cols - threes, TWOS_BLOCK, 4}}};
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* A row of a matrix, to find its bytes. */
typedef struct {
    fc_tiles tiles;
    int64_t row, lane;
} place;

static place place_of(fc_format format, int64_t rows, int64_t cols, int64_t row) {
    fc_tiles tiles = fc_tl_tiles(format, rows, cols);
    return (place){tiles, row, row % tiles.tile % tiles.lanes};
}

static int64_t strip_of(const place *at, int part, int64_t col) {
    return fc_tl_strip(&at->tiles, &at->tiles.part[part], at->row, col);
}

/* Where the pair, or the three, that starts at a column of its part lies; which of its block it is. */
static int64_t pair_at(const place *at, int part, int64_t col) {
    int64_t pair = col % at->tiles.part[part].block / 2;
    return strip_of(at, part, col)
         + (part == FC_TL2_TWOS ? fc_tl2_byte(at->lane, pair) : fc_tl1_byte(&at->tiles, at->lane, pair));
}

static int64_t step_of(const place *at, int64_t col) { return col % at->tiles.part[FC_TL2_THREES].block / 3; }
static int64_t three_at(const place *at, int64_t col) {
    return strip_of(at, FC_TL2_THREES, col) + fc_tl2_byte(at->lane, step_of(at, col));
}
static int64_t sign_at(const place *at, int64_t col) {
    return strip_of(at, FC_TL2_SIGNS, col) + fc_tl2_sign_byte(at->lane, step_of(at, col));
}

/* The first of two codes is the high nibble. */
static void set_nibble(uint8_t *byte, int64_t which, int code) {
    int shift = which % 2 ? 0 : 4;
    *byte = (uint8_t)((*byte & ~(15 << shift)) | code << shift);
}

static void pack_twos(const place *at, int part, const int8_t *weights, uint8_t *data) {
    for (int64_t c = 0; c < at->tiles.part[part].cols; c += 2)
        set_nibble(data + pair_at(at, part, c), c / 2, 3 * weights[c] + weights[c + 1] + 4);
}

static void unpack_twos(const place *at, int part, const uint8_t *data, int8_t *weights) {
    for (int64_t c = 0; c < at->tiles.part[part].cols; c++)
        weights[c] = (int8_t)fc_tl_weight(fc_tl_nibble(data[pair_at(at, part, c)], c / 2), (int)(c % 2));
}

static void pack_threes(const place *at, const int8_t *weights, uint8_t *data) {
    for (int64_t c = 0; c < at->tiles.part[FC_TL2_THREES].cols; c += 3) {
        int code = 9 * weights[c] + 3 * weights[c + 1] + weights[c + 2];
        int sign = 1 << fc_tl2_sign_bit(at->lane, step_of(at, c));
        uint8_t *signs = data + sign_at(at, c);
        set_nibble(data + three_at(at, c), step_of(at, c), abs(code));
        *signs = (uint8_t)((*signs & ~sign) | (code < 0 ? sign : 0));
    }
}

static void unpack_threes(const place *at, const uint8_t *data, int8_t *weights) {
    for (int64_t c = 0; c < at->tiles.part[FC_TL2_THREES].cols; c++) {
        int64_t step = step_of(at, c);
        int size = fc_tl_nibble(data[three_at(at, c)], step);
        int negative = data[sign_at(at, c)] >> fc_tl2_sign_bit(at->lane, step) & 1;
        weights[c] = (int8_t)fc_trit3_weight(negative ? -size : size, (int)(c % 3));
    }
}

void fc_tl_pack_row(fc_format format, const int8_t *weights, int64_t rows, int64_t cols, uint8_t *data, int64_t row) {
    place at = place_of(format, rows, cols, row);
    if (format == FC_tl2) pack_threes(&at, weights, data);
    int twos = at.tiles.parts - 1;
    pack_twos(&at, twos, weights + at.tiles.part[twos].first, data);
}

void fc_tl_unpack_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t row, int8_t *weights) {
    place at = place_of(format, rows, cols, row);
    if (format == FC_tl2) unpack_threes(&at, data, weights);
    int twos = at.tiles.parts - 1;
    unpack_twos(&at, twos, data, weights + at.tiles.part[twos].first);
}
