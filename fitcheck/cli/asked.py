"""What the shared options ask for: a Machine, a Request, the engines."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from fitcheck.errors import BadInput
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.request import Request
from fitcheck.sources.overrides import Overrides, imagine, parse_cards
from fitcheck.units import gib


def typed(*names: str) -> str | None:
    """The first of these parameters that stood on the command line, as it is written there."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return max(parameter.opts, key=len)
    return None


def machine_from(options: Mapping[str, Any]) -> Machine:
    """The probed machine, or the named one, with what ``machine_options`` took put in its place."""
    simd = options["simd"]
    machine = imagine(
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
    reserve, ram = options["reserve"] or 0, machine.ram_bytes
    if ram is not None and reserve >= ram:
        raise BadInput(f"--reserve leaves nothing of {gib(ram)}", f"say less than {gib(reserve)}")
    return machine


def pass_from(options: Mapping[str, Any]) -> dict[str, Any]:
    """What ``pass_options`` took, as fields of a Request. Raises BadInput for a draft without guesses."""
    said = {"accept": options["accept"], "draft_bytes": options["draft_size"]}
    given = {field: value for field, value in said.items() if value is not None}
    if given and not options["speculate"]:
        raise BadInput(
            "--accept and --draft-size tell of a draft, and none was asked for", "add --speculate 4"
        )
    return {"batch": options["batch"], "speculate": options["speculate"], **given}


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
