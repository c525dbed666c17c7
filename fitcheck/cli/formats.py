"""fitcheck formats: the weight formats, and what a block rule of one's own costs."""

import sys

import click

from fitcheck.cli.options import json_option
from fitcheck.errors import BadInput


@click.command()
@click.option("--bits", type=click.FloatRange(0.5, 64), help="Bits of a weight in a format of your own ...")
@click.option(
    "--block", type=click.IntRange(1, 1 << 20), help="... that shares one scale among so many weights ..."
)
@click.option(
    "--scale-bits", type=click.IntRange(1, 64), default=32, show_default=True, help="... of so many bits."
)
@json_option
def command(bits: float | None, block: int | None, scale_bits: int, as_json: bool) -> int:
    """List the weight formats, or work out a block rule.

    A block of n weights with a scale of b bits costs b/n bits more a weight:
    fitcheck formats --bits 4 --block 64 answers 4.5.
    """
    from fitcheck.footprint.formats import block_overhead_bits  # noqa: PLC0415
    from fitcheck.footprint.mixes import FORMATS  # noqa: PLC0415
    from fitcheck.render import listing  # noqa: PLC0415

    if (bits is None) != (block is None):
        raise BadInput("a block rule needs both its bits and its block", "for example: --bits 4 --block 64")
    if bits is not None and block is not None:
        total = bits + float(block_overhead_bits(block, scale_bits))
        click.echo(f"{bits:g} + {scale_bits}/{block} = {total:g} bits per weight")
        return 0
    rows = [
        {
            "name": fmt.name,
            "family": fmt.family,
            "engines": list(fmt.engines),
            "ternary": fmt.ternary,
            "description": fmt.description,
        }
        for fmt in FORMATS.values()
    ]
    if as_json:
        click.echo(listing.as_json("formats", rows))
    else:
        listing.print_formats(rows, sys.stdout)
    return 0
