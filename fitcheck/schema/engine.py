"""An Engine: what a program that runs models was measured to do with a machine."""

from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

from fitcheck.schema.machine import Basis, Pages

Device = Literal["cpu", "gpu"]

OWN_ENGINE = "fitcheck"
"""The engine whose kernels bench and verify run. It measures; people run models with the others."""


# Of code whose overlap nobody timed: llama.cpp's Q8_0, Q6_K and Q4_K dots on one Zen 4
# core (cached 30.5, 31.5, 23.6 GB/s beside reads of 32.3 stream at 27.7, 28.6, 22.5).
OVERLAP = 4.0


@dataclass(frozen=True, slots=True)
class TypeRate:
    """Weights of a type one core multiplies a second with an ISA, memory aside.

    A core alone does more than one beside others at work: they share clock and
    cache, and wait for the last after every product. ``parallel_share`` of the
    rate is left to each; 1 where the rate was seen with all of them at work.
    All of it is reached for a further token, whose weights lie in the cache
    already. Threads then take few rows in turn, and the memory starts anew for
    each of them: ``turn_s`` a row.

    Code for many tokens starts with ``since`` of them, takes them in tiles of
    ``block`` that it fills up where there are fewer, and does half of its rate
    where ``half_at`` are there. A type may have several. Those with ``experts``
    multiply the tokens that an expert got, too. A weight of a row that must be
    read in short pieces takes ``odd_s`` more.

    ``overlap`` tells how far it multiplies while it reads: where reading takes a
    and multiplying b seconds, both take (a^n + b^n)^(1/n). 1 is one after the
    other; the larger, the more the longer of them hides the shorter.
    """

    type: str
    isa: str
    weights_per_s: float
    parallel_share: float = 1.0
    turn_s: float = 0.0
    since: int = 1
    block: int = 1
    half_at: float = 0.0
    overlap: float = OVERLAP
    experts: bool = False
    odd_s: float = 0.0

    def seconds_of_many(self, tokens: float) -> float:
        """Of one core for one weight times so many tokens."""
        return (self.block * ceil(tokens / self.block) + self.half_at) / self.weights_per_s


class Stall(NamedTuple):
    """What a core waits for one cell of a key and value head: its rows lie too far apart to be guessed.

    Rows of ``row_bytes`` and more, which all heads of a layer share, and heads
    for which the loop takes ``steps`` or more: a load that sees one stride is
    fetched ahead, two in turn are not, and from four on a head's part of the
    row looks like a stream.
    """

    steps: int
    row_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class AttentionRate:
    """What attention costs one core.

    Each query head meets each cached key and value of its group, so grouped
    queries cost more products than the cache has elements: a score takes
    ``score_s`` for its sum and its exponential, and its products on top.
    Cells between the last token and the padded end are masked: multiplied like
    the rest, or skipped one by one. Where threads share cells rather than
    heads, each has an equal part of the padded ones, and the first parts are
    full. Where they take blocks of cells in turn, a block is news to each.
    """

    kv_type: str
    flash_attention: bool
    products_per_s: float
    isa: str | None = None  # None: as good for any
    score_s: float = 0.0
    step: int = 1  # elements of a head that the loop takes at once; what is over it takes one by one
    rest_s: float = 0.0  # of an element that is over
    cache_bytes_per_s: float | None = None  # None: reading keys and values hides behind the arithmetic
    stalls: tuple[Stall, ...] = ()
    turn_s: float = 0.0  # of a cell in a block of 16 query heads, on several cores
    skips_masked: bool = False
    shares_cells_from: int | None = None  # padded cells; None: threads share heads


@dataclass(frozen=True, slots=True)
class GpuFamily:
    """What the engine reaches on GPUs whose name has one of ``words``: whole words, in small letters."""

    words: tuple[str, ...]
    read_efficiency: float
    overhead_s_per_layer: float
    source: str


@dataclass(frozen=True, slots=True)
class Link:
    """What a sum over several cards takes whose name has one of ``words``; of any, where there are none.

    A ring of n cards passes its parts on 2 (n - 1) times, each of ``step_s``;
    2 (n - 1) / n of the bytes pass at ``bytes_per_s``.
    """

    name: str
    words: tuple[str, ...]
    base_s: float
    step_s: float
    bytes_per_s: float
    source: str


@dataclass(frozen=True, slots=True)
class LaneCost:
    """Instructions of one GPU lane that a weight of these types costs, unpacking included."""

    types: tuple[str, ...]
    per_weight: float
    source: str


@dataclass(frozen=True, slots=True)
class Residual:
    """Measured speed over expected speed: the 10th and 90th percentile of real runs."""

    basis: Basis
    low: float
    high: float
    runs: int
    source: str


class Sockets(NamedTuple):
    """What the engine reaches where its threads read the memories of two sockets, wherever pages lie."""

    share: float  # of what it would reach if each thread read its own socket's
    low: float  # real runs over what that share gives: the least and the most
    high: float
    runs: int
    source: str


class Routing(NamedTuple):
    """What experts cost a CPU beside the bytes they read and the weights they multiply.

    A token picks its experts in every layer that has them, meets each one's
    matrices where no prefetcher expects them, and adds up what they say by
    their weights, number by number.
    """

    layer_s: float  # to pick them
    matrix_s: float  # of each matrix of each expert met
    sum_s: float  # of one core, for a number that one expert says


class ConversionStep(NamedTuple):
    """What a step before the first token takes, in times of the sizes it handles.

    The weights in 16 bits are ``source``, in the format asked for ``target``;
    ``largest`` is the largest tensor in 16 bits, its rows counted whole.
    None: nobody measured it.
    """

    step: str
    needs_quantizing: bool  # only formats of fewer than 16 bits go through it
    ram_fixed_bytes: int | None
    ram_source: float
    ram_target: float
    ram_largest: float
    disk_source: float
    disk_target: float
    source: str


