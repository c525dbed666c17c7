"""fitcheck claims: what articles promise, beside what the planner computes."""

import sys
from dataclasses import asdict

import click

from fitcheck.cli.options import json_option
from fitcheck.schema.claim import Claim, Finding
from fitcheck.schema.engine import Engine


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Set figures that articles print beside what fitcheck computes for the same model and machine."""
    from fitcheck.sources.claims import load_claims  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415

    engines = load_engines()
    findings = [_judged(claim, engines) for claim in load_claims()]
    if as_json:
        from fitcheck.render.listing import as_json as listed  # noqa: PLC0415

        click.echo(listed("claims", [asdict(finding) for finding in findings]))
    else:
        from fitcheck.render.claims import print_claims  # noqa: PLC0415

        print_claims(findings, sys.stdout)
    return 0


def _judged(claim: Claim, engines: tuple[Engine, ...]) -> Finding:
    from fitcheck.claims import judge  # noqa: PLC0415
    from fitcheck.sources.catalog import load_model  # noqa: PLC0415
    from fitcheck.sources.machines import find_machine  # noqa: PLC0415

    machine = find_machine(claim.machine) if claim.machine else None
    return judge(claim, load_model(claim.model), machine, engines)
