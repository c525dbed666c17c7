/* Plain reads beside a decode step: the bytes that a piece of the model would
 * make each thread read, by that very thread (where memory has several nodes,
 * it is the one that wrote them), and nothing done with them. */
#include "decode.h"

/* What fc_read takes whole; where a span starts and ends is nobody's concern. */
enum { READ_STEP = 1024, READ_ALIGNMENT = 64 };

typedef struct {
    fc_read *read;
    int thread, threads;
    uint64_t seen;
    int64_t bytes;
} reader;

static void read_span(reader *r, const uint8_t *from, const uint8_t *to) {
    uintptr_t start = ((uintptr_t)from + READ_ALIGNMENT - 1) / READ_ALIGNMENT * READ_ALIGNMENT;
    if ((uintptr_t)to < start + READ_STEP) return;
    int64_t bytes = (int64_t)((uintptr_t)to - start) / READ_STEP * READ_STEP;
    r->seen += r->read((const uint8_t *)start, (size_t)bytes);
    r->bytes += bytes;
}

/* This thread's part of `count` rows from `first` on, as multiply() has it. */
static void read_rows(reader *r, const fc_packed *w, int64_t first, int64_t count) {
    if (!w->matrix.data) return;
    fc_span mine = fc_split(count, fc_row_step(w->format), r->thread, r->threads);
    const uint8_t *base = w->matrix.data + first * w->matrix.row_bytes;
    read_span(r, base + mine.begin * w->matrix.row_bytes, base + mine.end * w->matrix.row_bytes);
}

static void read_matrix(reader *r, const fc_packed *w) { read_rows(r, w, 0, w->matrix.rows); }

/* As many experts as a token meets. */
static void read_ffn(reader *r, const fc_ffn *ffn) {
    for (int64_t expert = 0; expert < ffn->active; expert++) {
        read_rows(r, &ffn->gate, expert * ffn->size, ffn->size);
        read_rows(r, &ffn->up, expert * ffn->size, ffn->size);
        int64_t rows = ffn->down.matrix.rows / ffn->experts;
        read_rows(r, &ffn->down, expert * rows, rows);
    }
}

static void read_layer(reader *r, const fc_layer *layer) {
    const fc_packed *matrices[] = {&layer->q, &layer->k, &layer->v, &layer->o};
    for (int i = 0; i < 4; i++) read_matrix(r, matrices[i]);
    for (int f = 0; f < layer->ffns; f++) read_ffn(r, &layer->ffn[f]);
}

int64_t fc_read_piece(const fc_shape *shape, fc_read *read, int piece, int thread, int threads, uint64_t *seen) {
    reader r = {.read = read, .thread = thread, .threads = threads};
    if (piece < shape->layers) read_layer(&r, &shape->layer[piece]);
    else read_matrix(&r, &shape->output);
    *seen += r.seen;
    return r.bytes;
}
