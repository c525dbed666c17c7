/* The decode step: every thread runs the same list of phases, with a barrier
 * where one needs what the others made. Work on single vectors (norms,
 * quantising) is a thousandth of a step and falls to thread 0. */
#include "platform.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "numeric.h"

enum { ALIGNMENT = 64 };

struct fc_decoder {
    fc_pool *pool;
    const fc_shape *shape;
    const fc_kernels *kernels[FC_FORMATS];
    fc_attend *attend;
    fc_read *read;
    int threads;
    int64_t widest;                       /* of any vector */
    float *x, *normed, *q, *k, *v, *mixed, *y, *logits, *scores;
    float *inner;                         /* FC_MOST_ACTIVE slots of the widest inner size */
    float *scratch;                       /* attention's, one part a thread */
    float *cosine, *sine;                 /* rotary embedding at this position */
    size_t scratch_floats;
    int64_t inner_floats;
    fc_activation *act[FC_FORMATS];       /* of the vector at hand, for each format that reads it */
    fc_activation *slot[FC_MOST_ACTIVE];  /* of each active expert's inner vector */
    int chosen[FC_MOST_ACTIVE];
    uint64_t random;
    int64_t depth;
    int between;                          /* plain reads between the pieces */
    fc_step taken;
    atomic_llong bytes_read;
    volatile uint64_t sink;               /* so that no compiler drops them */
};

/* ---- vectors ------------------------------------------------------------------- */

static void add(float *x, const float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] += y[i];
}

/* Sixteen sums, so that compilers use vectors. */
static float dot(const float *a, const float *b, int64_t n) {
    float sum[16] = {0}, total = 0;
    for (int64_t i = 0; i + 16 <= n; i += 16)
        for (int lane = 0; lane < 16; lane++) sum[lane] += a[i + lane] * b[i + lane];
    for (int lane = 0; lane < 16; lane++) total += sum[lane];
    return total;
}

/* RMS norm with a weight of one. */
static void rms_norm(const float *x, int64_t n, float *out) {
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + 1e-5f);
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale;
}

/* e^x within 2e-7 of itself, in arithmetic that compilers turn into vectors: the
 * library's costs more than the products of a small layer. x = (n + f) ln 2 with
 * f in [-1/2, 1/2]; 2^n goes into the exponent, 2^f is its Taylor polynomial. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    float scaled = x * 1.44269504f, n = scaled + 0x1.8p23f - 0x1.8p23f, f = (scaled - n) * 0.693147181f;
    float power = 1 + f * (1 + f * (0.5f + f * (1.66666667e-1f + f * (4.16666667e-2f + f * (8.33333333e-3f + f * 1.38888889e-3f)))));
    return power * fc_float_of_bits((uint32_t)((int32_t)n + 127) << 23);
}

/* SwiGLU: inner *= gated * sigmoid(gated). */
static void gate(float *inner, const float *gated, int64_t n) {
    for (int64_t i = 0; i < n; i++) inner[i] *= gated[i] / (1.0f + exponential(-gated[i]));
}

static float largest(const float *x, int64_t n) {
    float most[16], all = x[0];
    for (int lane = 0; lane < 16; lane++) most[lane] = x[0];
    for (int64_t i = 0; i + 16 <= n; i += 16)
        for (int lane = 0; lane < 16; lane++) most[lane] = x[i + lane] > most[lane] ? x[i + lane] : most[lane];
    for (int lane = 0; lane < 16; lane++) all = most[lane] > all ? most[lane] : all;
    for (int64_t i = n / 16 * 16; i < n; i++) all = x[i] > all ? x[i] : all;
    return all;
}

/* Rotate the pairs (i, i + dim/2) of a head by this position's angles. */
static void rotate(const fc_decoder *d, float *head, int dim) {
    int half = dim / 2;
    for (int i = 0; i < half; i++) {
        float a = head[i], b = head[i + half];
        head[i] = a * d->cosine[i] - b * d->sine[i];
        head[i + half] = a * d->sine[i] + b * d->cosine[i];
    }
}

static void set_angles(fc_decoder *d, int dim) {
    for (int i = 0; i < dim / 2; i++) {
        float angle = (float)d->depth * powf(500000.0f, -2.0f * (float)i / (float)dim);
        d->cosine[i] = cosf(angle);
        d->sine[i] = sinf(angle);
    }
}

/* ---- products ------------------------------------------------------------------ */

static int present(const fc_packed *w) { return w->matrix.data != NULL; }

