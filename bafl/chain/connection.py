"""One RPC endpoint: thin, patient with reads, and trusting nothing it says."""

from __future__ import annotations

import json
import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider

from bafl import urls
from bafl.chain.abi import checksum
from bafl.chain.errors import ChainUnreachable, RpcError, decode_revert
from bafl.chain.http import AnswerTooLong, BoundedSession
from bafl.errors import ChainError, UsageError
from bafl.foreign import printable
from bafl.retry import retry
from bafl.units import ETHER, Currency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from web3.types import RPCEndpoint

BlockId = int | str
"""A block's number, or `latest`, `pending`, `safe`, `finalized`, `earliest`."""

_TRANSIENT = re.compile(
    r"\b(rate|rate.?limit(ed|s|ing)?|too many requests|try again|busy|overloaded"
    # Geth says so of state that it has pruned.
    r"|(?<!historical state )unavailable)\b",
    re.IGNORECASE,
)
_REVERTED = re.compile(r"revert|invalid opcode|out of gas|vm exception", re.IGNORECASE)
_HEX = frozenset(string.hexdigits)


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header, as far as it is used here. base_fee_wei: per gas."""

    number: int
    hash: bytes
    parent: bytes
    time_s: int
    base_fee_wei: int
    gas_limit: int


class Connection:
    """A JSON-RPC endpoint over HTTP; thread-safe.

    rpc_url: http:// or https://. expected_chain_id: refuse any other chain.
    timeout_s: for one request. patience_s: how long a read that found nobody is tried again; the
    opening itself is not, so that a wrong URL shows at once. on_wait: called with the exception and
    the seconds until the next try.
    Raises UsageError for a URL that is none, ChainError for nothing there or another chain.
    """

    def __init__(
        self,
        rpc_url: str,
        expected_chain_id: int | None = None,
        *,
        timeout_s: float = 20.0,
        patience_s: float = 60.0,
        on_wait: Callable[[Exception, float], object] | None = None,
    ) -> None:
        try:
            self.url = urls.rpc_url(rpc_url)
        except ValueError as error:
            raise UsageError(f"{urls.masked(rpc_url)!r} is no RPC URL: it {error}") from None
        url = urlsplit(rpc_url)
        # API keys travel in the path or the user part; messages and logs never show them.
        self.name = f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")
        self.patience_s = patience_s
        self.on_wait = on_wait
        self.currencies: dict[str, Currency] = {}
        """What contracts' money is in, where it is not ether: to say it in their refusals."""
        self._session = BoundedSession()
        self._provider = HTTPProvider(
            rpc_url,
            request_kwargs={"timeout": timeout_s},
            session=self._session,
            exception_retry_configuration=None,
        )
        try:
            self.chain_id = quantity(self.request("eth_chainId", [], patient=False), "chain id")
            if expected_chain_id not in (None, self.chain_id):
                raise ChainError(
                    f"{self.name} is chain {self.chain_id}, not {expected_chain_id}: give the RPC "
                    "URL of the right chain, or correct the chain id in the settings"
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the sockets; the connection can still be used, and opens them again."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- requests ---

    def request(self, method: str, params: Sequence[Any], *, patient: bool = True) -> Any:
        """The result of an RPC method, unchecked. patient: may be sent twice, so try again.

        Raises ChainUnreachable, RpcError, or ContractRefusal where the EVM reverted.
        """
        return retry(
            lambda: self._once(method, params),
            on=ChainUnreachable,
            patience_s=self.patience_s if patient else 0.0,
            what=self.name,
            on_wait=self.on_wait,
        )

    def _once(self, method: str, params: Sequence[Any]) -> Any:
        status = None
        try:
            answer: Any = self._provider.make_request(_endpoint(method), list(params))
        except requests.HTTPError as error:
            # Many services put the JSON-RPC error into an answer with an HTTP status of its own.
            status = error.response.status_code
            answer = _json(error.response.content)
        except (requests.Timeout, AnswerTooLong) as error:
            if method == "eth_getLogs":
                # The same again would take as long; the reader of logs asks for less instead.
                raise RpcError(method, 408, f"no whole answer ({_cause(error)})") from None
            raise ChainUnreachable(
                f"no whole answer from {self.name} to {method} ({_cause(error)}): is it overloaded?"
            ) from None
        except (requests.RequestException, OSError) as error:
            raise ChainUnreachable(
                f"no answer from {self.name} ({_cause(error)}): is it running, and is the RPC URL "
                "right?"
            ) from None
        except (ValueError, RecursionError) as error:
            raise ChainUnreachable(
                f"{self.name} answers, but not with JSON-RPC ({printable(error, 80)}): is the RPC "
                "URL right?"
            ) from None
        if isinstance(answer, dict) and answer.get("error") is not None:
            raise self._refused(method, params, answer["error"], status)
        if status is not None:
            if status == 429 or status >= 500:
                raise ChainUnreachable(f"{self.name} answers with HTTP status {status}")
            raise RpcError(method, status, f"HTTP status {status} from {self.name}")
        if not isinstance(answer, dict) or "result" not in answer:
            raise ChainUnreachable(
                f"{self.name} answers, but not with JSON-RPC: is the RPC URL right?"
            )
        return answer["result"]

    def _refused(
        self, method: str, params: Sequence[Any], error: Any, status: int | None
    ) -> Exception:
        raw = error if isinstance(error, dict) else {"message": str(error)}
        code = raw.get("code")
        code = code if type(code) is int else (status or 0)
        message = printable(raw.get("message", ""))
        if method in ("eth_call", "eth_estimateGas"):
            data = _revert_data(raw.get("data"))
            if data or code == 3 or _REVERTED.search(message):
                currency = self.currencies.get(params[0].get("to"), ETHER)
                return decode_revert(data, currency=currency)
        if method != "eth_getLogs" and (status == 429 or _TRANSIENT.search(message)):
            return ChainUnreachable(f"{self.name} is busy: {message}")
        return RpcError(method, code, message)

    # --- reads ---

    def call(
        self,
        to: str | None,
        data: bytes,
        *,
        block: BlockId = "latest",
        sender: str | None = None,
        value_wei: int = 0,
        gas: int | None = None,
    ) -> bytes:
        """What a call of a contract returns. Raises ContractRefusal where it reverts."""
        transaction = transaction_json(to, data, sender, value_wei, gas)
        result = self.request("eth_call", [transaction, block_json(block)])
        return unhex(result, "eth_call's answer")

    def block(self, block: BlockId = "latest") -> Block | None:
        """A block's header; None if there is no such block (yet)."""
        raw = self.request("eth_getBlockByNumber", [block_json(block), False])
        if raw is None:
            return None
        if not isinstance(raw, dict):
            raise ChainError(f"{self.name}: block {block} is no object")
        if raw.get("baseFeePerGas") is None:
            raise ChainError(
                f"{self.name}: chain {self.chain_id} has no base fee; BAFL needs a chain with the "
                "Cancun rules (EIP-1559 and transient storage)"
            )
        header = Block(
            number=quantity(raw.get("number"), "block.number", 48),
            hash=unhex(raw.get("hash"), "block.hash", 32),
            parent=unhex(raw.get("parentHash"), "block.parentHash", 32),
            time_s=quantity(raw.get("timestamp"), "block.timestamp", 40),
            base_fee_wei=quantity(raw.get("baseFeePerGas"), "block.baseFeePerGas", 128),
            gas_limit=quantity(raw.get("gasLimit"), "block.gasLimit", 64),
        )
        if isinstance(block, int) and header.number != block:
            raise ChainError(f"{self.name}: asked for block {block}, given {header.number}")
        return header

    def latest(self) -> Block:
        """The newest block's header."""
        block = self.block("latest")
        if block is None:
            raise ChainError(f"{self.name} has no latest block: is it still starting?")
        return block

    def time(self) -> int:
        """The newest block's timestamp, in seconds since 1970."""
        return self.latest().time_s

    def code(self, address: str, block: BlockId = "latest") -> bytes:
        """The code at an address; empty if there is none. Raises RpcError for pruned state."""
        raw = self.request("eth_getCode", [address, block_json(block)])
        if raw is None:  # what some say of state that they have not got
            raise RpcError("eth_getCode", 0, f"it has no state of block {block}")
        return unhex(raw, "eth_getCode's answer")

    def balance(self, address: str) -> int:
        """An account's balance in wei."""
        raw = self.request("eth_getBalance", [address, "latest"])
        return quantity(raw, "eth_getBalance's answer")

    def nonce(self, address: str, block: BlockId = "latest") -> int:
        """How many transactions of an account are in blocks (`pending`: or wait to be)."""
        raw = self.request("eth_getTransactionCount", [address, block_json(block)])
        return quantity(raw, "eth_getTransactionCount's answer", 64)

    def estimate_gas(
        self,
        to: str | None,
        data: bytes,
        *,
        sender: str,
        value_wei: int = 0,
        block: BlockId = "latest",
    ) -> int:
        """Gas that a transaction would use now. Raises ContractRefusal where it would revert."""
        transaction = transaction_json(to, data, sender, value_wei)
        raw = self.request("eth_estimateGas", [transaction, block_json(block)])
        return quantity(raw, "eth_estimateGas's answer", 64)


def block_json(block: BlockId) -> str:
    """A block's number or tag as JSON-RPC writes it."""
    return hex(block) if isinstance(block, int) else block


def transaction_json(
    to: str | None, data: bytes, sender: str | None, value_wei: int = 0, gas: int | None = None
) -> Mapping[str, str]:
    """The transaction object of eth_call and eth_estimateGas."""
    transaction = {"data": "0x" + data.hex()}
    if to is not None:
        transaction["to"] = to
    if sender is not None:
        transaction["from"] = sender
    if value_wei:
        transaction["value"] = hex(value_wei)
    if gas is not None:
        transaction["gas"] = hex(gas)
    return transaction


def quantity(value: Any, what: str, bits: int = 256) -> int:
    """A JSON-RPC quantity ("0x…"); ChainError if it is none or has more bits."""
    if isinstance(value, str) and value[:2] == "0x" and 2 < len(value) <= 66:
        digits = value[2:]
        if _HEX.issuperset(digits) and int(digits, 16) < 1 << bits:
            return int(digits, 16)
    raise ChainError(f"{what}: {printable(value)!r} is no quantity of {bits} bits")


def unhex(value: Any, what: str, length: int | None = None) -> bytes:
    """JSON-RPC bytes ("0x…"); ChainError if they are none or have another length."""
    if isinstance(value, str) and value[:2] == "0x":
        try:
            data = bytes.fromhex(value[2:])
        except ValueError:
            data = None
        # bytes.fromhex skips white space, which has no place here.
        if data is not None and 2 * len(data) == len(value) - 2 and length in (None, len(data)):
            return data
    wanted = "bytes" if length is None else f"{length} bytes"
    raise ChainError(f"{what}: {printable(value)!r} is not {wanted} in hexadecimal")


def unaddress(value: Any, what: str) -> str:
    """A JSON-RPC address, with its checksum; ChainError if it is none."""
    return checksum("0x" + unhex(value, what, 20).hex())


def _endpoint(method: str) -> RPCEndpoint:
    from web3.types import RPCEndpoint

    return RPCEndpoint(method)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _cause(error: Exception) -> str:
    if isinstance(error, AnswerTooLong):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "timeout"
    if isinstance(error, requests.ConnectionError):
        text = str(error)
        if "refused" in text:
            return "connection refused"
        if "resolve" in text or "Name or service" in text:
            return "the host is unknown"
        return "connection failed"
    return printable(error, 100)


def _revert_data(data: Any) -> bytes | None:
    """Geth, Anvil: hex. Hardhat: an object with `data`. OpenEthereum's line: "Reverted 0x…"."""
    for _ in range(3):
        if not isinstance(data, dict):
            break
        data = data.get("data")
    if isinstance(data, str):
        try:
            return unhex(data.removeprefix("Reverted "), "revert data")
        except ChainError:
            return None
    return None
