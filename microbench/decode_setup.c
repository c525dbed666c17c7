/* A decoder's kernels and memory. */
#include "platform.h"

#include <stdlib.h>
#include <string.h>

#include "decoder.h"

enum {
    ALIGNMENT = 128, /* threads share no cache line */
    LONG = 16384     /* numbers whose tables (FC_SUMS_BYTES for five) a core's own cache can't hold */
};

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int use(fc_decoder *d, const fc_packed *w, const char *cap) {
    if (!fc_present(w)) return 0;
    const fc_kernels *kernels = fc_best_gemv(w->format, cap);
    if (!kernels) return -1;
    d->kernels[w->format] = kernels;
    d->longest = most(d->longest, w->matrix.cols);
    d->widest = most(d->widest, most(w->matrix.cols, w->matrix.rows));
    return 0;
}

static int survey_ffn(fc_decoder *d, const fc_ffn *ffn, const char *cap) {
    int missing = use(d, &ffn->gate, cap) | use(d, &ffn->up, cap) | use(d, &ffn->down, cap);
    d->inner_floats = most(d->inner_floats, (ffn->size + 31) / 32 * 32);
    d->most_active = (int)most(d->most_active, ffn->active);
    missing |= ffn->active > FC_MOST_ACTIVE ? -1 : 0;
    /* A thread gates the very rows that it multiplied. */
    return missing | (fc_present(&ffn->gate) && fc_row_step(ffn->gate.format) != fc_row_step(ffn->up.format) ? -1 : 0);
}

static int survey_layer(fc_decoder *d, const fc_layer *l, const char *cap) {
    int missing = use(d, &l->q, cap) | use(d, &l->k, cap) | use(d, &l->v, cap) | use(d, &l->o, cap);
    size_t floats = FC_ATTEND_SCRATCH(l->heads / l->kv_heads, l->head_dim);
    d->scratch_floats = floats > d->scratch_floats ? floats : d->scratch_floats;
    for (int f = 0; f < l->ffns; f++) missing |= survey_ffn(d, &l->ffn[f], cap);
    return missing;
}

/* Find kernels for every matrix and the widest vector. */
static int survey(fc_decoder *d, const char *cap) {
    int missing = use(d, &d->shape->output, cap);
    for (int i = 0; i < d->shape->layers; i++) missing |= survey_layer(d, &d->shape->layer[i], cap);
    const fc_kernels *attend = fc_best_attend(cap), *read = fc_best_read(cap), *vectors = fc_best_vectors(cap);
    if (!attend || !read || !vectors) return -1;
    d->attend = attend->attend;
    d->read = read->read;
    d->vectors = vectors->vectors;
    d->inner_tables_shared = d->inner_floats > LONG;
    return missing;
}

static void *room(size_t bytes) {
    void *p = NULL;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (posix_memalign(&p, ALIGNMENT, bytes)) return NULL;
    memset(p, 0, bytes);
    return p;
}

static float *floats(int64_t n) { return room((size_t)(n + 32) * sizeof(float)); }

static int furnish(fc_decoder *d, fc_desk *desk, int thread) {
    desk->thread = thread;
    desk->normed = floats(d->longest);
    desk->gated = floats(d->inner_floats);
    desk->scratch = floats((int64_t)d->scratch_floats);
    if (!desk->normed || !desk->gated || !desk->scratch) return -1;
    for (int f = 0; f < FC_FORMATS; f++)
        if (d->kernels[f] && !(desk->act[f] = fc_activation_new(d->longest))) return -1;
    for (int i = 0; i < d->most_active; i++) {
        if (!(desk->slot[i] = fc_activation_new(d->inner_floats))) return -1;
        if (!d->inner_tables_shared || thread == 0) continue;
        free(desk->slot[i]->sums);
        desk->slot[i]->sums = d->desk[0].slot[i]->sums;
    }
    return 0;
}

static int allocate(fc_decoder *d) {
    float **vectors[] = {&d->x, &d->q, &d->k, &d->v, &d->mixed, &d->y, &d->logits, &d->scores, &d->cosine, &d->sine};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (!(*vectors[i] = floats(d->widest))) return -1;
    if (!(d->inner = floats(d->inner_floats * d->most_active))) return -1;
    if (!(d->desk = room((size_t)d->threads * sizeof *d->desk))) return -1;
    if (!(d->counter = room((size_t)d->threads * sizeof *d->counter))) return -1;
    for (int thread = 0; thread < d->threads; thread++)
        if (furnish(d, &d->desk[thread], thread)) return -1;
    return 0;
}

fc_decoder *fc_decoder_new(fc_pool *pool, const fc_shape *shape, const char *cap) {
    fc_decoder *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->pool = pool;
    d->shape = shape;
    d->threads = fc_pool_threads(pool);
    d->widest = d->longest = shape->hidden;
    d->random = 0x9e3779b97f4a7c15u;
    if (survey(d, cap) == 0 && allocate(d) == 0) return d;
    fc_decoder_free(d);
    return NULL;
}

static void clear(const fc_decoder *d, fc_desk *desk) {
    for (int i = 0; d->inner_tables_shared && desk->thread && i < FC_MOST_ACTIVE; i++)
        if (desk->slot[i]) desk->slot[i]->sums = NULL;
    free(desk->normed);
    free(desk->gated);
    free(desk->scratch);
    for (int f = 0; f < FC_FORMATS; f++) fc_activation_free(desk->act[f]);
    for (int i = 0; i < FC_MOST_ACTIVE; i++) fc_activation_free(desk->slot[i]);
}

void fc_decoder_free(fc_decoder *d) {
    if (!d) return;
    float *vectors[] = {d->x, d->q, d->k, d->v, d->mixed, d->y, d->logits, d->scores, d->cosine, d->sine, d->inner};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) free(vectors[i]);
    for (int thread = 0; d->desk && thread < d->threads; thread++) clear(d, &d->desk[thread]);
    free(d->desk);
    free(d->counter);
    free(d);
}
