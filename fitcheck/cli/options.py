"""Options that several commands share, and the Machine and Request they make."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from fitcheck.errors import BadInput
from fitcheck.footprint.kv_cache import KV_TYPES
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.request import Request
from fitcheck.sources.overrides import Overrides, imagine, parse_bus, parse_cards
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
    "--reserve", "SIZE", parse=_parse_reserve, help="Memory left to the operating system (0 for none)."
)
context_option = _option(
    "--context", "TOKENS", parse=parse_tokens, help="Tokens of context to plan for: 4096 or 4k."
)
depth_option = _option(
    "--depth", "TOKENS", parse=_parse_depth, default="0", help="Tokens in the cache when speed is asked for."
)
prompt_option = _option(
    "--prompt", "TOKENS", parse=parse_tokens, help="Tokens before the first answer [the whole context]."
)
kv_type_option = click.option(
    "--kv-type", type=click.Choice(KV_TYPES, case_sensitive=False), default="f16", show_default=True,
    help="The type of the KV cache.",
)  # fmt: skip
format_option = click.option(
    "--format", "formats", multiple=True, metavar="FORMAT", help="This weight format only (may be repeated)."
)
ubatch_option = click.option(
    "--ubatch", type=click.IntRange(1, 65536), default=512, help="Tokens of a prefill step [512]."
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
slots_option = click.option(
    "--slots", type=click.IntRange(1, 256), default=1, help="Sequences served at once [1]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
threads_option = click.option("--threads", type=click.IntRange(1, 4096), help="Threads that decode.")


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
            click.option(
                "-ngl", "--gpu-layers", type=click.IntRange(min=0),
                help="Layers on GPUs, the output counted [the fastest that fit].",
            ),
            click.option(
                "--n-cpu-moe", "cpu_moe_layers", type=click.IntRange(min=0),
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
            click.option(
                "--batch", type=click.IntRange(1, 256), default=1,
                help="Sequences that decode together; tokens/s are of all of them [1].",
            ),
            click.option(
                "--speculate", type=click.IntRange(0, 64), default=0, metavar="TOKENS",
                help="Tokens that a draft guesses for each pass [0].",
            ),
            click.option(
                "--accept", type=click.FloatRange(0, 1), default=0.7, metavar="SHARE",
                help="Share of them that is taken [0.7].",
            ),
            _option(
                "--draft-size", "SIZE", parse=_parse_reserve, default="0",
                help="GiB of the draft's weights; 0: guessed from the text, at no cost.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def machine_from(options: Mapping[str, Any]) -> Machine:
    """The probed machine, or the named one, with what ``machine_options`` took put in its place."""
    simd = options["simd"]
    return imagine(
        base_machine(options["machine_name"]),
        Overrides(
            ram_bytes=options["ram"],
            bandwidth_bytes_per_s=options["bandwidth"],
            bus=options["memory"],
            threads=options["threads"],
            simd=None if simd is None else _features(simd),
            gpus=_cards(options["gpu_names"], options["no_gpu"]),
            vram_bytes=options["vram"],
            disk_bytes_per_s=options["disk"],
        ),
    )


def _cards(names: Sequence[str], none: bool) -> tuple[Gpu, ...] | None:
    if none and names:
        raise BadInput("--gpu and --no-gpu contradict each other", "say one of them")
    if not names:
        return () if none else None
    return tuple(card for name in names for card in parse_cards(name))


def base_machine(name: str | None) -> Machine:
    """The machine of that name, or this one, before anything overrides it."""
    if name is not None:
        from fitcheck.sources.machines import find_machine  # noqa: PLC0415

        return find_machine(name)
    from fitcheck.probe import probe_machine  # noqa: PLC0415

    return probe_machine()


def request_from(options: Mapping[str, Any]) -> Request:
    """What the options that plan and explain share ask of an engine and its memory."""
    return Request(
        context=options["context"],
        kv_type=options["kv_type"],
        ubatch=options["ubatch"],
        slots=options["slots"],
        threads=options["threads"],
        reserve_bytes=options["reserve"],
        gpu_layers=options["gpu_layers"],
        cpu_moe_layers=options["cpu_moe_layers"],
        mmap=not options["no_mmap"],
        repack=not options["no_repack"],
    )


def engines_of(machine: Machine) -> tuple[Engine, ...]:
    """The engines, as the user's own runs on that machine moved them."""
    from fitcheck.sources.calibration_path import has_calibration  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415

    if not has_calibration(machine):
        return load_engines()
    from fitcheck.calibrate import engines_here  # noqa: PLC0415

    engines, notice = engines_here(machine, load_engines())
    if notice:
        click.echo(f"fitcheck: {notice}", err=True)
    return engines


def _features(text: str) -> tuple[str, ...]:
    """Feature names, with or without their underscores: avx512vnni is avx512_vnni."""
    from fitcheck.probe.simd import FEATURES  # noqa: PLC0415

    known = {feature.replace("_", ""): feature for feature in FEATURES}
    typed = [
        part.strip().lower().replace("-", "").replace("_", "") for part in text.split(",") if part.strip()
    ]
    unknown = [feature for feature in typed if feature not in known]
    if unknown or not typed:
        raise BadInput(f"{(unknown or [text])[0]!r} is no SIMD feature", f"choose from {', '.join(FEATURES)}")
    return tuple(known[feature] for feature in typed)