/* Whether reader i is there and the first of its format. */
static int leads(const fc_packed *const *readers, int i) {
    if (!present(readers[i])) return 0;
    for (int j = 0; j < i; j++)
        if (present(readers[j]) && readers[j]->format == readers[i]->format) return 0;
    return 1;
}

/* Once thread 0 has x: it lays x out once for every format among the readers, and all threads
 * make what kernels look up. Nobody returns before all that is done. */
static void prepare(fc_decoder *d, const float *x, const fc_packed *const *readers, int count, int thread) {
    int looked_up = 0;
    for (int i = 0; thread == 0 && i < count; i++)
        if (leads(readers, i)) fc_activation_set(d->act[readers[i]->format], readers[i]->format, x, readers[i]->matrix.cols);
    fc_pool_barrier(d->pool, thread);
    for (int i = 0; i < count; i++) {
        fc_format format = readers[i]->format;
        if (!leads(readers, i) || !d->kernels[format]->sums[format]) continue;
        fc_make_sums(d->kernels[format], format, d->act[format], thread, d->threads);
        looked_up = 1;
    }
    if (looked_up) fc_pool_barrier(d->pool, thread);
}

/* This thread's rows of `count` rows that start at `first`. */
static void multiply(const fc_decoder *d, const fc_packed *w, const fc_activation *x, int64_t first, int64_t count,
                     int thread, float *y) {
    if (!present(w)) return;
    fc_span mine = fc_split(count, fc_row_step(w->format), thread, d->threads);
    if (mine.begin < mine.end)
        d->kernels[w->format]->gemv[w->format](&w->matrix, x, first + mine.begin, first + mine.end, y + mine.begin);
}

static void multiply_all(const fc_decoder *d, const fc_packed *w, int thread, float *y) {
    multiply(d, w, d->act[w->format], 0, w->matrix.rows, thread, y);
}

/* ---- a layer ------------------------------------------------------------------- */

static void store(const float *from, int dim, uint16_t *to) {
    for (int i = 0; i < dim; i++) to[i] = fc_half_of_float(from[i]);
}

/* One KV head and the query heads that share it. */
static void attend_head(fc_decoder *d, const fc_layer *layer, int head, float *scratch) {
    int dim = layer->head_dim, group = layer->heads / layer->kv_heads;
    size_t base = (size_t)head * (size_t)d->shape->cells * (size_t)dim;
    uint16_t *keys = layer->k_cache + base, *values = layer->v_cache + base;
    float *q = d->q + (size_t)head * (size_t)group * (size_t)dim, *k = d->k + (size_t)head * (size_t)dim;
    float scale = 1.0f / sqrtf((float)dim);
    rotate(d, k, dim);
    store(k, dim, keys + d->depth * dim);
    store(d->v + (size_t)head * (size_t)dim, dim, values + d->depth * dim);
    for (int i = 0; i < group; i++) rotate(d, q + (size_t)i * (size_t)dim, dim);
    for (int i = 0; i < group * dim; i++) q[i] *= scale;
    int64_t cells = d->depth + 1, from = layer->window && cells > layer->window ? cells - layer->window : 0;
    d->attend(q, group, keys + from * dim, values + from * dim, cells - from, dim,
              d->mixed + (size_t)head * (size_t)group * (size_t)dim, scratch);
}

static void attention(fc_decoder *d, const fc_layer *layer, int thread) {
    const fc_packed *readers[] = {&layer->q, &layer->k, &layer->v}, *output[] = {&layer->o};
    if (thread == 0) rms_norm(d->x, d->shape->hidden, d->normed);
    prepare(d, d->normed, readers, 3, thread);
    multiply_all(d, &layer->q, thread, d->q);
    multiply_all(d, &layer->k, thread, d->k);
    multiply_all(d, &layer->v, thread, d->v);
    fc_pool_barrier(d->pool, thread);
    fc_span heads = fc_split(layer->kv_heads, 1, thread, d->threads);
    for (int64_t head = heads.begin; head < heads.end; head++)
        attend_head(d, layer, (int)head, d->scratch + (size_t)thread * d->scratch_floats);
    fc_pool_barrier(d->pool, thread);
    prepare(d, d->mixed, output, 1, thread);
    multiply_all(d, &layer->o, thread, d->y);
    fc_pool_barrier(d->pool, thread);
    if (thread == 0) add(d->x, d->y, d->shape->hidden);
}

static uint64_t draw(fc_decoder *d) {
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    return d->random ^= d->random << 17;
}

/* Other experts every time, as tokens have: neighbours from a random start, since
 * the scores of random weights would always choose alike. */
