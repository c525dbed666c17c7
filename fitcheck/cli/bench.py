"""fitcheck bench: packed kernels beside the read bandwidth."""

import sys

import click

from fitcheck.cli.numbers import count_option
from fitcheck.cli.options import format_option, json_option, threads_option
from fitcheck.errors import BadInput


@click.command()
@format_option
@threads_option
@count_option("--batch", least=2, most=8, metavar="2..8", help="So many tokens at once, too.")
@json_option
def command(formats: tuple[str, ...], threads: int | None, batch: int | None, as_json: bool) -> int:
    """Check each packed kernel against the scalar one, then time it.

    Each round reads the packed bytes plainly and then multiplies by them:
    the share says how much of the read bandwidth the kernel reaches. What one
    core does from its cache is kept, and predictions use it. With --batch,
    each kernel that unpacks its weights once for several tokens is timed
    beside the product with one. Formats that no vector kernel of this
    processor knows are timed where --format names them.
    """
    from fitcheck.bench import native  # noqa: PLC0415
    from fitcheck.bench.run import run_benchmark  # noqa: PLC0415
    from fitcheck.probe import probe_machine  # noqa: PLC0415
    from fitcheck.probe.cache import remember  # noqa: PLC0415
    from fitcheck.probe.machine import buffer_bytes  # noqa: PLC0415
    from fitcheck.render.progress import progress_bar  # noqa: PLC0415

    known = native.batch_formats() if batch else native.formats()
    fast = tuple(name for name in native.formats_with_vectors() if name in known)
    chosen = tuple(name.lower() for name in formats) or fast
    if unknown := [name for name in chosen if name not in known]:
        raise BadInput(f"no such kernel for {unknown[0]!r}", f"choose from {', '.join(known)}")
    chosen = tuple(dict.fromkeys(map(native.arrangement, chosen)))
    machine = probe_machine()
    with progress_bar("timing kernels", sys.stderr) as advance:
        result = run_benchmark(machine, chosen, threads, buffer_bytes(machine), batch=batch, progress=advance)
    kept = {rate.format: rate for rate in (*machine.kernel_rates, *result.rates)}
    left_out = [] if formats else [name for name in known if name not in fast]
    note = remember(machine, kernel_rates=kept.values())
    if as_json:
        from fitcheck.render.json import bench_json  # noqa: PLC0415

        click.echo(bench_json(result.benchmark))
    else:
        from fitcheck.render.bench import print_benchmark  # noqa: PLC0415

        print_benchmark(result.benchmark, sys.stdout)
    if left_out:
        click.echo(
            f"fitcheck: only scalar code here, left out: {', '.join(left_out)} (ask with --format)", err=True
        )
    if note:
        click.echo(f"fitcheck: {note}", err=True)
    return 0
