/* Attention over an f16 cache, written once for vectors of any width.
 *
 * An ISA file defines, then includes this:
 *   ATTEND_INLINE      its function attributes
 *   vec, VEC_FLOATS    a vector of floats and how many it holds
 *   vec_zero, vec_set, vec_load, vec_store, vec_of_half, vec_fma, vec_mul,
 *   vec_max, vec_sum, vec_round, vec_two_to_the
 * All of it is static: each ISA gets its own copy under its own target.
 *
 * Cells are taken in chunks whose keys and values stay in the first-level
 * cache. Scores of a chunk are made for every head of the group before the
 * values are read, and running maxima rescale what came before: one pass over
 * the cache, whatever its length. Order of addition differs between ISAs, so
 * results agree to rounding (tests hold them to 1e-5), not to the bit. */

/* exp of x <= 0, to 2e-7 of its size: 2^n times a polynomial in what is left,
 * within ln 2 / 2 of zero. Below -87, where floats end, it stays at exp(-87). */
ATTEND_INLINE vec vec_exp(vec x) {
    static const float factor[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    x = vec_max(x, vec_set(-87));
    vec n = vec_round(vec_mul(x, vec_set(1.44269504f)));
    vec left = vec_fma(n, vec_set(-0.693359375f), x); /* ln 2 in two parts: this one exact, */
    left = vec_fma(n, vec_set(2.12194440e-4f), left); /* this one the rest of it */
    vec sum = vec_set(1.0f / 720);
    FC_UNROLL
    for (int i = 0; i < 6; i++) sum = vec_fma(sum, left, vec_set(factor[i]));
    return vec_mul(sum, vec_two_to_the(n));
}

/* scores[cell] = q . k[cell] for one head. */
ATTEND_INLINE void attend_scores(const float *q, const uint16_t *k, int cells, int dim, float *scores) {
    for (int cell = 0; cell < cells; cell++, k += dim) {
        vec a = vec_zero(), b = vec_zero();
        for (int i = 0; i < dim; i += 2 * VEC_FLOATS) {
            a = vec_fma(vec_load(q + i), vec_of_half(k + i), a);
            b = vec_fma(vec_load(q + i + VEC_FLOATS), vec_of_half(k + i + VEC_FLOATS), b);
        }
        scores[cell] = vec_sum(a) + vec_sum(b);
    }
}

/* Pad with the least score that exp takes to zero, so that vectors are whole. */
ATTEND_INLINE float attend_pad(float *scores, int cells) {
    float most = scores[0];
    for (int cell = 1; cell < cells; cell++) most = scores[cell] > most ? scores[cell] : most;
    for (int cell = cells; cell < FC_ATTEND_CHUNK; cell++) scores[cell] = most - 100.0f;
    return most;
}

/* scores := exp(scores - most); returns their sum. */
ATTEND_INLINE float attend_weights(float *scores, int cells, float most) {
    vec total = vec_zero(), least = vec_set(-most), one = vec_set(1);
    for (int i = 0; i < FC_ATTEND_CHUNK && i < cells + VEC_FLOATS; i += VEC_FLOATS) {
        vec w = vec_exp(vec_fma(vec_load(scores + i), one, least));
        vec_store(scores + i, w);
        total = vec_fma(w, one, total);
    }
    return vec_sum(total);
}

/* out[0..4 vectors) = out * keep + sum of weights[cell] * v[cell]. */
ATTEND_INLINE void attend_mix_part(const float *weights, const uint16_t *v, int cells, int dim, float keep, float *out) {
    vec sum[4], scale = vec_set(keep);
    FC_UNROLL
    for (int i = 0; i < 4; i++) sum[i] = vec_mul(vec_load(out + i * VEC_FLOATS), scale);
    for (int cell = 0; cell < cells; cell++, v += dim) {
        vec w = vec_set(weights[cell]);
        FC_UNROLL
        for (int i = 0; i < 4; i++) sum[i] = vec_fma(w, vec_of_half(v + i * VEC_FLOATS), sum[i]);
    }
    FC_UNROLL
    for (int i = 0; i < 4; i++) vec_store(out + i * VEC_FLOATS, sum[i]);
}

/* The same for dims that four vectors don't divide. */
ATTEND_INLINE void attend_mix_rest(const float *weights, const uint16_t *v, int cells, int dim, float keep, float *out) {
    vec sum = vec_mul(vec_load(out), vec_set(keep));
    for (int cell = 0; cell < cells; cell++, v += dim) sum = vec_fma(vec_set(weights[cell]), vec_of_half(v), sum);
    vec_store(out, sum);
}

ATTEND_INLINE void attend_mix(const float *weights, const uint16_t *v, int cells, int dim, float keep, float *out) {
    int i = 0;
    for (; i + 4 * VEC_FLOATS <= dim; i += 4 * VEC_FLOATS)
        attend_mix_part(weights, v + i, cells, dim, keep, out + i);
    for (; i < dim; i += VEC_FLOATS) attend_mix_rest(weights, v + i, cells, dim, keep, out + i);
}

/* One chunk for one head: scores to weights, and the running maximum and sum. */
ATTEND_INLINE float attend_rescale(float *scores, int cells, float *most, float *sum) {
    float chunk_most = attend_pad(scores, cells);
    float now = chunk_most > *most ? chunk_most : *most, keep = expf(*most - now);
    *sum = *sum * keep + attend_weights(scores, cells, now);
    *most = now;
    return keep;
}

ATTEND_INLINE void attend_ask(const uint16_t *at, int64_t cells, int dim) {
    for (int64_t i = 0; i < cells * dim; i += 32) FC_PREFETCH(at + i);
}

ATTEND_INLINE void attend_chunk(const float *q, int heads, const uint16_t *k, const uint16_t *v, int cells, int dim,
                                float *out, float *scratch) {
    float *most = scratch + heads * FC_ATTEND_CHUNK, *sum = most + heads;
    for (int h = 0; h < heads; h++) attend_scores(q + h * dim, k, cells, dim, scratch + h * FC_ATTEND_CHUNK);
    for (int h = 0; h < heads; h++) {
        float *scores = scratch + h * FC_ATTEND_CHUNK;
        float keep = attend_rescale(scores, cells, &most[h], &sum[h]);
        attend_mix(scores, v, cells, dim, keep, out + h * dim);
    }
}

ATTEND_INLINE void attend_all(const float *q, int heads, const uint16_t *k, const uint16_t *v, int64_t cells, int dim,
                              float *out, float *scratch) {
    float *most = scratch + heads * FC_ATTEND_CHUNK, *sum = most + heads;
    memset(out, 0, sizeof *out * (size_t)(heads * dim));
    for (int h = 0; h < heads; h++) {
        most[h] = -1e30f;
        sum[h] = 0;
    }
    for (int64_t cell = 0; cell < cells; cell += FC_ATTEND_CHUNK) {
        int64_t left = cells - cell, next = cell + FC_ATTEND_CHUNK;
        int64_t after = cells - next < FC_ATTEND_CHUNK ? cells - next : FC_ATTEND_CHUNK;
        attend_ask(k + next * dim, after, dim);
        attend_ask(v + next * dim, after, dim);
        attend_chunk(q, heads, k + cell * dim, v + cell * dim, left < FC_ATTEND_CHUNK ? (int)left : FC_ATTEND_CHUNK,
                     dim, out, scratch);
    }
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < dim; i++) out[h * dim + i] /= sum[h];
}
