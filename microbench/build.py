"""Builds ``fitcheck._native`` from every C file here: setup.py names ``ffibuilder``.

While working on the kernels: ``python setup.py build_ext --inplace``.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

# What fitcheck/bench/native/ calls, of all that fitcheck.h declares.
DECLARATIONS = """
typedef struct { const uint8_t *data; const float *scales; int64_t rows, cols, row_bytes; } fc_matrix;
typedef struct { uint8_t *base; size_t bytes; ...; } fc_arena;
typedef struct { const char *isa; ...; } fc_kernels;
typedef struct { const char *name; int block_weights, block_bytes, scales, together; ...; } fc_format_facts;
typedef struct { int8_t *q; float *scale; int32_t sum; int64_t cols; ...; } fc_activation;
typedef enum { FC_LAST_TERNARY, FC_FORMATS, ... } fc_format;
enum { FC_MOST_TOKENS, ... };
typedef ... fc_pool;

const char *fc_cpu_feature_name(int index);
uint64_t fc_cpu_features(void);
const char *fc_compiler(void);
int fc_isa_count(void);
int fc_isa_by_name(const char *name);
int fc_isa_runs_here(int index);
const fc_kernels *fc_isa(int index);
const fc_kernels *fc_best_gemv(fc_format format, const char *cap);
const fc_kernels *fc_best_gemm(fc_format format, const char *cap);
const fc_kernels *fc_best_batch(fc_format format, int tokens, const char *cap);
const fc_kernels *fc_best_read(const char *cap);

int fc_format_by_name(const char *name);
const fc_format_facts *fc_facts(fc_format format);
int64_t fc_row_bytes(fc_format format, int64_t cols);
int64_t fc_matrix_bytes(fc_format format, int64_t rows, int64_t cols);
int fc_pack_row(fc_format format, const int8_t *weights, int64_t rows, int64_t cols, float scale,
                uint8_t *data, int64_t row);
int fc_unpack_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t row,
                  int8_t *weights);
int fc_dequantise_row(fc_format format, const uint8_t *data, int64_t rows, int64_t cols, int64_t row,
                      float *out);

fc_activation *fc_activation_new(int64_t max_cols);
void fc_activation_free(fc_activation *a);
void fc_activation_set(fc_activation *a, fc_format format, const float *x, int64_t cols);

fc_arena *fc_arena_new(size_t bytes, int huge);
void fc_arena_free(fc_arena *arena);

fc_pool *fc_pool_new(int threads);
void fc_pool_free(fc_pool *pool);
int fc_pool_pinned(const fc_pool *pool);

void fc_fill(fc_pool *pool, fc_format format, uint8_t *data, int64_t rows, int64_t cols, int64_t first,
             int64_t count, uint64_t seed);
void fc_time_read(fc_pool *pool, const fc_kernels *kernels, const uint8_t *data, size_t bytes, int rounds,
                  double *seconds);
void fc_time_gemv(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                  const fc_activation *x, int rounds, int passes, float *y, double *seconds);
void fc_time_gemm(fc_pool *pool, const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                  const fc_activation *const *x, int tokens, int rounds, int passes, float *y,
                  double *seconds);
int64_t fc_check_gemm(const fc_kernels *kernels, fc_format format, const fc_matrix *w,
                      const fc_activation *const *x, int tokens, int64_t row_begin, int64_t row_end);
int64_t fc_check_gemv(const fc_kernels *kernels, fc_format format, const fc_matrix *w, const fc_activation *x,
                      int64_t row_begin, int64_t row_end);
"""


# Of decode.h, for fitcheck/bench/native/decoder.py.
DECODER = """
typedef struct { fc_matrix matrix; fc_format format; } fc_packed;
typedef struct {
    fc_packed gate, up, down; int64_t size; int experts, active; const float *router;
} fc_ffn;
typedef struct {
    fc_packed q, k, v, o; int heads, kv_heads, head_dim; int64_t window;
    uint16_t *k_cache, *v_cache; int ffns; fc_ffn ffn[2];
} fc_layer;
typedef struct {
    int64_t hidden, cells; int layers; fc_layer *layer; fc_packed embedding, output;
} fc_shape;
typedef ... fc_decoder;

fc_decoder *fc_decoder_new(fc_pool *pool, const fc_shape *shape, const char *cap);
void fc_decoder_free(fc_decoder *decoder);
typedef struct { double layers, output, reading; int64_t bytes_read; } fc_step;
fc_step fc_decoder_step(fc_decoder *decoder, int64_t depth, int between);
const float *fc_decoder_logits(const fc_decoder *decoder);
"""


def relative(path: Path) -> str:
    """Setuptools wants sources relative to the project's root."""
    return os.path.relpath(path, HERE.parent)


ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS + DECODER)
ffibuilder.set_source(
    "fitcheck._native",
    '#include "decode.h"',
    sources=[relative(path) for path in sorted(HERE.glob("*.c")) if not path.name.startswith("selftest")],
    include_dirs=[relative(HERE)],
    depends=[relative(path) for path in sorted([*HERE.glob("*.h"), *HERE.glob("*.def")])],
    # No contraction: a multiplication and an addition round twice in every kernel alike.
    extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off", "-pthread"],
    extra_link_args=["-pthread"],
    libraries=["m"],
)