static void choose(fc_decoder *d, const fc_ffn *ffn) {
    uint64_t first = draw(d) % (uint64_t)ffn->experts, stride = (uint64_t)(ffn->experts / ffn->active);
    for (int i = 0; i < ffn->active; i++)
        d->chosen[i] = (int)((first + (uint64_t)i * stride) % (uint64_t)ffn->experts);
}

/* The router's scores, worked out for their time alone; this thread's part. */
static void route(const fc_decoder *d, const fc_ffn *ffn, int thread) {
    fc_span mine = fc_split(ffn->experts, 1, thread, d->threads);
    for (int64_t e = mine.begin; ffn->router && e < mine.end; e++)
        d->scores[e] = dot(d->normed, ffn->router + e * d->shape->hidden, d->shape->hidden);
}

static void expand(fc_decoder *d, const fc_ffn *ffn, int thread) {
    for (int i = 0; i < ffn->active; i++) {
        float *inner = d->inner + (int64_t)i * d->inner_floats;
        int64_t first = d->chosen[i] * ffn->size;
        fc_span mine = fc_split(ffn->size, fc_row_step(ffn->up.format), thread, d->threads);
        multiply(d, &ffn->up, d->act[ffn->up.format], first, ffn->size, thread, inner);
        if (!present(&ffn->gate)) continue;
        multiply(d, &ffn->gate, d->act[ffn->gate.format], first, ffn->size, thread, d->logits);
        gate(inner + mine.begin, d->logits + mine.begin, mine.end - mine.begin);
    }
}

static void contract(fc_decoder *d, const fc_ffn *ffn, int thread) {
    int64_t hidden = d->shape->hidden;
    fc_span mine = fc_split(hidden, fc_row_step(ffn->down.format), thread, d->threads);
    for (int i = 0; i < ffn->active; i++) {
        multiply(d, &ffn->down, d->slot[i], d->chosen[i] * hidden, hidden, thread, d->y);
        add(d->x + mine.begin, d->y + mine.begin, mine.end - mine.begin);
    }
}

/* The experts' inner vectors, each laid out by one thread. */
static void prepare_slots(fc_decoder *d, const fc_ffn *ffn, int thread) {
    fc_format format = ffn->down.format;
    for (int i = thread; i < ffn->active; i += d->threads)
        fc_activation_set(d->slot[i], format, d->inner + (int64_t)i * d->inner_floats, ffn->size);
    fc_pool_barrier(d->pool, thread);
    if (!d->kernels[format]->sums[format]) return;
    for (int i = 0; i < ffn->active; i++) fc_make_sums(d->kernels[format], format, d->slot[i], thread, d->threads);
    fc_pool_barrier(d->pool, thread);
}

static void feed_forward(fc_decoder *d, const fc_ffn *ffn, int thread) {
    const fc_packed *readers[] = {&ffn->up, &ffn->gate};
    if (thread == 0) {
        rms_norm(d->x, d->shape->hidden, d->normed);
        choose(d, ffn);
    }
    prepare(d, d->normed, readers, 2, thread);
    route(d, ffn, thread);
    expand(d, ffn, thread);
    fc_pool_barrier(d->pool, thread);
    prepare_slots(d, ffn, thread);
    contract(d, ffn, thread);
    fc_pool_barrier(d->pool, thread);
}

/* ---- a step -------------------------------------------------------------------- */

/* Look a random token's row up, its scale included where that lies beside it. */
static void begin(fc_decoder *d) {
    const fc_matrix *table = &d->shape->embedding.matrix;
    int scales = fc_facts(d->shape->embedding.format)->scales;
    int64_t token = (int64_t)(draw(d) % (uint64_t)table->rows);
    float scale = scales < 0 ? 1.0f : table->scales[scales ? token : 0];
    fc_dequantise_row(d->shape->embedding.format, table->data, table->rows, table->cols, token, d->x);
    for (int64_t i = 0; i < table->cols; i++) d->x[i] *= scale;
    set_angles(d, d->shape->layer[0].head_dim);
}

static void finish(fc_decoder *d, int thread) {
    const fc_packed *output = &d->shape->output;
    if (thread == 0) rms_norm(d->x, d->shape->hidden, d->normed);
    prepare(d, d->normed, &output, 1, thread);
    multiply_all(d, output, thread, d->logits);
    fc_pool_barrier(d->pool, thread);
}

/* Greedy sampling; its result seeds the next token, so it can't be left out. */
static void pick(fc_decoder *d) {
    int64_t rows = d->shape->output.matrix.rows, best = 0;
    float most = largest(d->logits, rows);
    while (best < rows - 1 && d->logits[best] != most) best++;
    d->random += (uint64_t)best;
}

