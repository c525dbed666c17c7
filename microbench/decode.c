/* The decode step: every thread runs the same list of phases, with a barrier
 * where one needs what the others made. */
#include "platform.h"

#include <math.h>

#include "decode_share.h"
#include "numeric.h"

/* ---- products ------------------------------------------------------------------ */

/* Whether reader i is there and the first of its format. */
static int leads(const fc_packed *const *readers, int i) {
    if (!fc_present(readers[i])) return 0;
    for (int j = 0; j < i; j++)
        if (fc_present(readers[j]) && readers[j]->format == readers[i]->format) return 0;
    return 1;
}

/* Lay x out as kernels of a format read it, and make what they look up. */
static void lay(const fc_decoder *d, fc_activation *a, fc_format format, const float *x, int64_t cols) {
    fc_activation_lay(d->vectors, a, format, x, cols);
    fc_make_sums(d->kernels[format], format, a, 0, 1);
}

/* The same of the inner vectors, whose tables all threads make together where they are long. */
static void lay_inner(const fc_decoder *d, const fc_desk *desk, const fc_ffn *ffn) {
    fc_format format = ffn->down.format;
    int shared = d->inner_tables_shared && d->kernels[format]->sums[format];
    for (int i = 0; i < ffn->active; i++) {
        fc_activation_lay(d->vectors, desk->slot[i], format, d->inner + i * d->inner_floats, ffn->size);
        fc_make_sums(d->kernels[format], format, desk->slot[i], shared ? desk->thread : 0, shared ? d->threads : 1);
    }
    if (shared) fc_pool_barrier(d->pool, desk->thread);
}

/* Once for every format among the readers. */
static void lay_all(const fc_decoder *d, fc_desk *desk, const float *x, const fc_packed *const *readers, int count) {
    for (int i = 0; i < count; i++)
        if (leads(readers, i)) lay(d, desk->act[readers[i]->format], readers[i]->format, x, readers[i]->matrix.cols);
}

static void lay_normed(const fc_decoder *d, fc_desk *desk, const fc_packed *const *readers, int count) {
    d->vectors->norm(d->x, d->shape->hidden, desk->normed);
    lay_all(d, desk, desk->normed, readers, count);
}

/* y[row] of those rows, counted from row `first` of the matrix. */
static void multiply(const fc_decoder *d, const fc_packed *w, const fc_activation *x, int64_t first, fc_span rows, float *y) {
    if (rows.begin < rows.end)
        d->kernels[w->format]->gemv[w->format](&w->matrix, x, first + rows.begin, first + rows.end, y + rows.begin);
}

/* A piece of a whole matrix; returns its rows. */
static fc_span multiply_piece(const fc_decoder *d, const fc_desk *desk, const fc_packed *w, int pieces, int owner,
                              int number, float *y) {
    fc_span rows = piece_rows(d, w, w->matrix.rows, pieces, owner, number);
    multiply(d, w, desk->act[w->format], 0, rows, y);
    return rows;
}

/* ---- attention ------------------------------------------------------------------- */

/* One KV head and the query heads that share it. */
static void attend_head(const fc_decoder *d, const fc_desk *desk, const fc_layer *layer, int64_t head) {
    int dim = layer->head_dim, group = layer->heads / layer->kv_heads;
    int64_t base = head * d->shape->cells * dim;
    uint16_t *keys = layer->k_cache + base, *values = layer->v_cache + base;
    float *q = d->q + head * group * dim, *k = d->k + head * dim, scale = 1.0f / sqrtf((float)dim);
    d->vectors->rotate(k, d->cosine, d->sine, dim, 1);
    d->vectors->halve(k, dim, keys + d->depth * dim);
    d->vectors->halve(d->v + head * dim, dim, values + d->depth * dim);
    for (int i = 0; i < group; i++) d->vectors->rotate(q + i * dim, d->cosine, d->sine, dim, scale);
    int64_t cells = d->depth + 1, from = layer->window && cells > layer->window ? cells - layer->window : 0;
    d->attend(q, group, keys + from * dim, values + from * dim, cells - from, dim, d->mixed + head * group * dim,
              desk->scratch);
}

/* Queries, keys and values. */
static void project(fc_decoder *d, fc_desk *desk, const fc_layer *layer) {
    const fc_packed *readers[] = {&layer->q, &layer->k, &layer->v};
    int owner, number, pieces = pieces_of(d, &layer->q, layer->q.matrix.rows);
    lay_normed(d, desk, readers, 3);
    while (take(d, desk, pieces, &owner, &number)) {
        multiply_piece(d, desk, &layer->q, pieces, owner, number, d->q);
        multiply_piece(d, desk, &layer->k, pieces, owner, number, d->k);
        multiply_piece(d, desk, &layer->v, pieces, owner, number, d->v);
    }
    meet(d, desk);
}

