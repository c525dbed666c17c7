/* The decoder's insides: what all threads share, and each thread's desk. */
#ifndef FITCHECK_DECODER_H
#define FITCHECK_DECODER_H

#include <stdatomic.h>

#include "decode.h"

/* What a thread works on alone. Every thread norms and quantises a whole vector for itself: that takes a
 * microsecond or two, less than to wait for another to do it and to fetch the result from its cache. */
typedef struct {
    int thread;
    int turn;                            /* which of its counters is in use: see take() */
    float *normed, *gated;
    float *scratch;                      /* attention's */
    fc_activation *act[FC_FORMATS];      /* of the vector at hand, for each format that reads it */
    fc_activation *slot[FC_MOST_ACTIVE]; /* of each active expert's inner vector */
    int chosen[FC_MOST_ACTIVE];
    int64_t best;                        /* of the rows of scores it worked out; -1: none */
    uint64_t random;                     /* the same at every desk */
} fc_desk;

/* Pieces of a thread's part that are taken, in this phase or the next. */
typedef struct {
    _Alignas(128) atomic_int taken[2];
} fc_counter;

struct fc_decoder {
    fc_pool *pool;
    const fc_shape *shape;
    const fc_kernels *kernels[FC_FORMATS];
    const fc_vectors *vectors;
    fc_attend *attend;
    fc_read *read;
    int threads;
    fc_desk *desk;
    fc_counter *counter; /* a thread's each */
    int64_t widest;      /* of any vector, */
    int64_t longest;     /* and of any row */
    int64_t inner_floats;
    size_t scratch_floats;
    int most_active;
    int inner_tables_shared; /* one of all threads for each slot */
    float *x, *q, *k, *v, *mixed, *y, *logits, *scores;
    float *inner;          /* a slot of the widest inner size for each active expert */
    float *cosine, *sine;  /* rotary embedding at this position */
    uint64_t random;
    int64_t depth;
    int between;           /* plain reads between the pieces */
    fc_step taken;
    atomic_llong bytes_read;
    volatile uint64_t sink; /* so that no compiler drops them */
};

static inline int fc_present(const fc_packed *w) { return w->matrix.data != NULL; }

#endif
