"""The one place where TOML becomes a checked object; every mistake is listed at once.

A federation file says what `bafl new` founds, a node file what a participant runs. Ranges of the
contract's parameters have their home in the contract: here they are read, with their units.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from bafl import units
from bafl.errors import SettingsError
from bafl.types import NATIVE, Encoding, Parameters, Role
from bafl.urls import gateway_url, masked

MAX_BYTES = 1 << 16
MONEY_BITS = 96
IN_A_TOKEN = "in_a_token"  # noqa: S105
BURN_ADDRESS = "0x000000000000000000000000000000000000dEaD"
ENTRY_FORM = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


def _counted(
    parse: Callable[[str], int], plain: str, example: str, bits: int = 256
) -> BeforeValidator:
    """Accept a string with a unit, or a whole number of `plain`, that fits the contract's type."""

    def read(value: object) -> int:
        if isinstance(value, str):
            try:
                number = parse(value)
            except ValueError as error:
                raise ValueError(f"needs {error}") from None
        elif type(value) is int:
            number = value
        else:
            raise ValueError(f"needs a unit, such as {example}, or a whole number of {plain}")
        _fits(number, bits, plain)
        return number

    return BeforeValidator(read)


def _money(
    read: Callable[[str], units.Amount], plain: str, example: str, known: bool = True
) -> PlainValidator:
    """Accept an amount of the federation's currency.

    Text becomes a whole number where the currency is the chain's own, and an `Amount` where only
    the chain knows what a unit is. known: whether the file says which currency it is.
    """

    def check(value: object, info: ValidationInfo) -> int | units.Amount:
        is_native = known and not (info.context or {}).get(IN_A_TOKEN)
        if isinstance(value, units.Amount):
            return value
        if isinstance(value, str):
            try:
                amount = read(value)
                if not is_native:
                    return amount
                number = units.ETHER.count(amount)
            except ValueError as error:
                raise ValueError(f"needs {error}") from None
        elif type(value) is int:
            number = value
        else:
            raise ValueError(f"needs a unit, such as {example}, or a whole number of {plain}")
        _fits(number, MONEY_BITS, plain)
        return number

    return PlainValidator(check)


def _fits(number: int, bits: int, plain: str) -> None:
    if not 0 <= number < 1 << bits:
        # TOML writes integers of any length in hexadecimal, and Python prints no such ones.
        given = f"{number:,}" if number.bit_length() <= 512 else "far too many"
        raise ValueError(f"is {given} {plain}; 0 to {(1 << bits) - 1:,} can be stored")


def amounts(
    currency: units.Currency, given: Mapping[str, int | units.Amount], where: str = ""
) -> dict[str, int]:
    """Return amounts, by what they are called, in the smallest unit of the currency they are in.

    where: what to call the place in a message. Raises SettingsError listing every mistake.
    """
    found: dict[str, int] = {}
    mistakes = []
    for name, value in given.items():
        try:
            number = value if isinstance(value, int) else currency.count(value)
            if not 0 <= number < 1 << MONEY_BITS:
                raise ValueError(f"an amount from 0 to {currency.exact((1 << MONEY_BITS) - 1)}")
            found[name] = number
        except ValueError as error:
            mistakes.append(f"{name} = {_shown(str(value))}: needs {error}")
    if mistakes:
        raise SettingsError((f"{where}: " if where else "") + "\n  ".join(mistakes))
    return found


def _whole(least: int, most: int) -> BeforeValidator:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"needs a whole number from {least:,} to {most:,}")
        return value

    return BeforeValidator(read)


