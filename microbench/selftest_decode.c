/* A decode step gives the same on any number of threads, to the bit: whoever takes a piece of a product,
 * its sums are the same. Shapes are the smallest that take every way through the step. */
#include "platform.h"

#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "selftest.h"

enum { HIDDEN = 512, HEADS = 8, KV_HEADS = 4, DIM = HIDDEN / HEADS, CELLS = 16, VOCAB = 640, LAYERS = 2, STEPS = 3, MOST_THREADS = 4 };

typedef struct {
    int64_t size; /* of an expert's inner vector */
    int experts, active;
} inner;

static float scales[1 << 16];

static fc_packed packed(fc_format format, int64_t rows, int64_t cols, uint64_t seed) {
    fc_packed w = {{malloc((size_t)fc_matrix_bytes(format, rows, cols)), scales, rows, cols, fc_row_bytes(format, cols)}, format};
    fc_fill_rows(format, (uint8_t *)w.matrix.data, rows, cols, 0, rows, seed);
    return w;
}

static void drop(const fc_packed *w) { free((uint8_t *)w->matrix.data); }

static uint16_t *cache(void) { return calloc((size_t)KV_HEADS * CELLS * DIM, sizeof(uint16_t)); }

static fc_layer layer_of(fc_format format, inner of, const float *router, uint64_t seed) {
    fc_layer layer = {
        .q = packed(format, HEADS * DIM, HIDDEN, seed), .k = packed(format, KV_HEADS * DIM, HIDDEN, seed + 1),
        .v = packed(format, KV_HEADS * DIM, HIDDEN, seed + 2), .o = packed(format, HIDDEN, HEADS * DIM, seed + 3),
        .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = DIM, .k_cache = cache(), .v_cache = cache(), .ffns = 1,
    };
    layer.ffn[0] = (fc_ffn){
        .gate = packed(format, of.experts * of.size, HIDDEN, seed + 4), .up = packed(format, of.experts * of.size, HIDDEN, seed + 5),
        .down = packed(format, of.experts * HIDDEN, of.size, seed + 6), .size = of.size, .experts = of.experts,
        .active = of.active, .router = of.experts > 1 ? router : NULL,
    };
    return layer;
}

static void drop_layer(const fc_layer *layer) {
    const fc_ffn *ffn = &layer->ffn[0];
    const fc_packed *all[] = {&layer->q, &layer->k, &layer->v, &layer->o, &ffn->gate, &ffn->up, &ffn->down};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) drop(all[i]);
    free(layer->k_cache);
    free(layer->v_cache);
}

/* The scores after some steps, the last with plain reads between the pieces; 0: there was no decoder. */
static int decode(const fc_shape *shape, int threads, float *logits) {
    fc_pool *pool = fc_pool_new(threads);
    fc_decoder *decoder = fc_decoder_new(pool, shape, NULL);
    for (int step = 0; decoder && step < STEPS; step++) fc_decoder_step(decoder, step, step == STEPS - 1);
    if (decoder) memcpy(logits, fc_decoder_logits(decoder), VOCAB * sizeof *logits);
    fc_decoder_free(decoder);
    fc_pool_free(pool);
    return decoder != NULL;
}

static void check_shape(fc_format format, inner of) {
    static float router[8 * HIDDEN], one[VOCAB], some[VOCAB];
    fc_layer layers[LAYERS];
    for (int i = 0; i < LAYERS; i++) layers[i] = layer_of(format, of, router, 16u * (unsigned)i + 1);
    fc_shape shape = {HIDDEN, CELLS, LAYERS, layers, packed(format, VOCAB, HIDDEN, 7), packed(format, VOCAB, HIDDEN, 8)};
    int there = decode(&shape, 1, one);
    for (int threads = 2; threads <= MOST_THREADS; threads++) {
        int ok = there && decode(&shape, threads, some) && !memcmp(one, some, sizeof one);
        expect(ok, "decode", "threads alike", fc_facts(format)->name, threads, (long)of.size);
    }
    for (int i = 0; i < LAYERS; i++) drop_layer(&layers[i]);
    drop(&shape.embedding);
    drop(&shape.output);
}

void check_decoder(void) {
    static const fc_format formats[] = {FC_trit5x64, FC_trit5, FC_i2_s, FC_q4_k, FC_f16};
    /* Pieces of long parts, tables that all threads make together, experts. */
    static const inner inners[] = {{8192, 1, 1}, {16640, 1, 1}, {512, 8, 3}};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) scales[i] = 0.01f;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (size_t i = 0; i < sizeof inners / sizeof *inners; i++) check_shape(formats[f], inners[i]);
}
