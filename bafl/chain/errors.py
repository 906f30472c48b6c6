"""What the contract and the RPC say no with, as exceptions that say what to do now.

ContractRefusal (bafl.errors)      the contract reverted; `name`, `arguments`
├── one class for each custom error of the ABI, made from it: errors.QueueFull, …
└── UnexplainedRefusal             a reason that no ABI of ours knows
ChainError (bafl.errors)
├── ChainUnreachable               no answer, or none that is JSON-RPC: worth another try
├── RpcError                       the RPC refused; `code`, `message`
├── InsufficientFunds              the account cannot pay for a transaction
├── InsufficientTokens             the account has not got what it is to pay in a token
├── NotACurrency                   an address where no token is
├── FeesTooHigh                    the network asks for more than the limit set
├── NotMined                       a transaction that is not on the chain by its deadline
├── NonceTaken                     another transaction of the account took its place
└── Inconsistent                   answers that contradict each other
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bafl.chain.abi import artifact, checksum, decode_values, signature
from bafl.errors import ChainError, ContractRefusal
from bafl.foreign import printable
from bafl.units import ETHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bafl.units import Currency

from eth_utils.crypto import keccak

KNOWN_ARTIFACTS = (
    "Federation",
    "FederationLens",
    "FederationRegistry",
    "ICurrency",
    "Judging",
    "Members",
    "Tally",
)


class ChainUnreachable(ChainError):
    """No answer from the RPC, or none that is JSON-RPC; the same read may work later."""


class RpcError(ChainError):
    """The RPC refused a request. code: JSON-RPC's, or the HTTP status."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method} refused by the RPC: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message


class InsufficientFunds(ChainError):
    """The account cannot pay for a transaction; amounts in wei."""

    def __init__(self, address: str, balance_wei: int, needed_wei: int, name: str) -> None:
        super().__init__(
            f"{address} has {ether(balance_wei)} and {name} may cost {ether(needed_wei)}: "
            f"send it at least {ether(needed_wei - balance_wei)}"
        )
        self.address = address
        self.balance_wei = balance_wei
        self.needed_wei = needed_wei


class InsufficientTokens(ChainError):
    """The account has not got what it is to pay in a token; amounts in its smallest unit."""

    def __init__(
        self, address: str, currency: Currency, balance: int, needed: int, name: str
    ) -> None:
        super().__init__(
            f"{address} has {currency.exact(balance)} and {name} takes {currency.exact(needed)}: "
            f"send it at least {currency.exact(needed - balance)} (token {currency.address})"
        )
        self.address = address
        self.currency = currency
        self.balance = balance
        self.needed = needed


class NotACurrency(ChainError):
    """An address where no token is that amounts could be in."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address} is no currency: {why}")
        self.address = address
        self.why = why


class FeesTooHigh(ChainError):
    """The network asks for more per gas than the limit set."""


class NotMined(ChainError):
    """A transaction that was not on the chain by its deadline; it may still get there."""


class NonceTaken(ChainError):
    """Another transaction of the same account took this one's place."""


class Inconsistent(ChainError):
    """The RPC's answers contradict each other: logs are missing, or a reorg is under way."""


class UnexplainedRefusal(ContractRefusal):
    """A revert whose reason no ABI of ours knows."""


def ether(wei: int) -> str:
    """An amount for people: exact to 9 decimals of the chain's currency."""
    return f"{wei / 10**18:.9f}".rstrip("0").rstrip(".") + " ether"


def decode_revert(
    data: bytes | None, what: str = "", currency: Currency = ETHER
) -> ContractRefusal:
    """A revert's data as an exception (to raise, or to look at); never raises itself.

    data: as the RPC gave it; None or empty where there is none. what: the call, for the message.
    currency: what the contract's money is in.
    """
    prefix = f"{what}: " if what else ""
    if not data:
        return UnexplainedRefusal(f"{prefix}the contract refused without a reason")
    entry = _known().get(data[:4])
    if entry is None:
        return UnexplainedRefusal(
            f"{prefix}the contract refused with the unknown error 0x{data[:4].hex()}; "
            "is this client older than the contract?"
        )
    try:
        values = decode_values(entry["name"], entry["inputs"], data[4:])
    except ChainError:
        return UnexplainedRefusal(f"{prefix}the contract refused with a malformed {entry['name']}")
    arguments: dict[str, object] = {}
    for i, (parameter, value) in enumerate(zip(entry["inputs"], values, strict=True)):
        shown = checksum(value) if parameter["type"] == "address" else value
        arguments[parameter.get("name") or f"argument{i}"] = shown
    refusal = refusal_class(entry["name"])
    return refusal(prefix + _sentence(entry["name"], arguments, currency), arguments)


def refusal_named(selector: bytes) -> str:
    """The name of a custom error by its selector; empty for zero or unknown ones."""
    entry = _known().get(selector[:4])
    return str(entry["name"]) if entry else ""