static void attend(fc_decoder *d, fc_desk *desk, const fc_layer *layer) {
    int owner, number, most = (layer->kv_heads + d->threads - 1) / d->threads;
    while (take(d, desk, most, &owner, &number)) {
        fc_span heads = fc_split(layer->kv_heads, 1, owner, d->threads);
        if (heads.begin + number < heads.end) attend_head(d, desk, layer, heads.begin + number);
    }
    meet(d, desk);
}

/* The output matrix of attention, added to x. */
static void join(fc_decoder *d, fc_desk *desk, const fc_layer *layer) {
    const fc_packed *o = &layer->o;
    int owner, number, pieces = pieces_of(d, o, o->matrix.rows);
    lay_all(d, desk, d->mixed, &o, 1);
    while (take(d, desk, pieces, &owner, &number)) {
        fc_span rows = multiply_piece(d, desk, o, pieces, owner, number, d->y);
        d->vectors->add(d->x + rows.begin, d->y + rows.begin, rows.end - rows.begin);
    }
    meet(d, desk);
}

/* ---- feed-forward ------------------------------------------------------------------ */

/* Every desk draws the same. */
static uint64_t draw(fc_desk *desk) {
    desk->random ^= desk->random << 13;
    desk->random ^= desk->random >> 7;
    return desk->random ^= desk->random << 17;
}

/* Other experts every time, as tokens have: neighbours from a random start, since
 * the scores of random weights would always choose alike. */
static void choose(fc_desk *desk, const fc_ffn *ffn) {
    uint64_t first = draw(desk) % (uint64_t)ffn->experts, stride = (uint64_t)(ffn->experts / ffn->active);
    for (int i = 0; i < ffn->active; i++)
        desk->chosen[i] = (int)((first + (uint64_t)i * stride) % (uint64_t)ffn->experts);
}

/* The router's scores, worked out for their time alone; this thread's part. */
static void route(const fc_decoder *d, const fc_desk *desk, const fc_ffn *ffn) {
    fc_span mine = fc_split(ffn->experts, 1, desk->thread, d->threads);
    for (int64_t e = mine.begin; ffn->router && e < mine.end; e++)
        d->scores[e] = d->vectors->dot(desk->normed, ffn->router + e * d->shape->hidden, d->shape->hidden);
}

/* A piece of an expert's inner vector. */
static void expand_piece(const fc_decoder *d, const fc_desk *desk, const fc_ffn *ffn, int expert, fc_span rows) {
    int64_t first = desk->chosen[expert] * ffn->size;
    float *inner = d->inner + expert * d->inner_floats;
    multiply(d, &ffn->up, desk->act[ffn->up.format], first, rows, inner);
    if (!fc_present(&ffn->gate)) return;
    multiply(d, &ffn->gate, desk->act[ffn->gate.format], first, rows, desk->gated);
    d->vectors->gate(inner + rows.begin, desk->gated + rows.begin, rows.end - rows.begin);
}

static void expand(fc_decoder *d, fc_desk *desk, const fc_ffn *ffn) {
    const fc_packed *readers[] = {&ffn->up, &ffn->gate};
    int owner, number, pieces = ffn->active > 1 ? 1 : pieces_of(d, &ffn->up, ffn->size);
    choose(desk, ffn);
    lay_normed(d, desk, readers, 2);
    route(d, desk, ffn);
    while (take(d, desk, ffn->active * pieces, &owner, &number))
        expand_piece(d, desk, ffn, number / pieces,
                     piece_rows(d, &ffn->up, ffn->size, pieces, owner, number % pieces));
    meet(d, desk);
}

/* All experts of a row in turn, for each is added to what was there. */
static void contract_piece(const fc_decoder *d, const fc_desk *desk, const fc_ffn *ffn, fc_span rows) {
    for (int i = 0; i < ffn->active; i++) {
        multiply(d, &ffn->down, desk->slot[i], desk->chosen[i] * d->shape->hidden, rows, d->y);
        d->vectors->add(d->x + rows.begin, d->y + rows.begin, rows.end - rows.begin);
    }
}

static void contract(fc_decoder *d, fc_desk *desk, const fc_ffn *ffn) {
    int owner, number, pieces = d->inner_tables_shared ? 1 : pieces_of(d, &ffn->down, d->shape->hidden);
    lay_inner(d, desk, ffn);
    while (take(d, desk, pieces, &owner, &number))
        contract_piece(d, desk, ffn, piece_rows(d, &ffn->down, d->shape->hidden, pieces, owner, number));
    meet(d, desk);
}

/* ---- a step -------------------------------------------------------------------- */

