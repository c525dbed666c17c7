"""The `fitcheck` command: finds the verb, runs it, turns errors into exit codes."""

import gc
import io
import os
import sys
from importlib import import_module
from typing import Any

import click

from fitcheck import __version__
from fitcheck.errors import FitcheckError

# A verb's module is imported when the verb is used: an answer must not wait
# for what another verb needs.
COMMANDS = {
    "plan": "judge every weight format of a model on a machine (the default)",
    "probe": "show this machine and measure its read bandwidth",
    "bench": "time the packed kernels beside the read bandwidth",
    "verify": "run the model's real shape and compare with the prediction",
    "calibrate": "learn from your own runs how fast an engine is here",
    "explain": "derive a model's memory line by line",
    "need": "say what a machine must have for a model at a wished speed",
    "accuracy": "set predictions beside published runs",
    "tui": "try out hardware and see what changes (also: fitcheck alone)",
    "models": "list the models fitcheck knows by name",
    "machines": "list the machines fitcheck knows by name",
    "formats": "list the weight formats, with their bits and engines",
    "claims": "set what articles promise beside what the planner computes",
}


SELDOM = 50_000
"""Objects to make before the collector looks for cycles: modules and plans make none, and it would look at
them again and again."""


class Verbs(click.Group):
    """A group whose verbs load late; anything that is no verb is a model to plan."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"fitcheck.cli.{cmd_name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if not args:
            args = ["tui"]
        if args[0] not in COMMANDS and args[0] not in own:
            args = ["plan", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


# The backspace tells Click to leave the lines of its paragraph as they are.
_HELP = """Will this model, in this format, run on this machine, and how fast?

\b
fitcheck 70b --ram 16G      every format of a 70B model against 16 GiB
fitcheck qwen3-32b          the same on this machine as it is
fitcheck verify 8b --format i2_s

Exit codes: 0 a format fits, 1 none does, 2 the question can't be answered.
"""


@click.group(cls=Verbs, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="fitcheck %(version)s")
def cli() -> None:
    """Every verb's own options follow it."""


def main(argv: list[str] | None = None) -> None:
    """Run one command and leave with its exit code. No error ends in a traceback."""
    gc.set_threshold(SELDOM)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A locale that has no × or – prints a question mark, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    args = sys.argv[1:] if argv is None else argv
    sys.exit(_exit_code(args))


def _exit_code(args: list[str]) -> int:
    try:
        result: Any = cli.main(args, prog_name="fitcheck", standalone_mode=False)
        if sys.stdout is not None:  # as it is where the caller closed it
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except FitcheckError as error:
        return _report(error, args)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "fitcheck"
        return _report(FitcheckError(_plain(error.format_message()), f"see: {command} --help"), args)
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("fitcheck: stopped\n")
        return 130
    except (BrokenPipeError, SystemExit):  # Rich makes the one of the other
        # The reader (head, less) has seen enough.
        _give_up_stdout()
        return 0
    except OSError as error:
        if error.filename is None:  # what was opened has its name: this was written to
            _give_up_stdout()
        where = f"{error.filename}: " if error.filename else ""
        said = f"{where}{(error.strerror or str(error)).lower()}"
        return _report(FitcheckError(said, "check the disk and who may write there"), args)


def _plain(message: str) -> str:
    """What Click says, as the rest of fitcheck would: ``no such option '--foo'; did you mean '--format'?``"""
    return (message[:1].lower() + message[1:].rstrip(".")).replace(". Did", "; did")


def _give_up_stdout() -> None:
    """Send what is left nowhere: Python flushes stdout at exit, and would complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: FitcheckError, args: list[str]) -> int:
    """One line on stderr; with --json an error object on stdout too."""
    if "--json" in args:
        from fitcheck.render.json import error_json  # noqa: PLC0415

        click.echo(error_json(error))
    end = "" if error.message.endswith("?") else ";"
    click.echo(f"fitcheck: {error.message}{end} {error.remedy}", err=True)
    return error.exit_code
