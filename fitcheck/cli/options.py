"""Options that several commands share; what they ask for is made in ``asked``."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fitcheck.cli.numbers import amount_option, count_option
from fitcheck.footprint.kv_cache import KV_TYPES
from fitcheck.sources.overrides import parse_bus
from fitcheck.units import parse_bandwidth, parse_capacity, parse_tokens

Command = TypeVar("Command", bound=Callable[..., Any])


def _option(
    name: str, metavar: str, parse: Callable[[str], Any], help: str, default: str | None = None
) -> Callable[[Command], Command]:
    """An option whose text one of the functions of units.py parses."""

    def convert(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
        return None if text is None else parse(text)

    return click.option(name, metavar=metavar, callback=convert, default=default, help=help)


def _parse_reserve(text: str) -> int:
    return 0 if text.strip() in ("0", "none") else parse_capacity(text)


def _parse_depth(text: str) -> int:
    return 0 if text.strip() == "0" else parse_tokens(text)


ram_option = _option(
    "--ram", "SIZE", parse=parse_capacity, help="RAM in GiB: 16, 16G, 16GB and 16GiB are the same."
)
bandwidth_option = _option(
    "--bandwidth", "GB/S", parse=parse_bandwidth, help="Bandwidth that reads of memory achieve, in GB/s."
)
memory_option = _option("--memory", "BUS", parse=parse_bus, help="Memory modules as channels x MT/s: 2x5600.")
reserve_option = _option(
    "--reserve",
    "SIZE",
    parse=_parse_reserve,
    help="Memory left to the operating system; 0: none [an eighth, at most 2G].",
)
context_option = _option(
    "--context",
    "TOKENS",
    parse=parse_tokens,
    help="Tokens of context, as 8192 or 8k [4k, or what the model knows].",
)
depth_option = _option(
    "--depth",
    "TOKENS",
    parse=_parse_depth,
    default="0",
    help="Tokens in the cache when speed is asked for [0].",
)
prompt_option = _option(
    "--prompt", "TOKENS", parse=parse_tokens, help="Tokens before the first answer [the whole context]."
)
kv_type_option = click.option(
    "--kv-type", type=click.Choice(KV_TYPES, case_sensitive=False), default="f16", show_default=True,
    help="The type of the KV cache.",
)  # fmt: skip


def _once(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name as it was first written."""
    return tuple({name.casefold(): name for name in reversed(names)}.values())[::-1]


format_option = click.option(
    "--format", "formats", multiple=True, metavar="FORMAT", callback=_once,
    help="This weight format only (may be repeated).",
)  # fmt: skip
ubatch_option = count_option(
    "--ubatch", least=1, most=65536, default=512, help="Tokens of a prefill step [512]."
)
gpu_options = (
    click.option(
        "--gpu", "gpu_names", multiple=True, metavar="NAME",
        help="A graphics card of the catalogue: rtx-3090 or 2xrtx-3090 (may be repeated).",
    ),
    _option("--vram", "SIZE", parse=parse_capacity, help="GiB of each card; alone, a nameless card."),
    click.option("--no-gpu", is_flag=True, help="Plan for the CPU and its RAM only."),
)  # fmt: skip
disk_option = _option(
    "--disk", "GB/S", parse=parse_bandwidth, help="What files are read at, where weights don't fit, in GB/s."
)
slots_option = count_option("--slots", least=1, most=256, default=1, help="Sequences served at once [1].")
flash_attention_option = click.option(
    "--flash-attn", type=click.Choice(("auto", "on", "off")), default="auto", show_default=True,
    help="Flash attention, as the engine chooses or forced.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
threads_option = count_option("--threads", least=1, most=4096, help="Threads that decode.")


def machine_options(command: Command) -> Command:
    """--machine and what overrides it, one thing each."""
    for option in reversed(
        (
            click.option(
                "--machine", "machine_name", metavar="NAME", help="A machine of the catalogue, not this one."
            ),
            ram_option,
            memory_option,
            bandwidth_option,
            threads_option,
            click.option(
                "--simd", metavar="LIST", help="SIMD features, for example avx2 or avx2,avx512vnni."
            ),
            *gpu_options,
            disk_option,
            reserve_option,
        )
    ):
        command = option(command)
    return command


def placement_options(command: Command) -> Command:
    """What is asked of the placement: layers on GPUs, experts in RAM, how weights are loaded."""
    for option in reversed(
        (
            count_option(
                "-ngl", "--gpu-layers", least=0,
                help="Layers on GPUs, the output counted [the fastest that fit].",
            ),
            count_option(
                "--n-cpu-moe", "cpu_moe_layers", least=0,
                help="Layers whose experts stay in RAM [as few as need be].",
            ),
            click.option("--no-mmap", is_flag=True, help="Load weights instead of mapping the file."),
            click.option("--no-repack", is_flag=True, help="Leave weights as the file has them."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def pass_options(command: Command) -> Command:
    """What one pass computes: several sequences, and tokens that a draft guesses."""
    for option in reversed(
        (
            count_option(
                "--batch", least=1, most=256, default=1,
                help="Sequences that decode together; tokens/s are of all of them [1].",
            ),
            count_option(
                "--speculate", least=0, most=64, default=0, metavar="TOKENS",
                help="Tokens that a draft guesses for each pass [0].",
            ),
            amount_option(
                "--accept", least=0, most=1, metavar="SHARE", help="Share of them that is taken [0.7].",
            ),
            _option(
                "--draft-size", "SIZE", parse=_parse_reserve,
                help="GiB of the draft's weights [0: guessed from the text, at no cost].",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command
