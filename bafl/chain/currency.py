"""What a federation's money is in, and paying with it: native money comes along, tokens are taken.

A token is taken from an account only as far as the account has allowed it before, so paying with
one is two transactions; the first allows the federation exactly what the second one pays.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bafl.chain.abi import interface
from bafl.chain.calls import Call
from bafl.chain.errors import ChainUnreachable, InsufficientTokens, NotACurrency, RpcError
from bafl.errors import ChainError, ContractRefusal
from bafl.types import NATIVE
from bafl.units import ETHER, Currency, currency_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from bafl.chain.connection import Connection
    from bafl.chain.federation import Federation
    from bafl.chain.sender import Receipt, Sender

log = logging.getLogger(__name__)

ABI = "ICurrency"


def read_currency(connection: Connection, address: str) -> Currency:
    """The currency at an address: native at `NATIVE`, else an ERC-20 token that names itself.

    Raises NotACurrency where no contract is there, or one that has no decimals or no symbol.
    """
    if address == NATIVE:
        return ETHER
    if not connection.code(address):
        raise NotACurrency(address, f"there is no contract on chain {connection.chain_id}")
    try:
        decimals, symbol = _one(connection, address, "decimals"), _symbol(connection, address)
        _one(connection, address, "balanceOf", address)
    except ChainUnreachable:
        raise
    except (ContractRefusal, ChainError) as error:
        raise NotACurrency(
            address, f"it does not answer as an ERC-20 token does ({error})"
        ) from error
    return currency_named(address, symbol, decimals)


def known_currency(connection: Connection, address: str) -> Currency:
    """The same, for looking at a federation that is there: a token that fails counts in units."""
    try:
        return read_currency(connection, address)
    except NotACurrency as error:
        log.warning("%s; amounts are shown in its smallest units", error)
        return currency_named(address, "units", 0)


def balance_of(connection: Connection, currency: Currency, account: str) -> int:
    """What an account has of a currency, in its smallest unit."""
    if currency.is_native:
        return connection.balance(account)
    return int(_one(connection, currency.address, "balanceOf", account))


def require_balance(
    connection: Connection, currency: Currency, account: str, amount: int, name: str
) -> None:
    """Refuse a payment in a token that an account has not got: InsufficientTokens."""
    if currency.is_native:
        return  # the fee comes on top: the sender knows
    balance = balance_of(connection, currency, account)
    if balance < amount:
        raise InsufficientTokens(account, currency, balance, amount, name)


def pay(
    federation: Federation,
    sender: Sender,
    call: Call,
    tell: Callable[[str], object] = lambda _: None,
) -> Receipt:
    """Send a call of the federation that money comes along with, as `calls` makes them.

    With a token the federation is first allowed to take what is missing; never more than the call
    takes. tell: hears of that. What the federation refuses anyway is refused before.
    Raises ContractRefusal, InsufficientTokens, InsufficientFunds, ChainError.
    """
    connection, currency, amount = federation.connection, federation.currency, call.value_wei
    if currency.is_native:
        return sender.send(call)
    rehearse(federation, sender.address, call)
    call = replace(call, value_wei=0)
    require_balance(connection, currency, sender.address, amount, call.name)
    allowed = int(
        _one(connection, currency.address, "allowance", sender.address, federation.address)
    )
    if allowed < amount:
        tell(f"Allowing {federation.address} to take {currency.exact(amount)}.")
        # Some tokens let an allowance be changed from nothing only.
        for allowance in (0, amount) if allowed else (amount,):
            sender.send(_approve(currency, federation.address, allowance))
    return sender.send(call)


def _approve(currency: Currency, spender: str, amount: int) -> Call:
    return Call("approve", (spender, amount), to=currency.address, contract=ABI)


def rehearse(federation: Federation, payer: str, call: Call) -> None:
    """Raise what the federation itself would refuse; money is the last thing it asks for.

    call: as for `pay`. Whether the payer has the money is not looked at.
    """
    value = call.value_wei if federation.currency.is_native else 0
    own = {entry["name"] for entry in interface("Federation").errors.values()}
    try:
        federation.connection.call(federation.address, call.data(), sender=payer, value_wei=value)
    except RpcError:
        if not value:
            raise  # with money along, some nodes look at the balance first: the sender says it
    except ContractRefusal as refusal:
        if refusal.name in own - {"SafeERC20FailedOperation", "WrongAmount"}:
            raise


def _one(connection: Connection, token: str, name: str, *arguments: Any) -> Any:
    abi = interface(ABI)
    return abi.decode(name, connection.call(token, abi.encode(name, arguments)))[0]


def _symbol(connection: Connection, token: str) -> str:
    """Some of the oldest tokens answer with 32 bytes where a string is meant."""
    answer = connection.call(token, interface(ABI).encode("symbol", ()))
    if len(answer) == 32:
        return answer.rstrip(b"\0").decode("utf-8", "replace")
    return str(interface(ABI).decode("symbol", answer)[0])
