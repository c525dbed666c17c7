"""fitcheck formats: the weight formats, and what a block rule of one's own costs."""

import sys

import click

from fitcheck.cli.numbers import amount_option, count_option
from fitcheck.cli.options import json_option
from fitcheck.errors import BadInput

_SCALE_BITS = 32


@click.command()
@amount_option("--bits", least=0.5, most=64, help="Bits of a weight in a format of your own ...")
@count_option("--block", least=1, most=1 << 20, help="... that shares one scale among so many weights ...")
@count_option("--scale-bits", least=1, most=64, help="... of so many bits [32].")
@json_option
def command(bits: float | None, block: int | None, scale_bits: int | None, as_json: bool) -> int:
    """List the weight formats, or work out a block rule.

    A block of n weights with a scale of b bits costs b/n bits more a weight:
    fitcheck formats --bits 4 --block 64 answers 4.5.
    """
    from fitcheck.footprint.formats import block_overhead_bits  # noqa: PLC0415
    from fitcheck.footprint.mixes import FORMATS  # noqa: PLC0415
    from fitcheck.render import listing  # noqa: PLC0415

    if bits is not None and block is not None:
        scale = scale_bits or _SCALE_BITS
        total = bits + float(block_overhead_bits(block, scale))
        told = f"{bits:g} + {scale}/{block} = {total:g} bits per weight"
        click.echo(listing.rule_as_json(told, total) if as_json else told)
        return 0
    if any(part is not None for part in (bits, block, scale_bits)):
        raise BadInput("a block rule needs both its bits and its block", "for example: --bits 4 --block 64")
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