class NamedRefusal(ContractRefusal):
    """A decoded revert."""

    def __init__(self, message: str, arguments: Mapping[str, object]) -> None:
        super().__init__(message)
        self.message = message
        self.arguments = MappingProxyType(dict(arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.name, self.message, dict(self.arguments))


def _rebuild(name: str, message: str, arguments: Mapping[str, object]) -> NamedRefusal:
    return refusal_class(name)(message, arguments)


@functools.cache
def refusal_class(name: str) -> type[NamedRefusal]:
    """The exception class of a custom error; AttributeError if no ABI of ours has it."""
    if all(entry["name"] != name for entry in _known().values()):
        raise AttributeError(f"no contract of ours has an error {name!r}")
    return type(name, (NamedRefusal,), {"name": name, "__module__": __name__, "__doc__": name})


def __getattr__(name: str) -> type[NamedRefusal]:
    if name.startswith("_"):
        raise AttributeError(name)
    return refusal_class(name)


@functools.cache
def _known() -> Mapping[bytes, Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = [
        {"name": "Error", "inputs": [{"type": "string", "name": "reason"}]},
        {"name": "Panic", "inputs": [{"type": "uint256", "name": "code"}]},
    ]
    for name in KNOWN_ARTIFACTS:
        entries += [entry for entry in artifact(name).abi if entry["type"] == "error"]
    return {keccak(text=signature(entry))[:4]: entry for entry in entries}


_SENTENCES = {
    "StakeBelowMinimum": "a stake of {given:money} is below the minimum of {minimum:money}; "
    "add to it (top up)",
    "AmountTooLarge": "{given:money} is more than can be kept, {maximum:money}",
    "WrongAmount": "{sent:money} came along where {expected:money} was expected",
    "BaseTooStale": "base version {base} is too old; train on version {oldest} or newer",
    "BaseNotFinal": "base version {base} is not final; the latest is {latest}",
    "BaseNotNewer": "version {base} was trained before (last base: {last}); wait for a newer one",
    "QueueFull": "all windows are waiting to be judged; try again after {retryAt:time}",
    "AlreadyInWindow": "window {window} already has an update of this account",
    "TooManyPending": "two updates wait to be judged; wait for window {oldestWindow} to end",
    "JailedUntil": "this account is jailed until {until:time}",
    "StillBonded": "the stake is bonded until {until:time}",
    "StillUnjudged": "window {window}, in which this account has a part, is not judged yet; "
    "wait for it to end: `bafl run` ends one that is overdue",
    "AlreadyLeaving": "this account has been leaving since {since:time}",
    "NotLeaving": "{account} is not leaving; request the exit first",
    "InvitationRequired": "this federation takes members by invitation; ask its owner for one",
    "InvitationExpired": "the invitation ended at {deadline:time}; ask for a new one",
    "InvitationUsed": "the invitation {nonce} was used before; ask for a new one",
    "InvitationInvalid": "the owner, {signer}, has not signed this invitation: somebody else has, "
    "or it is for other terms or an older epoch",
    "NotParticipant": "{account} is not a participant; join first",
    "AlreadyParticipant": "{account} is a participant already",
    "NotTrainer": "{account} is not a trainer of this federation, or is leaving it",
    "NotValidator": "{account} is not a validator of this federation, or is leaving it",
    "NothingToSeal": "window {window} holds no update yet",
    "NotActiveValidator": "{account} does not judge this window",
    "NotOwner": "{caller} is not the owner",
    "IsPaused": "the owner has paused new submissions",
    "IsClosed": "this federation is closed: it takes nothing new",
    "WindowsInFlight": "windows {judgingWindow} to {openWindow} have not ended yet",
    "NotJudgedNow": "window {window} is not the one being judged ({judged}); look again",
    "WrongScoresLength": "{given} bytes of scores where {expected} were expected",
    "WrongPhase": "window {window} is in phase {current:phase}, and this needs {needed:phase}",
    "TooEarly": "too early: not before {notBefore:time}",
    "TooLate": "too late: the deadline was {deadline:time}",
    "WrongTag": "the window's tag is {current}, not {given}: a reorg changed it; look again",
    "AlreadyActed": "{validator} has acted in this phase already",
    "NothingCommitted": "{validator} has committed to nothing in this window",
    "CommitmentMismatch": "scores, keep and salt do not hash to the commitment made",
    "SeatTooCheap": "all seats are taken; a stake of {stake:money} takes one from {needed:money}",
    "UpdateForgotten": "update {updateId} is no longer in the ring; it is in the event log",
    "NoSuchVersion": "version {version} is not final yet",
    "VersionForgotten": "version {version} has left the contract; it is in the event log",
    "NoSuchWindow": "there is no window {window} yet",
    "NothingToPay": "there is nothing to pay out",
    "NoSuchCurrency": "there is no contract at {currency}, which is to be the currency",
    "SafeERC20FailedOperation": "the token {token} refused the payment",
    "ERC20InsufficientBalance": "{sender} has {balance:money} and pays {needed:money}",
    "ERC20InsufficientAllowance": "{spender} is allowed to take {allowance:money}, "
    "and this takes {needed:money}",
    "FailedDeployment": "there is a contract at this address already: choose another salt",
    "ParameterOutOfRange": "{parameter} is {given}, and has to be from {least} to {most}",
}
_PHASES = ("none", "open", "sealed", "commit", "reveal", "tally", "attest", "final", "void")


class _Shown:
    """A value with formats of its own: `{x:money}`, `{x:time}`, `{x:phase}`."""

    def __init__(self, value: object, currency: Currency = ETHER) -> None:
        self.value = value
        self.currency = currency

    def __format__(self, style: str) -> str:
        value = self.value
        if isinstance(value, int):
            if style == "money":
                native = self.currency.is_native
                return ether(value) if native else self.currency.exact(value)
            if style == "time" and value < 2**36:
                return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            if style == "phase" and value < len(_PHASES):
                return _PHASES[value]
        return printable(f"0x{value.hex()}" if isinstance(value, bytes) else value)


def _sentence(name: str, arguments: Mapping[str, object], currency: Currency) -> str:
    listed = ", ".join(f"{key}={_Shown(value):}" for key, value in arguments.items())
    said = f"{name}({listed})"
    template = _SENTENCES.get(name)
    if template is None:
        return f"the contract refused: {said}"
    try:
        sentence = template.format_map(
            {key: _Shown(value, currency) for key, value in arguments.items()}
        )
    except KeyError:
        return f"the contract refused: {said}"
    return f"{sentence} [{said}]"
