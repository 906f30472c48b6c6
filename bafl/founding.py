"""Found a federation: genesis model and manifest into the store, then its contract on the chain."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from numpy.typing import NDArray

from bafl.aggregate.rules import rule_of
from bafl.chain.calls import Creation
from bafl.chain.currency import read_currency, require_balance
from bafl.chain.deploy import (
    Support,
    creations,
    deploy_federation,
    federation_initcode,
    find_creation_block,
)
from bafl.chain.errors import InsufficientFunds, NotACurrency, RpcError
from bafl.chain.federation import Federation
from bafl.chain.fees import gas_of, suggested
from bafl.codec.model import write_model
from bafl.errors import ContractRefusal, SettingsError
from bafl.manifest import Manifest, Metric, RuleSpec
from bafl.settings import FederationSettings, ParametersTable
from bafl.store.cid import cid, root_of
from bafl.tasks import Task, open_task, state_arrays
from bafl.types import NATIVE, Genesis, Root, TensorSpec

if TYPE_CHECKING:
    from bafl.chain.sender import Sender
    from bafl.store.base import Store
    from bafl.units import Currency

DTYPES = {
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
ROOM = 1 << 16
"""Bytes a payload may have beyond its tensors, for its header, where no limit is set."""

_NOBODY = "0x" + "11" * 20

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A federation before it is on the chain. arrays: its genesis model."""

    manifest: Manifest
    genesis: Genesis
    arrays: Arrays


@dataclass(frozen=True, slots=True)
class Founded:
    """A federation on the chain. block: where its log begins. existed: was founded before.

    fund: what the settings want in its pool, in the currency's smallest unit.
    """

    address: str
    block: int
    manifest: Manifest
    genesis: Genesis
    support: Support
    currency: Currency
    fund: int
    existed: bool = False

    @property
    def manifest_cid(self) -> str:
        """CID of the manifest."""
        return cid(self.genesis.manifest)


def draft(settings: FederationSettings, task: Task) -> Draft:
    """Work out the genesis model and the manifest; nothing leaves this process.

    Raises ManifestError for a model that no federation can train, or settings that do not fit it.
    """
    arrays: Arrays = state_arrays(task.model())
    specs = tuple(
        TensorSpec(name, DTYPES.get(str(array.dtype), str(array.dtype)), array.shape)
        for name, array in arrays.items()
    )
    size = sum(array.nbytes for array in arrays.values())
    common: dict[str, Any] = {
        "task": settings.task.name,
        "settings": settings.task.settings,
        "tensors": specs,
        "metric": _metric(settings, task),
        "size_limit": settings.payload.size_limit or 2 * size + ROOM + 200 * len(specs),
        "encodings": settings.payload.encodings,
        "rule": _rule(settings),
    }
    # The genesis model's bytes do not depend on its own CID, so any will do to write it.
    unknown = cid(Root(bytes(32), 0x55))
    with tempfile.TemporaryDirectory(prefix="bafl-") as folder:
        path = Path(folder) / "genesis"
        write_model(path, Manifest(genesis=unknown, **common), arrays)
        model = root_of(path)
    manifest = Manifest(genesis=cid(model), **common)
    return Draft(manifest, Genesis(root_of(manifest.to_json()), model), arrays)


def found(
    settings: FederationSettings,
    drafted: Draft,
    sender: Sender,
    store: Store,
    support: Callable[[], Support],
    tell: Callable[[str], object] = lambda _: None,
) -> Founded:
    """Put a drafted federation into the store and onto the chain; the sender becomes its owner.

    support: gives the chain's shared contracts, deploying them if there are none; asked only once
    everything that costs nothing has gone well. tell: hears what is being done.
    Raises SettingsError where the contract refuses a parameter (before anything is paid),
    StoreError, ContractRefusal, ChainError.
    """
    currency = check_parameters(settings, drafted, sender)
    fund = settings.fund_in(currency)
    require_balance(sender.connection, currency, sender.address, fund, "fund")
    tell("putting manifest and genesis model into the store")
    with tempfile.TemporaryDirectory(prefix="bafl-") as folder:
        model, manifest = Path(folder) / "genesis", Path(folder) / "manifest"
        write_model(model, drafted.manifest, drafted.arrays)
        manifest.write_bytes(drafted.manifest.to_json())
        store.put(model)
        store.put(manifest)
    tell("deploying the shared contracts, where the chain has none yet")
    shared = support()
    tell("deploying the federation")
    parameters = settings.parameters.resolve(sender.address, currency)
    salt = salt_of(settings.name)
    initcode = federation_initcode(shared, sender.address, drafted.genesis, parameters)
    address = foretell(shared.registry, sender.address, salt, initcode)
    existed = bool(sender.connection.code(address))
    if existed:
        block = find_creation_block(sender.connection, address)
    else:
        block = deploy_federation(
            sender, shared, sender.address, drafted.genesis, parameters, salt
        ).block
    Federation(sender.connection, address)
    return Founded(
        address, block, drafted.manifest, drafted.genesis, shared, currency, fund, existed
    )


