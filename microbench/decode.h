/* One decode step of a transformer in its real shape, over packed weights.
 *
 * The shape is a table that the caller fills; every layer has weights and a
 * cache of its own, so that a step reads from memory what an engine would
 * read. What it computes is a forward pass of random weights: the time is
 * real, the tokens are not.
 */
#ifndef FITCHECK_DECODE_H
#define FITCHECK_DECODE_H

#include "fitcheck.h"

/* A packed matrix and how it is packed; matrix.data is NULL where there is none. */
typedef struct {
    fc_matrix matrix;
    fc_format format;
} fc_packed;

enum { FC_MOST_FFNS = 2, FC_MOST_ACTIVE = 64 };

/* A feed-forward block, or experts stacked row-wise in its matrices. */
typedef struct {
    fc_packed gate, up, down; /* down holds experts x hidden rows of `size` columns */
    int64_t size;             /* inner size of one expert */
    int experts, active;      /* 1 and 1: dense */
    const float *router;      /* experts x hidden, NULL: dense */
} fc_ffn;

typedef struct {
    fc_packed q, k, v, o;
    int heads, kv_heads, head_dim;
    int64_t window;               /* cells that attention looks back; 0: all */
    uint16_t *k_cache, *v_cache;  /* kv_heads x cells x head_dim, f16 */
    int ffns;
    fc_ffn ffn[FC_MOST_FFNS];
} fc_layer;

typedef struct {
    int64_t hidden, cells;
    int layers;
    fc_layer *layer;
    fc_packed embedding, output;
} fc_shape;

typedef struct fc_decoder fc_decoder;

/* Keeps pointers to the pool and into the shape. NULL: no memory, or a format
 * or the attention has no kernel under the cap (see fc_best_gemv). */
fc_decoder *fc_decoder_new(fc_pool *pool, const fc_shape *shape, const char *cap);
void fc_decoder_free(fc_decoder *decoder);
/* Where a step's time went. A piece is a layer, or what follows the last one:
 * final norm, output matrix and choice of the token. */
typedef struct {
    double layers, output; /* seconds of the pieces */
    double reading;        /* seconds of the plain reads between them, 0 without */
    int64_t bytes_read;    /* by those */
} fc_step;

/* Decode one token at position `depth` < cells. With `between`, each piece is
 * followed by a plain read of another one, half of the model away, whose bytes
 * no cache still holds: product and read then stand within milliseconds of
 * each other, and what the machine does meanwhile falls on both. */
fc_step fc_decoder_step(fc_decoder *decoder, int64_t depth, int between);

/* Scores of the vocabulary after the last step, output.matrix.rows of them. */
const float *fc_decoder_logits(const fc_decoder *decoder);

/* Read what `thread` multiplies by in a piece; returns its bytes. `seen` gains
 * a value that depends on all of them. */
int64_t fc_read_piece(const fc_shape *shape, fc_read *read, int piece, int thread, int threads, uint64_t *seen);

#endif
