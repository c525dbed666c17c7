/* Every kernel of this build that this CPU runs, against scalar: odd sizes,
 * tails, alignments, extreme activations. A program of its own, so that
 * sanitizers and emulators can run it without Python. */
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numeric.h"
#include "selftest.h"

static int passed, failed, skipped;

void expect(int ok, const char *what, const char *isa, const char *format, long rows, long cols) {
    if (ok) passed++;
    else if (failed++ < 20) printf("FAILED %s: %s %s, %ld rows of %ld\n", what, isa, format, rows, cols);
}

static float draw(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state * 0x1p-31f;
}

enum { MOST_COLS = 2600, LONGEST = 10624, TALLEST = 4200 };

/* Ordinary vectors, all of one sign at full size, and nothing at all. */
static void fill_vector(float *x, int64_t cols, int kind, uint32_t *state) {
    for (int64_t i = 0; i < cols; i++) x[i] = kind == 0 ? draw(state) : kind == 1 ? 1.0f : kind == 2 ? -1.0f : 0.0f;
}

/* Exactly as many bytes as the rows need, `shift` bytes past an aligned place:
 * an over-read is the sanitizer's to find. */
static void check_shape(const fc_kernels *isa, fc_format format, int64_t rows, int64_t cols, int shift) {
    int64_t row_bytes = fc_row_bytes(format, cols);
    if (row_bytes < 0 || !isa->gemv[format]) return;
    static float x[LONGEST], scales[TALLEST];
    uint32_t state = (uint32_t)(cols * 31 + rows);
    uint8_t *data = malloc((size_t)fc_matrix_bytes(format, rows, cols) + (size_t)shift);
    fc_activation *a = fc_activation_new(cols);
    for (int64_t i = 0; i < rows; i++) scales[i] = draw(&state);
    fc_fill_rows(format, data + shift, rows, cols, 0, rows, state);
    fc_matrix w = {data + shift, scales, rows, cols, row_bytes};
    for (int kind = 0; kind < 4; kind++) {
        fill_vector(x, cols, kind, &state);
        fc_activation_set(a, format, x, cols);
        int ok = fc_check_gemv(isa, format, &w, a, 0, rows) == 0;
        expect(ok, "gemv", isa->isa, fc_facts(format)->name, (long)rows, (long)cols);
    }
    fc_activation_free(a);
    free(data);
}

static void check_gemv(const fc_kernels *isa, fc_format format) {
    if (!isa->gemv[format]) return;
    for (int64_t cols = 1; cols <= MOST_COLS; cols += cols < 700 ? 1 : 37)
        check_shape(isa, format, 1 + cols % 7, cols, (int)(cols % 5));
    for (int64_t cols = 128; cols <= MOST_COLS; cols += 32)
        for (int64_t rows = 1; rows <= 9; rows += 2) check_shape(isa, format, rows, cols, (int)(rows % 3));
}

/* Strips, tiles and panels of rows that lie together; shapes whose tiles bitnet.cpp publishes. */
static void check_tall(const fc_kernels *isa, fc_format format) {
    static const struct {
        int64_t rows, cols;
    } shapes[] = {{33, 192},  {64, 256},    {96, 416},    {100, 288},   {160, 576},  {300, 1024},
                  {576, 352}, {1024, 4096}, {1536, 1536}, {TALLEST, 64}, {70, LONGEST}};
    if (!isa->gemv[format] || fc_facts(format)->together == 1) return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_shape(isa, format, shapes[i].rows, shapes[i].cols, 0);
}

/* One to eight tokens, each with a vector of its own. */
static void check_batch(const fc_kernels *isa, fc_format format, int64_t rows, int64_t cols, int tokens) {
    int64_t row_bytes = fc_row_bytes(format, cols);
    if (row_bytes < 0) return;
    float x[MOST_COLS], scales[64 * 9];
    uint32_t state = (uint32_t)(cols * 37 + tokens);
    uint8_t *data = malloc((size_t)fc_matrix_bytes(format, rows, cols)); /* exact: an over-read shows */
    fc_activation *a[FC_MOST_TOKENS];
    for (int64_t i = 0; i < rows; i++) scales[i] = draw(&state);
    fc_fill_rows(format, data, rows, cols, 0, rows, state);
    fc_matrix w = {data, scales, rows, cols, row_bytes};
    for (int t = 0; t < tokens; t++) {
        a[t] = fc_activation_new(cols);
        fill_vector(x, cols, t % 5 ? 0 : t % 3, &state);
        fc_activation_set(a[t], format, x, cols);
    }
    int ok = fc_check_gemm(isa, format, &w, (const fc_activation *const *)a, tokens, 0, rows) == 0;
    expect(ok, "gemm", isa->isa, fc_facts(format)->name, (long)rows, (long)cols);
    for (int t = 0; t < tokens; t++) fc_activation_free(a[t]);
    free(data);
}