def require_funds(
    settings: FederationSettings,
    drafted: Draft,
    sender: Sender,
    known_support: Callable[[], Support | None],
) -> None:
    """Refuse to found where the account cannot pay for the contracts and for `fund` after them.

    known_support: gives the chain's shared contracts; None where they are to be deployed too.
    Asks nothing of an account that has founded this federation before.
    Raises SettingsError as `check_parameters`, InsufficientTokens, InsufficientFunds, ChainError.
    """
    connection, address = sender.connection, sender.address
    currency = check_parameters(settings, drafted, sender)
    fund, known = settings.fund_in(currency), known_support()
    shared = known or Support(_NOBODY, _NOBODY, _NOBODY, _NOBODY)
    parameters = settings.parameters.resolve(address, currency)
    initcode = federation_initcode(shared, address, drafted.genesis, parameters)
    there = foretell(shared.registry, address, salt_of(settings.name), initcode)
    if known and connection.code(there):
        return
    require_balance(connection, currency, address, fund, "fund")
    block = connection.latest()
    wanted = [*([] if known else creations()), Creation("Federation", initcode)]
    try:
        gas = sum(gas_of(connection, one, None, address, block)[0] for one in wanted)
    except RpcError:
        # Some nodes do not simulate creations; each transaction is still looked at by itself.
        gas = 0
    cost = gas * suggested(connection, block, sender.fee_limit_wei)[0]
    needed = cost + (fund if currency.is_native else 0)
    balance = connection.balance(address)
    if balance < needed:
        what = "founding with its fund" if fund and currency.is_native else "founding"
        raise InsufficientFunds(address, balance, needed, what)


def foretell(registry: str, deployer: str, salt: bytes, initcode: bytes) -> str:
    """Return where a registry puts a federation (CREATE2); it binds the salt to the deployer."""
    bound = keccak(bytes(12) + bytes.fromhex(deployer[2:]) + salt)
    address = keccak(b"\xff" + bytes.fromhex(registry[2:]) + bound + keccak(initcode))[12:]
    return str(to_checksum_address(address))


def check_parameters(settings: FederationSettings, drafted: Draft, sender: Sender) -> Currency:
    """Let the contract's own constructor look at the parameters, without a transaction.

    Returns the currency. Raises SettingsError with what the contract allows, for all parameters
    that it refuses, or where no token is at the currency's address.
    """
    try:
        currency = read_currency(sender.connection, settings.parameters.currency or NATIVE)
    except NotACurrency as error:
        raise SettingsError(f"parameters.currency: {error}") from None
    table, mistakes = settings.parameters, dict[str, str]()
    while refusal := _refusal(table, currency, drafted, sender):
        given: dict[str, Any] = dict(refusal.arguments)
        key = _snake(str(given.get("parameter")))
        if key in mistakes or key not in type(table).model_fields:
            break  # not of one parameter: the deployment itself is simulated, too
        # The constructor names the first; with an allowed one in its place, the next.
        instead: object = sender.address
        if refusal.name == "ParameterOutOfRange":
            mistakes[key] = (
                f"parameters.{key} is {given['given']:,}; the contract allows "
                f"{given['least']:,} to {given['most']:,}{_hint(key)}"
            )
            instead = min(max(given["given"], given["least"]), given["most"])
        else:
            mistakes[key] = f"parameters.{key} is the zero address: name another"
        table = table.model_copy(update={key: instead})
    if mistakes:
        raise SettingsError("\n  ".join(mistakes.values()))
    return currency


def _refusal(
    table: ParametersTable, currency: Currency, drafted: Draft, sender: Sender
) -> ContractRefusal | None:
    """What the constructor says of parameters, if it is against them."""
    parameters = table.resolve(sender.address, currency)
    nowhere = Support(_NOBODY, _NOBODY, _NOBODY, _NOBODY)
    initcode = federation_initcode(nowhere, sender.address, drafted.genesis, parameters)
    try:
        sender.connection.call(None, initcode, sender=sender.address)
    except RpcError:
        return None  # some nodes do not simulate creations
    except ContractRefusal as refusal:
        return refusal
    return None


def salt_of(name: str) -> bytes:
    """Return the CREATE2 salt of a federation's name, 32 bytes.

    The same owner, name and settings give the same address, so founding twice by mistake cannot
    make two federations.
    """
    return hashlib.sha256(b"BAFL federation " + name.encode()).digest()


def open_founding_task(settings: FederationSettings) -> Task:
    """Open the task whose model the federation will train. Raises TaskError, DataError."""
    return open_task(settings.task.entry or settings.task.name, **settings.task.settings)


def _metric(settings: FederationSettings, task: Task) -> Metric:
    if settings.metric is not None:
        return Metric(settings.metric.name, settings.metric.unit, settings.metric.direction)
    own = task.metric
    return Metric(own.name, own.unit, "higher" if own.higher_is_better else "lower")


def _rule(settings: FederationSettings) -> RuleSpec:
    rule = RuleSpec()
    if settings.rule is not None:
        own = rule.parameters if settings.rule.name == rule.name else {}
        rule = RuleSpec(settings.rule.name, {**own, **settings.rule.parameters})
    rule_of(rule)
    return rule


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _hint(key: str) -> str:
    if key == "unbonding_period":
        return (
            " (seconds; at least 2 x max_wait + 8 x (commit_period + reveal_period + "
            "3 x attest_period))"
        )
    return ""
