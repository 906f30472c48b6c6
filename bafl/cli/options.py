"""Options that verbs share, and the settings they amount to with the node file."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from bafl.cli.output import Output

if TYPE_CHECKING:
    from bafl.settings import NodeSettings
    from bafl.units import Amount

DEFAULT_FILE = "node.toml"

P = ParamSpec("P")
R = TypeVar("R")
Function = Callable[..., Any]


def output_options(function: Function) -> Function:
    """Add --json and --full; the verb gets `output`."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
    @click.option("--full", is_flag=True, help="Addresses and digests whole.")
    @functools.wraps(function)
    def wrapper(*args: Any, as_json: bool, full: bool, **kwargs: Any) -> Any:
        return function(*args, output=Output(as_json, full), **kwargs)

    return wrapper


_SETTINGS: tuple[tuple[str, str, str], ...] = (
    ("rpc", "URL", "The chain's RPC."),
    ("federation", "ADDRESS", "The federation's contract."),
    ("store", "STORE", "Where payloads are: local:FOLDER or kubo:MULTIADDR."),
    ("home", "FOLDER", "Where the node keeps its journal."),
    ("keystore", "FILE", "The account's encrypted key; or set BAFL_PRIVATE_KEY."),
    ("password_file", "FILE", "File with its password; or set BAFL_KEYSTORE_PASSWORD."),
)


def session_options(function: Function) -> Function:
    """Add --config, what overrides it, --json and --full; the verb gets `session`."""

    @click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        envvar="BAFL_CONFIG",
        metavar="FILE",
        help=f"Node file; {DEFAULT_FILE} if there is one.",
    )
    @click.option(
        "--chain-id", type=int, envvar="BAFL_CHAIN_ID", metavar="ID", help="Refuse other chains."
    )
    @click.option(
        "--gateway",
        "gateways",
        multiple=True,
        envvar="BAFL_GATEWAYS",
        metavar="URL",
        help="An IPFS gateway to ask for what the store does not give; may be repeated.",
    )
    @output_options
    @functools.wraps(function)
    def wrapper(*args: Any, config: Path | None, output: Output, **kwargs: Any) -> Any:
        names = [name for name, _, _ in _SETTINGS] + ["chain_id"]
        given = {name: kwargs.pop(name) for name in names}
        given["gateways"] = kwargs.pop("gateways") or None
        from bafl.cli import logs
        from bafl.cli.session import Session

        logs.set_up()
        session = Session(_settings(config, given), output, _given(config, given))
        return function(*args, session=session, **kwargs)

    for name, metavar, text in reversed(_SETTINGS):
        option = click.option(
            f"--{name.replace('_', '-')}", envvar=f"BAFL_{name.upper()}", metavar=metavar, help=text
        )
        wrapper = option(wrapper)
    return wrapper


def _given(config: Path | None, given: dict[str, Any]) -> dict[str, str]:
    """Return what stood on the command line itself, URLs without what may be a key."""
    from bafl.urls import masked

    context = click.get_current_context()
    return {
        "-c" if name == "config" else f"--{name.replace('_', '-')}": (
            masked(str(value)) if name == "rpc" else str(value)
        )
        for name, value in {"config": config, **given}.items()
        if name != "gateways"
        and context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
    }


def _settings(config: Path | None, given: dict[str, Any]) -> NodeSettings:
    from bafl.settings import NodeSettings

    if config is None and Path(DEFAULT_FILE).is_file():
        config = Path(DEFAULT_FILE)
    settings = NodeSettings.load(config) if config else NodeSettings()
    return settings.replace("the command line (or environment)", **given)


def task_option(function: Function) -> Function:
    """Add --task KEY=VALUE; the verb gets `task`, a dictionary."""
    return click.option(
        "--task",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_task_settings,
        help="A setting of the participant's own task, such as participant=3.",
    )(function)


def _task_settings(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for item in value:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{item!r} is not KEY=VALUE", ctx, param)
        try:
            settings[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = text  # a word without quotes
    return settings


def amount(value: object) -> Amount:
    """Read an amount with a unit, such as `0.1 ether` or `25 USDC`: a type of click's.

    Only the federation knows what it is in: see `Session.amount`.
    """
    from bafl import units

    return value if isinstance(value, units.Amount) else _parsed(value, units.read_amount)


def duration(value: object) -> int:
    """Read a length of time, such as `7 days`, as seconds: a type of click's."""
    from bafl import units

    return value if isinstance(value, int) else _parsed(value, units.parse_duration)


def _parsed(value: object, parse: Callable[[str], R]) -> R:
    try:
        return parse(str(value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}.") from None