static void run_piece(fc_decoder *d, int piece, int thread) {
    if (piece == d->shape->layers) {
        finish(d, thread);
        if (thread == 0) pick(d);
        return;
    }
    if (piece == 0 && thread == 0) begin(d);
    const fc_layer *layer = &d->shape->layer[piece];
    attention(d, layer, thread);
    for (int f = 0; f < layer->ffns; f++) feed_forward(d, &layer->ffn[f], thread);
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
    fc_step taken = {0};
    (void)threads;
    for (int piece = 0; piece <= d->shape->layers; piece++) {
        double start = fc_now();
        run_piece(d, piece, thread);
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

/* ---- setting up ---------------------------------------------------------------- */

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int use(fc_decoder *d, const fc_packed *w, const char *cap) {
    if (!present(w)) return 0;
    const fc_kernels *kernels = fc_best_gemv(w->format, cap);
    if (!kernels) return -1;
    d->kernels[w->format] = kernels;
    d->widest = most(d->widest, most(w->matrix.cols, w->matrix.rows));
    return 0;
}

/* Find kernels for every matrix and the widest vector. */
static int survey(fc_decoder *d, const char *cap) {
    int missing = use(d, &d->shape->output, cap);
    size_t scratch = 0;
    for (int i = 0; i < d->shape->layers; i++) {
        const fc_layer *l = &d->shape->layer[i];
        missing |= use(d, &l->q, cap) | use(d, &l->k, cap) | use(d, &l->v, cap) | use(d, &l->o, cap);
        size_t floats = FC_ATTEND_SCRATCH(l->heads / l->kv_heads, l->head_dim);
        scratch = floats > scratch ? floats : scratch;
        for (int f = 0; f < l->ffns; f++) {
            const fc_ffn *ffn = &l->ffn[f];
            missing |= use(d, &ffn->gate, cap) | use(d, &ffn->up, cap) | use(d, &ffn->down, cap);
            missing |= ffn->active > FC_MOST_ACTIVE ? -1 : 0;
            /* A thread gates the very rows that it multiplied. */
            missing |= present(&ffn->gate) && fc_row_step(ffn->gate.format) != fc_row_step(ffn->up.format) ? -1 : 0;
            d->inner_floats = most(d->inner_floats, (ffn->size + 15) / 16 * 16);
        }
    }
    d->scratch_floats = (scratch + 31) / 16 * 16; /* threads share no cache line */
    const fc_kernels *attend = fc_best_attend(cap), *read = fc_best_read(cap);
    if (!attend || !read) return -1;
    d->attend = attend->attend;
    d->read = read->read;
    return missing;
}

static float *floats(int64_t n) {
    void *room = NULL;
    size_t bytes = (size_t)(n + 32) * sizeof(float);
    if (posix_memalign(&room, ALIGNMENT, bytes)) return NULL;
    memset(room, 0, bytes);
    return room;
}

static int allocate(fc_decoder *d) {
    float **vectors[] = {&d->x, &d->normed, &d->q, &d->k, &d->v, &d->mixed, &d->y, &d->logits, &d->scores, &d->cosine, &d->sine};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (!(*vectors[i] = floats(d->widest))) return -1;
    if (!(d->inner = floats(d->inner_floats * FC_MOST_ACTIVE))) return -1;
    if (!(d->scratch = floats((int64_t)d->scratch_floats * d->threads))) return -1;
    for (int f = 0; f < FC_FORMATS; f++)
        if (d->kernels[f] && !(d->act[f] = fc_activation_new(d->widest))) return -1;
    for (int i = 0; i < FC_MOST_ACTIVE; i++)
        if (!(d->slot[i] = fc_activation_new(d->inner_floats))) return -1;
    return 0;
}

fc_decoder *fc_decoder_new(fc_pool *pool, const fc_shape *shape, const char *cap) {
    fc_decoder *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->pool = pool;
    d->shape = shape;
    d->threads = fc_pool_threads(pool);
    d->widest = shape->hidden;
    d->random = 0x9e3779b97f4a7c15u;
    if (survey(d, cap) == 0 && allocate(d) == 0) return d;
    fc_decoder_free(d);
    return NULL;
}

void fc_decoder_free(fc_decoder *d) {
    if (!d) return;
    float *vectors[] = {d->x, d->normed, d->q, d->k, d->v, d->mixed, d->y, d->logits, d->scores, d->cosine, d->sine, d->inner, d->scratch};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) free(vectors[i]);
    for (int f = 0; f < FC_FORMATS; f++) fc_activation_free(d->act[f]);
    for (int i = 0; i < FC_MOST_ACTIVE; i++) fc_activation_free(d->slot[i]);
    free(d);
}
