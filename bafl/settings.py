"""The one place where TOML becomes a checked object; every mistake is listed at once.

A federation file says what `bafl new` founds, a node file what a participant runs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bafl import units
from bafl.errors import SettingsError
from bafl.manifest import MAX_METRIC_NAME, MAX_METRIC_UNIT
from bafl.types import NATIVE, Encoding, Parameters, Role
from bafl.urls import masked
from bafl.values import (
    IN_A_TOKEN,
    Address,
    AnyMoney,
    Bytes,
    ChainId,
    Encodings,
    Entry,
    Gateways,
    Int16,
    Money,
    MoneyPerGas,
    MoneyPerSecond,
    OneEncoding,
    PathLike,
    Roles,
    RuleParameter,
    Seconds,
    Setting,
    StoreText,
    Uint8,
    Uint16,
    Uint32,
    Url,
    amounts,
    nearest,
    shown,
)

MAX_BYTES = 1 << 16
BURN_ADDRESS = "0x000000000000000000000000000000000000dEaD"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskTable(BaseModel):
    """`[task]`: its name, where its code is if it is no ready one, and its settings.

    entry: "package.module:function"; the function gets the settings as keywords, returns a `Task`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Setting] = Field(init=False)

    entry: Entry | None = None

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """All keys that belong to the task itself."""
        return dict(self.__pydantic_extra__ or {})


class FederationTask(TaskTable):
    """`[task]` of a federation file; its settings go into the manifest, for everybody."""

    name: str


class MetricTable(_Table):
    """`[metric]`: what the learning curve shows; without it, the task's own."""

    name: str = Field(min_length=1, max_length=MAX_METRIC_NAME)
    unit: str = Field(default="", max_length=MAX_METRIC_UNIT)
    direction: Literal["higher", "lower"] = "higher"


class PayloadTable(_Table):
    """`[payload]`: encodings an update may use, and the largest file anybody reads."""

    encodings: Encodings = (
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
    encoding: of its updates, one that the federation allows. fee_limit: the most that any
    transaction offers, per gas.
    """

    poll: Seconds | None = None
    confirmations: Uint16 | None = None
    fee_limit: MoneyPerGas | None = None
    encoding: OneEncoding | None = None


class NodeSettings(_Table):
    """What a participant's node, and every verb that talks to a federation, reads.

    Paths are relative to the file's folder. store: "local:FOLDER" or "kubo:MULTIADDR". gateways:
    URLs of IPFS gateways, asked for what the store does not give. home: where the node keeps its
    journal. stake: by default the federation's minimum. password_file: else
    the environment's BAFL_KEYSTORE_PASSWORD, else a prompt. name: public, in the profile.
    """

    rpc: Url | None = Field(default=None, repr=False)
    federation: Address | None = None
    chain_id: ChainId | None = None
    store: StoreText | None = None
    gateways: Gateways = Field(default=(), repr=False)
    home: PathLike | None = None
    keystore: PathLike | None = None
    password_file: PathLike | None = None
    roles: Roles = Role.TRAINER | Role.VALIDATOR
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


_Model = TypeVar("_Model", bound=BaseModel)


def _expanded(text: str, what: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{what} = {shown(text)}: there is no such user") from None


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
        given = f"{key} = {shown(_open(item['loc'], item['input']))}"
        if item["type"] == "extra_forbidden":
            known = _fields(kind, item["loc"][:-1])
            near = nearest(item["loc"][-1], known)
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
