"""The verbs, how their help looks, and how every end of a run becomes one line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final, NoReturn

import click

from bafl import __version__
from bafl.errors import BaflError
from bafl.foreign import printable_lines

INTERRUPTED: Final = 130

SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Start": ("devnet", "key", "new", "join"),
    "Take part": ("run", "claim", "leave"),
    "Look": ("status", "watch", "audit", "pull"),
    "Own a federation": ("fund", "invite", "pause", "close"),
}
"""Every verb; each lives in `bafl.cli.verbs.<verb>` as `command`."""

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 refused, 2 wrong usage or settings, 3 the outside world (RPC, IPFS, "
    "data) cannot be reached or is not as it should be, 130 interrupted. What runs until Ctrl-C "
    "(devnet, run, watch) ends with 0."
)


class Verb(click.Command):
    """A command whose help begins with an example that works."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example, then what click writes."""
        _examples(formatter, self.example)
        super().format_help(ctx, formatter)


class VerbGroup(click.Group):
    """A verb with verbs of its own, and an example that works."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example, then what click writes."""
        _examples(formatter, self.example)
        super().format_help(ctx, formatter)


class Verbs(VerbGroup):
    """The root; loads a verb's module when the verb is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs in the order of the help."""
        return [verb for verbs in SECTIONS.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb; None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"bafl.cli.verbs.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, but a wrong verb hears which ones there are."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.exceptions.NoSuchCommand(
                args[0], possibilities=self.list_commands(ctx), ctx=ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by what they are for."""
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                commands = [(verb, self.get_command(ctx, verb)) for verb in verbs]
                formatter.write_dl(
                    [(verb, c.get_short_help_str(limit=80)) for verb, c in commands if c]
                )


def _examples(formatter: click.HelpFormatter, example: str) -> None:
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
    formatter.write_paragraph()


@click.command(
    cls=Verbs,
    example=(
        "bafl devnet --folder devnet\n"
        "bafl new federation.toml --config devnet/owner.toml\n"
        "bafl run --config node.toml"
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="bafl")
def root() -> None:
    """Federated learning without a server: participants train one model together, a contract keeps
    the books, IPFS carries the weights, and nobody waits for the slowest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. arguments: without the program's name."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        root.main(args=arguments, prog_name="bafl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BaflError as error:
        if os.environ.get("BAFL_DEBUG"):
            traceback.print_exception(error)
        _say(f"{error}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted", label="")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("BAFL_DEBUG"):
            raise
        _say(
            f"this should not have happened: {type(error).__name__}: {error}\n"
            "Run it again with BAFL_DEBUG=1 and report what you see."
        )
        return 1
    return 0


def _say(text: str, label: str = "Error: ") -> None:
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    shown = click.style(label, fg="red", bold=True) if red and label else label
    click.echo(shown + printable_lines(text), err=True)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