def _setting(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("needs text, a number, true or false")
    if isinstance(value, int | float) and not abs(value) < 10**19:
        raise ValueError("needs a number that a manifest can hold: finite, of at most 19 digits")
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("needs a path in quotes")
    return Path(value)


def _store(value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("needs a store's description: it holds a zero byte")
    return value


def _address(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise ValueError("needs an address: 0x and 40 hex digits")
    from eth_utils.address import is_checksum_address, to_checksum_address

    checked: str = to_checksum_address(value)
    if value[2:] not in (value[2:].lower(), value[2:].upper()) and not is_checksum_address(value):
        raise ValueError("has a checksum that does not fit: a typing error? Copy it again")
    return checked


def _url(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("needs an http:// or https:// address, such as 'http://127.0.0.1:8545'")
    return value


def _gateways(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("needs a list of addresses, such as ['http://127.0.0.1:8080']")
    found: list[str] = []
    for item in value:
        if not isinstance(item, str):
            raise ValueError(f"has {_shown(item)}, which is no address in quotes")
        try:
            found.append(gateway_url(item))
        except ValueError as error:
            raise ValueError(f"has {_shown(masked(item))}, which {error}") from None
    return tuple(dict.fromkeys(found))


def _entry(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(ENTRY_FORM, value):
        raise ValueError("needs 'package.module:function'")
    return value


def _encoding(value: object) -> Encoding:
    known = {encoding.name.lower(): encoding for encoding in Encoding}
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"needs one of: {', '.join(known)}{_nearest(value, known)}")
    return known[value]


def _encodings(value: object) -> tuple[Encoding, ...]:
    known = {encoding.name.lower(): encoding for encoding in Encoding}
    if not isinstance(value, list) or not value:
        raise ValueError(f"needs a list of some of: {', '.join(known)}")
    for item in value:
        if not isinstance(item, str) or item not in known:
            raise ValueError(
                f"has {_shown(item)}; known are: {', '.join(known)}{_nearest(item, known)}"
            )
    return tuple(sorted({known[item] for item in value}))


def _roles(value: object) -> Role:
    known = {"trainer": Role.TRAINER, "validator": Role.VALIDATOR}
    if not isinstance(value, list) or not value or not all(item in list(known) for item in value):
        raise ValueError("needs a list of 'trainer', 'validator' or both")
    roles = Role(0)
    for item in value:
        roles |= known[item]
    return roles


Seconds = Annotated[int, _counted(units.parse_duration, "seconds", "'15min' or '2h'", 32)]
Money = Annotated[int | units.Amount, _money(units.read_amount, "wei", "'0.1 ether'")]
MoneyPerSecond = Annotated[
    int | units.Amount, _money(units.read_rate, "wei a second", "'0.01 ether/h'")
]
AnyMoney = Annotated[
    int | units.Amount, _money(units.read_amount, "wei", "'0.1 ether'", known=False)
]
Bytes = Annotated[int, _counted(units.parse_size, "bytes", "'1 MiB'", 40)]
Setting: TypeAlias = Annotated[str | int | float | bool, BeforeValidator(_setting)]
PathLike = Annotated[Path, BeforeValidator(_path)]
Address = Annotated[str, BeforeValidator(_address)]
Uint8 = Annotated[int, _whole(0, 2**8 - 1)]
Uint16 = Annotated[int, _whole(0, 2**16 - 1)]
Int16 = Annotated[int, _whole(-(2**15), 2**15 - 1)]
Uint32 = Annotated[int, _whole(0, 2**32 - 1)]
RuleParameter: TypeAlias = Annotated[int, _whole(-(10**18), 10**18)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskTable(BaseModel):
    """`[task]`: its name, where its code is if it is no ready one, and its settings.

    entry: "package.module:function"; the function gets the settings as keywords, returns a `Task`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Setting] = Field(init=False)

    entry: Annotated[str, BeforeValidator(_entry)] | None = None

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """All keys that belong to the task itself."""
        return dict(self.__pydantic_extra__ or {})


class FederationTask(TaskTable):
    """`[task]` of a federation file; its settings go into the manifest, for everybody."""

    name: str


class MetricTable(_Table):
    """`[metric]`: what the learning curve shows; without it, the task's own."""

    name: str = Field(min_length=1, max_length=40)
    unit: str = Field(default="", max_length=20)
    direction: Literal["higher", "lower"] = "higher"


class PayloadTable(_Table):
    """`[payload]`: encodings an update may use, and the largest file anybody reads."""

    encodings: Annotated[tuple[Encoding, ...], BeforeValidator(_encodings)] = (
        Encoding.FLOAT32,
        Encoding.INT8,
    )
    size_limit: Bytes | None = None


class RuleTable(BaseModel):
    """`[rule]`: how accepted updates become the next model; its integer parameters beside."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, RuleParameter] = Field(init=False)

    name: str

    @property
    def parameters(self) -> dict[str, int]:
        """The rule's own parameters."""
        return dict(self.__pydantic_extra__ or {})


class ParametersTable(_Table):
    """`[parameters]`: the contract's, with its names and defaults; see `IFederation.Parameters`.

    treasury: by default the owner. currency: of `min_stake`, `reward_rate` and all other money: a
    token, by default the chain's own.
    """

    currency: Address | None = None
    window_size: Uint8 = 16
    min_updates: Uint8 = 3
    max_wait: Seconds = 3600
    commit_period: Seconds = 900
    reveal_period: Seconds = 900
    attest_period: Seconds = 1800
    max_staleness: Uint16 = 8
    min_validators: Uint8 = 4
    reject_below: Int16 = -600
    slash_ppm: Uint32 = 20_000
    jail_period: Seconds = 86_400
    unbonding_period: Seconds = 604_800
    min_stake: Money = units.WEI_PER_ETHER // 10
    reward_rate: MoneyPerSecond = 0
    trust_samples: bool = False
    open: bool = False
    treasury: Address | None = None
    slash_sink: Address = BURN_ADDRESS

    @model_validator(mode="after")
    def _names_a_stake(self) -> ParametersTable:
        if self.currency is not None and "min_stake" not in self.model_fields_set:
            raise ValueError("needs a min_stake, such as '100 USDC': the default is in ether")
        return self

    def resolve(self, owner: str, currency: units.Currency = units.ETHER) -> Parameters:
        """Return what the constructor takes. owner: the treasury where none is named.

        currency: what the chain says of `currency`. Raises SettingsError for amounts in another.
        """
        money = amounts(
            currency,
            {"parameters.min_stake": self.min_stake, "parameters.reward_rate": self.reward_rate},
        )
        return Parameters(
            window_size=self.window_size,
            min_updates=self.min_updates,
            max_wait_s=self.max_wait,
            commit_period_s=self.commit_period,
            reveal_period_s=self.reveal_period,
            attest_period_s=self.attest_period,
            max_staleness=self.max_staleness,
            min_validators=self.min_validators,
            reject_below_bps=self.reject_below,
            slash_ppm=self.slash_ppm,
            jail_period_s=self.jail_period,
            unbonding_period_s=self.unbonding_period,
            min_stake_wei=money["parameters.min_stake"],
            reward_rate_wei=money["parameters.reward_rate"],
            trust_samples=self.trust_samples,
            open=self.open,
            treasury=self.treasury or owner,
            slash_sink=self.slash_sink,
            currency=self.currency or NATIVE,
        )


class FederationSettings(_Table):
    """What `bafl new` reads. fund: added to the reward pool once the contract is there."""

    name: str = Field(min_length=1, max_length=80)
    task: FederationTask
    metric: MetricTable | None = None
    payload: PayloadTable = PayloadTable()
    rule: RuleTable | None = None
    parameters: ParametersTable = ParametersTable()
    fund: Money = 0

    @classmethod
    def load(cls, path: Path) -> FederationSettings:
        """Read a federation file. Raises SettingsError listing every mistake in it."""
        return _check(cls, path.name, _read(path))

    def fund_in(self, currency: units.Currency) -> int:
        """Return `fund` in the currency's smallest unit. Raises SettingsError."""
        return amounts(currency, {"fund": self.fund})["fund"]


class RunTable(_Table):
    """`[run]`: how the node works.

    poll: between two looks at the chain. confirmations: blocks before a submission counts.
    encoding: of its updates, one that the federation allows.
    """

    poll: Seconds | None = None
    confirmations: Uint16 | None = None
    encoding: Annotated[Encoding, BeforeValidator(_encoding)] | None = None


class NodeSettings(_Table):
    """What a participant's node, and every verb that talks to a federation, reads.

    Paths are relative to the file's folder. store: "local:FOLDER" or "kubo:MULTIADDR". gateways:
    URLs of IPFS gateways, asked for what the store does not give. home: where the node keeps its
    journal. stake: by default the federation's minimum. password_file: else
    the environment's BAFL_KEYSTORE_PASSWORD, else a prompt. name: public, in the profile.
    """

    rpc: Annotated[str, BeforeValidator(_url)] | None = Field(default=None, repr=False)
    federation: Address | None = None
    chain_id: Annotated[int, _whole(1, 2**63 - 1)] | None = None
    store: Annotated[str, BeforeValidator(_store)] | None = None
    gateways: Annotated[tuple[str, ...], BeforeValidator(_gateways)] = Field(default=(), repr=False)
    home: PathLike | None = None
    keystore: PathLike | None = None
    password_file: PathLike | None = None
    roles: Annotated[Role, BeforeValidator(_roles)] = Role.TRAINER | Role.VALIDATOR
    stake: AnyMoney | None = None
    name: str = Field(default="", max_length=80)
    task: TaskTable = TaskTable()
    run: RunTable = RunTable()

    @classmethod
    def load(cls, path: Path) -> NodeSettings:
        """Read a node file. Raises SettingsError listing every mistake in it."""
        table = _read(path)
        folder = path.resolve().parent
        for key in ("home", "keystore", "password_file"):
            if isinstance(table.get(key), str):
                table[key] = folder / _expanded(table[key], f"{path.name}: {key}")
        store = table.get("store")
        if isinstance(store, str) and store.startswith("local:") and store != "local:":
            rest = _expanded(store.removeprefix("local:"), f"{path.name}: store")
            table["store"] = f"local:{folder / rest}"
        table.setdefault("home", folder / f"{path.stem}.home")
        return _check(cls, path.name, table)

    @property
    def stores(self) -> tuple[str, ...]:
        """Where payloads are, as `open_stores` takes it; none if nothing is set."""
        own = () if self.store is None else (self.store,)
        return (*own, *(f"gateway:{url}" for url in self.gateways))

    def replace(self, where: str, **given: object) -> NodeSettings:
        """Return a copy with what was given on the command line or in the environment.

        where: what to call the place in a message. None leaves a setting as it is.
        """
        changes = {key: value for key, value in given.items() if value is not None}
        checked = _check(NodeSettings, where, changes)
        return self.model_copy(update={key: getattr(checked, key) for key in changes})


def read_address(text: str, what: str) -> str:
    """Return an address given by itself, with its checksum. Raises SettingsError naming `what`."""
    try:
        return _address(text)
    except ValueError as error:
        raise SettingsError(f"{what} = {_shown(text)}: {error}") from None


_Model = TypeVar("_Model", bound=BaseModel)


def _expanded(text: str, what: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{what} = {_shown(text)}: there is no such user") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SettingsError(
                f"{path} has {size:,} bytes; a settings file has less: another file?"
            )
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no file {path}: name the right one") from None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not text in UTF-8: name a TOML file") from None
    except RecursionError:
        raise SettingsError(f"{path} is nested deeper than any settings are") from None
    except ValueError as error:  # also of an integer with thousands of digits
        raise SettingsError(f"{path} is not TOML: {error}") from None


def _check(kind: type[_Model], where: str, table: Mapping[str, Any]) -> _Model:
    try:
        parameters = table.get("parameters")
        in_a_token = isinstance(parameters, dict) and "currency" in parameters
        return kind.model_validate(table, context={IN_A_TOKEN: in_a_token})
    except ValidationError as error:
        mistakes = sorted(_mistakes(kind, error))
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise SettingsError(f"{where} has {count}:{lines}") from None


def _mistakes(kind: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "missing":
            yield f"{key} is missing"
            continue
        given = f"{key} = {_shown(_open(item['loc'], item['input']))}"
        if item["type"] == "extra_forbidden":
            known = _fields(kind, item["loc"][:-1])
            near = _nearest(item["loc"][-1], known)
            yield f"{given}: no such setting{near or '; there are: ' + ', '.join(known)}"
        elif item["type"] == "value_error":
            yield f"{given}: {item['ctx']['error']}"
        else:
            yield f"{given}: {item['msg'].replace('Input should be', 'needs to be')}"


def _open(loc: tuple[int | str, ...], value: object) -> object:
    """Return what may be shown of a setting: URLs without what may be a key."""
    if loc[:1] in (("rpc",), ("gateways",)):
        if isinstance(value, str):
            return masked(value)
        if isinstance(value, list):
            return [masked(item) if isinstance(item, str) else item for item in value]
    return value


def _fields(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the settings of the table at `loc`."""
    for part in loc:
        annotation = kind.model_fields[str(part)].annotation
        tables = [annotation, *getattr(annotation, "__args__", ())]
        kind = next(t for t in tables if isinstance(t, type) and issubclass(t, BaseModel))
    return list(kind.model_fields)


def _nearest(word: object, known: Mapping[str, object] | list[str]) -> str:
    near = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    try:
        text = str(value) if isinstance(value, Path) else repr(value)
    except ValueError:
        return "a number too long to show"
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 80 else f"{text[:77]}…"