class Buffer(NamedTuple):
    """What an engine keeps beside weights and cache, as multiples of a model's widths.

    The counts are rows of ``element_bytes`` an element, for each token of a
    step, for each slot, or once. Of those with one name the largest counts:
    they share their memory.
    """

    what: str
    tokens: Literal["step", "slot", "once"]
    source: str
    step: int | None = None  # most tokens of a step; None: the whole context
    element_bytes: float = 2.0
    hidden: float = 0.0
    ffn: float = 0.0  # of the widest feed-forward block, or the experts a token passes
    queries: float = 0.0
    keys: float = 0.0
    vocab: float = 0.0
    ffn_matrix: float = 0.0  # whole matrices
    output_matrix: float = 0.0
    most_bytes: int | None = None
    fixed_bytes: int = 0


class EngineMemory(NamedTuple):
    """How an engine keeps weights, and what it may take of a device."""

    mapped: bool = False  # weights are pages of the file, unless a device can't
    repacks: bool = False  # rearranges weights for the CPU's instructions
    splits: bool = False  # some layers on GPUs, the rest in RAM
    share: float | None = None  # of a GPU's whole memory; None: all but the reserve
    tables_on_cards: bool = True  # the embedding table lies with the layers
    several_cards: Literal["layers", "tensors"] = "layers"  # each holds some, or a part of every one
    flags: Literal["llama.cpp", "ollama", "vllm"] | None = None  # whose options to print
    conversions: tuple[ConversionStep, ...] = ()
    notes: tuple[str, ...] = ()  # what to say of its memory, above all what isn't known
    buffers: tuple[Buffer, ...] = ()  # none: they are counted as llama.cpp's
    source: str = ""


NO_RULES = EngineMemory()


@dataclass(frozen=True, slots=True)
class PrefillAttention:
    """Products of queries with cells that one core forms a second when many tokens attend at once."""

    flash_attention: bool
    products_per_s: float


@dataclass(frozen=True, slots=True)
class PrefillGpu:
    """What a GPU whose name has one of ``words`` does with a prompt: weights x tokens a second.

    F16 and BF16 matrices run at ``half_weights_per_s``, None where nobody
    published it; all others are quantized.
    """

    words: tuple[str, ...]
    quantized_weights_per_s: float
    half_weights_per_s: float | None
    products_per_s: float  # of attention
    source: str


@dataclass(frozen=True, slots=True)
class PrefillLanes:
    """The same for GPUs of a kind that nobody named: weights x tokens for an operation of all lanes."""

    words: tuple[str, ...]
    quantized: float
    half: float
    products: float  # of attention
    source: str


@dataclass(frozen=True, slots=True)
class Prefill:
    """What the engine was measured to do with a whole prompt, apart from decoding token by token."""

    rates: tuple[TypeRate, ...] = ()  # weights x tokens that one core multiplies a second
    attention: tuple[PrefillAttention, ...] = ()
    gpus: tuple[PrefillGpu, ...] = ()
    lanes: tuple[PrefillLanes, ...] = ()
    queued_layers: float | None = None  # that a card takes before their turn; None: never timed on several


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's own numbers, from its profile file."""

    name: str
    source: str
    device: Device
    pages: Pages  # what it reads weights through: a mapped file has 4 KiB pages
    read_efficiency: float  # share of the read bandwidth on such pages it reaches
    overhead_s_per_layer: float  # synchronisation and small operations
    overhead_s_per_further_token: float = 0.0  # and layer: what comes beside the products of a pass
    overhead_s: float = 0.0  # of a token, whatever the model: sampling, starting the graph
    overhead_s_per_product: float = 0.0  # a matrix begins: the memory's latency, threads that wait
    overlap: float = OVERLAP  # of its own code where a machine's kernels were timed, as TypeRate has it
    overhead_s_per_number: float = 0.0  # of a layer's vectors: norms, quantising, gating between the products
    routing: Routing | None = None  # None: nobody measured it
    draft_checks: bool = False  # a draft takes in all tokens of a pass once more, after those it guessed
    cell_padding: int = 1  # attention runs over whole multiples of so many cells
    cache_efficiency: float = 1.0  # share of the bandwidth at which the cache is read
    rates: tuple[TypeRate, ...] = ()
    attention: tuple[AttentionRate, ...] = ()
    reference: tuple[TypeRate, ...] = ()  # fitcheck's own kernels on the core of the rates
    families: tuple[GpuFamily, ...] = ()  # GPUs unlike those of the figures above
    lane_costs: tuple[LaneCost, ...] = ()  # types that keep a GPU's arithmetic busy
    links: tuple[Link, ...] = ()  # between cards that work on one layer together, the general one last
    sockets: Sockets | None = None  # None: its threads read what lies beside their own socket
    vendors: tuple[str, ...] = ()  # whose GPUs it runs on, in small letters; empty: any
    gpu_only: bool = False  # it has no code for CPUs; False says nothing of what isn't measured
    fitted: tuple[str, ...] = ()  # the figures that published runs decide: fields, or "rates/<isa>/<type>"
    residuals: tuple[Residual, ...] = ()
    flash_attention_default: bool = True
    memory: EngineMemory = NO_RULES
    base: str | None = None  # the engine whose code it runs, and whose formats
    prefill: Prefill | None = None  # None: never measured
    calibrated_by: int = 0  # runs of the user's own that moved the figures above