static void check_gemm(const fc_kernels *isa, fc_format format) {
    if (!isa->gemm[format]) return;
    for (int64_t cols = 1; cols <= MOST_COLS; cols += cols < 400 ? 1 : 31)
        check_batch(isa, format, 1 + cols % 5, cols, (int)(1 + cols % FC_MOST_TOKENS));
    for (int64_t cols = 256; cols <= MOST_COLS; cols += 256)
        for (int tokens = 1; tokens <= FC_MOST_TOKENS; tokens++) check_batch(isa, format, 1 + tokens % 4, cols, tokens);
    for (int64_t rows = 14; rows <= 20; rows++) check_batch(isa, format, rows, 1280, (int)(1 + rows % FC_MOST_TOKENS));
    for (int64_t sets = 1; fc_facts(format)->together == 64 && sets <= 9; sets++)
        check_batch(isa, format, 64 * sets - 3, 320, (int)(1 + sets % FC_MOST_TOKENS));
}

static void check_packing(fc_format format) {
    static int8_t weights[MOST_COLS], back[MOST_COLS];
    static uint8_t data[FC_TRIT3_ROWS * MOST_COLS];
    uint32_t state = 7;
    for (int64_t cols = 1; cols <= MOST_COLS; cols++) {
        int64_t rows = fc_facts(format)->together, at = cols % rows;
        for (int64_t i = 0; i < cols; i++) weights[i] = (int8_t)lrintf(draw(&state) * 1.49f);
        if (fc_pack_row(format, weights, rows, cols, 1, data, at)) continue;
        fc_unpack_row(format, data, rows, cols, at, back);
        expect(!memcmp(weights, back, (size_t)cols), "pack", "scalar", fc_facts(format)->name, 1, (long)cols);
    }
}

static void check_attention(const fc_kernels *isa, int heads, int dim, int cells) {
    enum { MOST_HEADS = 8, MOST_DIM = 160, MOST_CELLS = 200 };
    static float q[MOST_HEADS * MOST_DIM], got[MOST_HEADS * MOST_DIM], want[MOST_HEADS * MOST_DIM];
    static float scratch[FC_ATTEND_SCRATCH(MOST_HEADS, MOST_DIM)];
    uint32_t state = (uint32_t)(heads * dim + cells);
    size_t cache = (size_t)(cells * dim);
    uint16_t *k = malloc(2 * cache), *v = malloc(2 * cache); /* exact: an over-read shows */
    for (size_t i = 0; i < cache; i++) {
        k[i] = fc_half_of_float(draw(&state));
        v[i] = fc_half_of_float(draw(&state));
    }
    for (int i = 0; i < heads * dim; i++) q[i] = 3 * draw(&state);
    isa->attend(q, heads, k, v, cells, dim, got, scratch);
    fc_isa(0)->attend(q, heads, k, v, cells, dim, want, scratch);
    float worst = 0;
    for (int i = 0; i < heads * dim; i++) worst = fmaxf(worst, fabsf(got[i] - want[i]));
    expect(worst < 1e-5f, "attend", isa->isa, "f16", cells, dim);
    free(k);
    free(v);
}

static void check_attend(const fc_kernels *isa) {
    static const int cells[] = {1, 2, 15, 16, 17, 63, 64, 65, 128, 200};
    for (size_t i = 0; isa->attend && i < sizeof cells / sizeof *cells; i++)
        for (int dim = 32; dim <= 160; dim += 32)
            for (int heads = 1; heads <= 8; heads += 7) check_attention(isa, heads, dim, cells[i]);
}

static void check_read(const fc_kernels *isa) {
    enum { BYTES = 4096 };
    static _Alignas(64) uint8_t data[BYTES];
    for (int i = 0; isa->read && i < BYTES; i += 61) {
        uint64_t before = isa->read(data, BYTES);
        data[i] ^= 1;
        expect(isa->read(data, BYTES) != before, "read", isa->isa, "bytes", 1, BYTES);
    }
}

/* Ordinary numbers, and those at which an exponential, a half or a maximum turns. */
static void fill_turning(float *x, int64_t n, uint32_t *state) {
    static const float turning[] = {0.0f, -0.0f, 87.0f, -87.5f, 1e30f, -1e30f, 65504.0f, 65520.0f, 6e-5f, 3e-8f, -2.9e-8f, 0.5f};
    for (int64_t i = 0; i < n; i++) {
        float ordinary = 8 * draw(state);
        x[i] = *state >> 8 & 3 ? ordinary : turning[*state % (sizeof turning / sizeof *turning)];
    }
}

enum { VECTOR = 700 };

