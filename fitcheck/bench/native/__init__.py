"""The C extension, with Python's types: the only room that touches it.

Nothing is decided here. Sizes and names go in, seconds and bytes come out, and
every result says which kernel ran. C code runs without the interpreter's lock,
in calls of a few seconds at most if the caller asks for few rounds.
"""

from fitcheck.bench.native.batch import Batch, batch_formats, batch_isa, most_tokens
from fitcheck.bench.native.extension import (
    ISA_VARIABLE,
    available,
    compiler,
    cpu_features,
    isas,
    isas_in_build,
    missing,
)
from fitcheck.bench.native.formats import (
    arrangement,
    dequantise_row,
    formats,
    formats_with_vectors,
    kernel_isa,
    matrix_bytes,
    pack_row,
    pack_rows,
    row_bytes,
    rows_together,
    unpack_row,
)
from fitcheck.bench.native.matrix import Matrix, Timing
from fitcheck.bench.native.memory import Arena, BandwidthReader, Pool, open_reader, read_seconds

__all__ = [
    "ISA_VARIABLE",
    "Arena",
    "BandwidthReader",
    "Batch",
    "Matrix",
    "Pool",
    "Timing",
    "arrangement",
    "available",
    "batch_formats",
    "batch_isa",
    "compiler",
    "cpu_features",
    "dequantise_row",
    "formats",
    "formats_with_vectors",
    "isas",
    "isas_in_build",
    "kernel_isa",
    "matrix_bytes",
    "missing",
    "most_tokens",
    "open_reader",
    "pack_row",
    "pack_rows",
    "read_seconds",
    "row_bytes",
    "rows_together",
    "unpack_row",
]
