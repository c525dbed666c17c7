/* How the threads of a decode step share out what a phase has to do. */
#ifndef FITCHECK_DECODE_SHARE_H
#define FITCHECK_DECODE_SHARE_H

#include "decoder.h"

/* A thread's part of a phase is cut into pieces. It takes its own, one by one, and then what others have not
 * begun: cores differ, and so does what else they have to do. */
enum {
    PIECES = 4,
    PIECE_BYTES = 1 << 15, /* less is not worth a call */
    PIECE_ROWS = 512       /* where rows lie together: eight sets of them share their tables */
};

/* Borders of pieces in eighths: the first is long, for kernels run best so, the others are what evens out. */
static const int border[PIECES + 1] = {0, 5, 6, 7, 8};

/* Take a piece of those that each thread has `pieces` of; 0: none is left. */
static inline int take(fc_decoder *d, const fc_desk *desk, int pieces, int *owner, int *number) {
    for (int i = 0; i < d->threads; i++) {
        *owner = (desk->thread + i) % d->threads;
        *number = atomic_fetch_add_explicit(&d->counter[*owner].taken[desk->turn], 1, memory_order_relaxed);
        if (*number < pieces) return 1;
    }
    return 0;
}

/* All threads meet. A thread's other counter, which nobody uses since they met last, serves from now on. */
static inline void meet(fc_decoder *d, fc_desk *desk) {
    desk->turn ^= 1;
    atomic_store_explicit(&d->counter[desk->thread].taken[desk->turn], 0, memory_order_relaxed);
    fc_pool_barrier(d->pool, desk->thread);
}

static inline int pieces_of(const fc_decoder *d, const fc_packed *w, int64_t rows) {
    return rows / d->threads * w->matrix.row_bytes >= 8 * PIECE_BYTES ? PIECES : 1;
}

/* Rows of piece `number` of `pieces` in a thread's part of `rows` rows. */
static inline fc_span piece_rows(const fc_decoder *d, const fc_packed *w, int64_t rows, int pieces, int owner, int number) {
    int64_t step = fc_row_step(w->format), unit = step == 8 ? step : PIECE_ROWS;
    fc_span part = fc_split(rows, step, owner, d->threads);
    if (pieces == 1) return part;
    int64_t units = (part.end - part.begin + unit - 1) / unit;
    int64_t begin = part.begin + units * border[number] / 8 * unit, end = part.begin + units * border[number + 1] / 8 * unit;
    return (fc_span){begin < part.end ? begin : part.end, end < part.end ? end : part.end};
}

#endif
