/* Legal random bytes of each format. */
#include "tl.h"

/* splitmix64 */
static uint64_t draw(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint8_t below(uint64_t *state, uint32_t n) { return (uint8_t)((draw(state) >> 32) * n >> 32); }

/* ---- what lies apart ----------------------------------------------------------
 *
 * Rows of most formats are one run of bytes after another; tl2 keeps codes and
 * signs of the whole matrix apart. In each such part so many rows take so many
 * bytes, and any legal byte may stand anywhere. */

typedef struct {
    int64_t offset, row_bytes;
} stretch;

static int stretches_of(fc_format format, int64_t rows, int64_t cols, stretch out[FC_MOST_PARTS]) {
    out[0] = (stretch){0, fc_row_bytes(format, cols)};
    if (format != FC_tl2) return 1;
    fc_tiles t = fc_tl_tiles(format, rows, cols);
    for (int i = 0; i < t.parts; i++) out[i] = (stretch){t.part[i].offset, t.part[i].cols / t.part[i].per_byte};
    return t.parts;
}

/* ---- bytes -------------------------------------------------------------------- */

static uint8_t draw_nibbles(uint64_t *state, uint32_t codes) {
    uint8_t low = below(state, codes);
    return (uint8_t)(low | below(state, codes) << 4);
}

/* Two-bit fields of 0, 1 or 2. */
static uint8_t draw_two_bit(uint64_t *state) {
    uint8_t byte = 0;
    for (int k = 0; k < 4; k++) byte = (uint8_t)(byte << 2 | below(state, 3));
    return byte;
}

enum { PAIRS = 9, THREES = 14, BYTES = 256 };

static uint8_t draw_tl2(int part, uint64_t *state) {
    return part == FC_TL2_SIGNS ? below(state, BYTES) : draw_nibbles(state, part == FC_TL2_TWOS ? PAIRS : THREES);
}

static uint8_t draw_byte(fc_format format, int part, int64_t at, uint64_t *state) {
    switch (format) {
    case FC_trit5: return fc_fraction_of(below(state, 243));
    case FC_trit5x64: return fc_trit5x64_byte(below(state, 243) - 121);
    case FC_tq1_0: return fc_fraction_of(at < FC_TQ1_QH ? below(state, 243) : 3 * below(state, 81));
    case FC_trit3: return at % FC_TRIT3_GROUP_BYTES < FC_TRIT3_SIGNS ? draw_nibbles(state, THREES) : below(state, BYTES);
    case FC_tl1: return draw_nibbles(state, PAIRS);
    case FC_tl2: return draw_tl2(part, state);
    case FC_i2_s:
    case FC_tq2_0: return draw_two_bit(state);
    default: return below(state, BYTES);
    }
}

static void put_half(uint8_t *at, float value) {
    uint16_t half = fc_half_of_float(value);
    memcpy(at, &half, 2);
}

/* Scales that keep a block's weights near one in size. */
static void draw_scales(fc_format format, uint8_t *block, uint64_t *state) {
    float size = 0.5f + (float)below(state, 256) / 256;
    switch (format) {
    case FC_tq1_0: put_half(block + FC_TQ1_D, size); break;
    case FC_tq2_0: put_half(block + FC_TQ2_D, size); break;
    case FC_q8_0: put_half(block, size / 128); break;
    case FC_q6_k: put_half(block + FC_Q6K_D, size / 2048); break;
    case FC_q4_k:
        put_half(block, size / 256);
        put_half(block + 2, size / 32);
        break;
    case FC_f16: put_half(block, (float)((int)below(state, 255) - 127) / 128); break;
    case FC_bf16: {
        uint16_t bf16 = (uint16_t)(fc_bits_of_float((float)((int)below(state, 255) - 127) / 128) >> 16);
        memcpy(block, &bf16, 2);
        break;
    }
    default: break;
    }
}

static void draw_rows(fc_format format, int part, uint8_t *rows, int64_t bytes, uint64_t *state) {
    int64_t block = fc_facts(format)->block_bytes ? fc_facts(format)->block_bytes : bytes;
    for (int64_t i = 0; i < bytes; i++) rows[i] = draw_byte(format, part, i % block, state);
    for (int64_t i = 0; i < bytes; i += block) draw_scales(format, rows + i, state);
}

/* Sets of rows that lie together: the first few are drawn. */
static void fill_sets(fc_format format, int part, uint8_t *first, int64_t set_bytes, int64_t sets, uint64_t *state) {
    enum { DRAWN = 16 };
    int64_t together = fc_facts(format)->together, drawn = (DRAWN + together - 1) / together;
    for (int64_t set = 0; set < sets; set++) {
        if (set < drawn) draw_rows(format, part, first + set * set_bytes, set_bytes, state);
        else memcpy(first + set * set_bytes, first + below(state, (uint32_t)drawn) * set_bytes, (size_t)set_bytes);
    }
}

void fc_fill_rows(fc_format format, uint8_t *data, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                  uint64_t seed) {
    stretch found[FC_MOST_PARTS];
    int n = stretches_of(format, rows, cols, found);
    int64_t together = fc_facts(format)->together, sets = (end - begin + together - 1) / together;
    uint64_t state = seed ^ (uint64_t)begin << 32;
    for (int i = 0; i < n; i++)
        fill_sets(format, i, data + found[i].offset + begin * found[i].row_bytes, together * found[i].row_bytes, sets,
                  &state);
}