static void check_vectors_of(const fc_kernels *isa, int64_t n) {
    const fc_vectors *one = isa->vectors, *other = fc_isa(0)->vectors;
    static float x[VECTOR], y[VECTOR], got[VECTOR], want[VECTOR];
    static uint16_t halves[2][VECTOR];
    uint32_t state = (uint32_t)n;
    fill_turning(x, n, &state);
    fill_vector(y, n, 0, &state);
#define SAME(what, a, b, bytes) expect(!memcmp(a, b, bytes), what, isa->isa, "vector", 1, (long)n)
#define IN_PLACE(what, call_one, call_other)                      \
    do {                                                          \
        memcpy(got, y, sizeof got), memcpy(want, y, sizeof want); \
        one->call_one, other->call_other;                         \
        SAME(what, got, want, (size_t)n * sizeof *got);           \
    } while (0)
    IN_PLACE("norm", norm(y, n, got), norm(y, n, want));
    IN_PLACE("add", add(got, x, n), add(want, x, n));
    IN_PLACE("gate", gate(got, x, n), gate(want, x, n));
    if (n % 4 == 0) IN_PLACE("rotate", rotate(got, x, x + n / 2, (int)n, 0.3f), rotate(want, x, x + n / 2, (int)n, 0.3f));
#undef IN_PLACE
    float products[2] = {one->dot(y, y, n), other->dot(y, y, n)};
    SAME("dot", &products[0], &products[1], sizeof *products);
    one->halve(x, n, halves[0]), other->halve(x, n, halves[1]);
    SAME("halve", halves[0], halves[1], (size_t)n * sizeof **halves);
    int64_t greatest = 0;
    for (int64_t i = 1; i < n; i++) greatest = x[i] > x[greatest] ? i : greatest;
    expect(one->greatest(x, n) == greatest, "greatest", isa->isa, "vector", 1, (long)n);
#undef SAME
}

/* All that an activation holds, whoever laid it out. */
static void check_laid(const fc_kernels *isa, fc_format format, int64_t cols) {
    static float x[MOST_COLS];
    uint32_t state = (uint32_t)cols;
    fc_activation *a = fc_activation_new(cols), *b = fc_activation_new(cols);
    for (int kind = 0; kind < 4; kind++) {
        fill_vector(x, cols, kind, &state);
        fc_activation_lay(isa->vectors, a, format, x, cols);
        fc_activation_set(b, format, x, cols);
        int ok = a->sum == b->sum && !memcmp(a->q, b->q, (size_t)cols) && !memcmp(a->f, b->f, (size_t)cols);
        ok &= !memcmp(a->scale, b->scale, (size_t)(cols / FC_Q8_BLOCK + 1) * sizeof *a->scale);
        ok &= !memcmp(a->lane_sum, b->lane_sum, (size_t)(cols / 16) * sizeof *a->lane_sum);
        expect(ok, "lay", isa->isa, fc_facts(format)->name, 1, (long)cols);
    }
    fc_activation_free(a);
    fc_activation_free(b);
}

static void check_vectors(const fc_kernels *isa) {
    if (!isa->vectors) return;
    for (int64_t n = 1; n <= VECTOR; n++) check_vectors_of(isa, n);
    for (int f = 0; f < FC_FORMATS; f++)
        for (int64_t cols = 32; cols <= MOST_COLS; cols += 32)
            if (fc_row_bytes((fc_format)f, cols) >= 0) check_laid(isa, (fc_format)f, cols);
}

/* Threads take turns at a counter; a barrier that leaks one shows. */
enum { TURNS = 2000 };
typedef struct {
    fc_pool *pool;
    int seen[8], wrong[8];
} turns;

static void take_turns(void *argument, int thread, int threads) {
    turns *t = argument;
    for (int turn = 1; turn <= TURNS; turn++) {
        t->seen[thread] = turn;
        fc_pool_barrier(t->pool, thread);
        for (int i = 0; i < threads; i++) t->wrong[thread] += t->seen[i] != turn;
        fc_pool_barrier(t->pool, thread);
    }
}

static void check_pool(int threads) {
    turns t = {.pool = fc_pool_new(threads)};
    for (int run = 0; run < 3; run++) fc_pool_run(t.pool, take_turns, &t);
    int wrong = 0;
    for (int i = 0; i < threads; i++) wrong += t.wrong[i] + (t.seen[i] != TURNS);
    expect(!wrong, "barrier", "pool", "threads", threads, TURNS);
    fc_pool_free(t.pool);
}

static void check_halves(void) {
    for (uint32_t h = 0; h < 0x7c00; h++)
        expect(fc_half_of_float(fc_float_of_half((uint16_t)h)) == h, "half", "scalar", "f16", 1, (long)h);
}

int main(void) {
    for (int i = 0; i < fc_isa_count(); i++) {
        const fc_kernels *isa = fc_isa(i);
        if (!fc_isa_runs_here(i)) {
            printf("SKIPPED %s: this CPU lacks it\n", isa->isa);
            skipped++;
            continue;
        }
        int before = passed + failed;
        for (int f = 0; f < FC_FORMATS; f++) {
            check_gemv(isa, (fc_format)f);
            check_tall(isa, (fc_format)f);
            check_gemm(isa, (fc_format)f);
        }
        check_attend(isa);
        check_read(isa);
        check_vectors(isa);
        printf("%s: %d checks\n", isa->isa, passed + failed - before);
    }
    for (int f = 0; f < FC_FORMATS; f++) check_packing((fc_format)f);
    for (int threads = 1; threads <= 4; threads++) check_pool(threads);
    check_halves();
    check_decoder();
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