static void set_angles(fc_decoder *d, int dim) {
    for (int i = 0; i < dim / 2; i++) {
        float angle = (float)d->depth * powf(500000.0f, -2.0f * (float)i / (float)dim);
        d->cosine[i] = cosf(angle);
        d->sine[i] = sinf(angle);
    }
}

/* Look a token's row up, its scale included where that lies beside it. */
static void look_up(fc_decoder *d, int64_t token) {
    const fc_matrix *table = &d->shape->embedding.matrix;
    int scales = fc_facts(d->shape->embedding.format)->scales;
    float scale = scales < 0 ? 1.0f : table->scales[scales ? token : 0];
    fc_dequantise_row(d->shape->embedding.format, table->data, table->rows, table->cols, token, d->x);
    for (int64_t i = 0; i < table->cols; i++) d->x[i] *= scale;
}

/* Begin with a random token. */
static void begin(fc_decoder *d, fc_desk *desk) {
    int64_t token = (int64_t)(draw(desk) % (uint64_t)d->shape->embedding.matrix.rows);
    if (desk->thread == 0) {
        look_up(d, token);
        set_angles(d, d->shape->layer[0].head_dim);
    }
    meet(d, desk);
}

/* Remember the greatest score, the first of several. */
static void look_at(const fc_decoder *d, fc_desk *desk, fc_span rows) {
    if (rows.begin == rows.end) return;
    int64_t row = rows.begin + d->vectors->greatest(d->logits + rows.begin, rows.end - rows.begin);
    float score = d->logits[row], most = desk->best < 0 ? score : d->logits[desk->best];
    if (desk->best < 0 || score > most || (score == most && row < desk->best)) desk->best = row;
}

static void finish(fc_decoder *d, fc_desk *desk) {
    const fc_packed *output = &d->shape->output;
    int owner, number, pieces = pieces_of(d, output, output->matrix.rows);
    lay_normed(d, desk, &output, 1);
    desk->best = -1;
    while (take(d, desk, pieces, &owner, &number))
        look_at(d, desk, multiply_piece(d, desk, output, pieces, owner, number, d->logits));
    meet(d, desk);
}

/* Greedy sampling; its result seeds the next token, so it can't be left out. */
static void pick(fc_decoder *d, fc_desk *desk) {
    for (int thread = 0; thread < d->threads; thread++) {
        int64_t best = d->desk[thread].best;
        look_at(d, desk, (fc_span){best, best < 0 ? best : best + 1});
    }
    d->random = desk->random + (uint64_t)desk->best;
}

static void run_piece(fc_decoder *d, int piece, fc_desk *desk) {
    if (piece == d->shape->layers) {
        finish(d, desk);
        if (desk->thread == 0) pick(d, desk);
        return;
    }
    if (piece == 0) begin(d, desk);
    const fc_layer *layer = &d->shape->layer[piece];
    project(d, desk, layer);
    attend(d, desk, layer);
    join(d, desk, layer);
    for (int f = 0; f < layer->ffns; f++) {
        expand(d, desk, &layer->ffn[f]);
        contract(d, desk, &layer->ffn[f]);
    }
}

/* The piece that lies half of the model away, on the time that starts when all have come. */
static double read_another(fc_decoder *d, int piece, int thread) {
    int pieces = d->shape->layers + 1;
    uint64_t seen = 0;
    fc_pool_barrier(d->pool, thread);
    double start = fc_now();
    int64_t bytes = fc_read_piece(d->shape, d->read, (piece + pieces / 2) % pieces, thread, d->threads, &seen);
    fc_pool_barrier(d->pool, thread);
    double took = fc_now() - start;
    atomic_fetch_add(&d->bytes_read, bytes);
    if (thread == 0) d->sink += seen;
    return took;
}

static void step_task(void *argument, int thread, int threads) {
    fc_decoder *d = argument;
    fc_desk *desk = &d->desk[thread];
    fc_step taken = {0};
    (void)threads;
    desk->random = d->random;
    for (int piece = 0; piece <= d->shape->layers; piece++) {
        double start = fc_now();
        run_piece(d, piece, desk);
        *(piece < d->shape->layers ? &taken.layers : &taken.output) += fc_now() - start;
        if (d->between) taken.reading += read_another(d, piece, thread);
    }
    if (thread == 0) d->taken = taken;
}

fc_step fc_decoder_step(fc_decoder *decoder, int64_t depth, int between) {
    decoder->depth = depth;
    decoder->between = between;
    atomic_store(&decoder->bytes_read, 0);
    fc_pool_run(decoder->pool, step_task, decoder);
    decoder->taken.bytes_read = atomic_load(&decoder->bytes_read);
    return decoder->taken;
}

const float *fc_decoder_logits(const fc_decoder *decoder) { return decoder->logits; }
