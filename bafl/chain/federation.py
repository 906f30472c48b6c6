"""One federation's views, decoded and checked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bafl.chain.abi import address_of, artifact, checksum, interface, struct, structs
from bafl.chain.calls import SigningDomain
from bafl.chain.currency import known_currency
from bafl.chain.sender import Sender
from bafl.errors import ChainError, ContractRefusal
from bafl.foreign import printable
from bafl.types import (
    NO_SEAT,
    RAW,
    Genesis,
    Head,
    Parameters,
    Participant,
    Root,
    Verdict,
    View,
    Window,
)

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from bafl.chain.connection import BlockId, Connection

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_UPDATES = 16
MAX_SEATS = 32


@dataclass(frozen=True, slots=True)
class Update:
    """`IFederation.Update`: an update while it is in the ring. share_ppm: after the tally."""

    id: int
    root: Root
    verdict: Verdict
    share_ppm: int


@dataclass(frozen=True, slots=True)
class Seated:
    """A validator with a seat. active: judges the present window."""

    address: str
    participant: Participant
    active: bool


class Federation:
    """A federation's contract on a chain; thread-safe.

    Raises UsageError for an address that is none, ChainError where there is no contract, or one of
    another kind. `parameters`, `currency`, `genesis`, `owner` and `lens_address` never change;
    `is_known_code` tells whether it is the contract that this package ships, byte for byte.
    """

    def __init__(self, connection: Connection, address: str) -> None:
        self.connection = connection
        self.address = address_of(address, "federation")
        self.chain_id = connection.chain_id
        code = connection.code(self.address)
        if not code:
            raise ChainError(
                f"there is no contract at {self.address} on chain {self.chain_id} "
                f"({connection.name}): check the address and the chain; after a devnet was reset, "
                "create the federation again"
            )
        try:
            self.parameters = struct(Parameters, self._one("parameters"), "parameters")
            self.genesis = _genesis(self._one("genesis"))
            self.owner = self._address("owner")
            self.lens_address = self._address("lens")
            check_head(struct(Head, self._one("head"), "head"))
        except (ChainError, ContractRefusal) as error:
            raise ChainError(
                f"the contract at {self.address} on chain {self.chain_id} ({len(code):,} bytes of "
                f"code) is not a BAFL federation: {error}"
            ) from error
        self.currency = known_currency(connection, self.parameters.currency)
        connection.currencies[self.address] = self.currency
        lens_code = connection.code(self.lens_address)
        if not lens_code:
            raise ChainError(f"{self.address} names the lens {self.lens_address}: nothing is there")
        self.is_known_code = self._is_known("Federation", code) and self._is_known(
            "FederationLens", lens_code
        )
        if not self.is_known_code:
            log.warning(
                "%s is not the code this BAFL was built with: another version, or one that may not "
                "keep its promises",
                self.address,
            )

    def _is_known(self, name: str, code: bytes) -> bool:
        """Whether this is the very code that the package ships, and so what it is linked with."""
        runtime = artifact(name).runtime
        if runtime is None or not runtime.matches(code):
            return False
        for library in runtime.libraries:
            linked = self.connection.code(runtime.library(library, code))
            if not self._is_known(library, linked):
                return False
        return True

    def sender(self, account: LocalAccount, **options: Any) -> Sender:
        """Transactions of `account` to this federation; options as `Sender` has them."""
        return Sender(self.connection, account, self.address, **options)

    # --- what a node looks at ---

    def view(self, account: str, block: BlockId = "latest") -> View:
        """Everything a node looks at, in one call, at one block."""
        lens = interface("FederationLens")
        data = lens.encode("overview", (self.address, account))
        answer = self.connection.call(self.lens_address, data, block=block)
        (values,) = lens.decode("overview", answer)
        return check_view(struct(View, values, "overview"))

    def validators(self) -> tuple[Seated, ...]:
        """All validators with a seat."""
        lens = interface("FederationLens")
        answer = self.connection.call(self.lens_address, lens.encode("validators", (self.address,)))
        accounts, participants, active = lens.decode("validators", answer)
        if len(accounts) != len(participants) or len(accounts) > MAX_SEATS:
            raise ChainError(f"validators: {len(accounts)} accounts, {len(participants)} of them")
        checked = structs(Participant, participants, "validators")
        return tuple(
            Seated(checksum(account), participant, bool(active >> participant.seat & 1))
            for account, participant in zip(accounts, checked, strict=True)
        )

    def weights(self) -> dict[int, int]:
        """Voting weight by seat, of those that judge the present window."""
        window = self.window(self.head().judging_window)
        return {
            seat: int(self._one("weightOf", seat))
            for seat in range(MAX_SEATS)
            if window.active >> seat & 1
        }

    # --- single views ---

    def head(self, block: BlockId = "latest") -> Head:
        """The latest version, the windows at work, and the money."""
        return check_head(struct(Head, self._one("head", block=block), "head"))

    def window(self, window: int) -> Window:
        """A window; those that left the ring keep only id and phase."""
        return check_window(struct(Window, self._one("window", window), f"window {window}"))

    def participant(self, account: str) -> Participant:
        """An account's standing; roles 0 if it is no participant."""
        values = self._one("participant", address_of(account, "participant"))
        return check_participant(struct(Participant, values, "participant"))

    def update(self, update_id: int) -> Update:
        """An update while it is in the ring. Raises ContractRefusal (UpdateForgotten) after."""
        raw = struct(_Update, self._one("update", update_id), f"update {update_id}")
        if raw.id != update_id:
            raise ChainError(f"asked for update {update_id}, given {raw.id}")
        return Update(raw.id, _root(raw.digest, raw.codec), raw.verdict, raw.share_ppm)

    def model_root(self, version: int) -> Root:
        """The root of a final version's model. Raises ContractRefusal (NoSuchVersion, or
        VersionForgotten where 64 others have followed)."""
        return _root(self._one("modelDigest", version), self.genesis.model.codec)

    def commitment_of(self, seat: int) -> bytes:
        """A seat's commitment (after the reveal: its scores) in the window being judged."""
        return bytes(self._one("commitmentOf", seat))

    def seat_of(self, seat: int) -> str:
        """Who has a seat; the zero address if nobody."""
        return self._address("seatOf", seat)

    def invitation_epoch(self) -> int:
        """The epoch that an invitation has to carry."""
        return int(self._one("invitationEpoch"))

    def model_cid(self, version: int) -> str:
        """The CID the contract gives a version's model."""
        return printable(self._one("modelCid", version))

    def manifest_cid(self) -> str:
        """The CID the contract gives the manifest."""
        return printable(self._one("manifestCid"))

    def signing_domain(self) -> SigningDomain:
        """EIP-712's domain for invitations, as the contract has it (ERC-5267)."""
        values = self._many("eip712Domain")
        domain = SigningDomain(str(values[1]), str(values[2]), int(values[3]), checksum(values[4]))
        if (domain.chain_id, domain.contract) != (self.chain_id, self.address):
            raise ChainError(
                f"{self.address} signs for contract {domain.contract} on chain {domain.chain_id}"
            )
        return domain

    # --- parts ---

    def _many(self, name: str, *arguments: Any, block: BlockId = "latest") -> tuple[Any, ...]:
        abi = interface("Federation")
        answer = self.connection.call(self.address, abi.encode(name, arguments), block=block)
        return abi.decode(name, answer)

    def _one(self, name: str, *arguments: Any, block: BlockId = "latest") -> Any:
        return self._many(name, *arguments, block=block)[0]

    def _address(self, name: str, *arguments: Any) -> str:
        return checksum(self._one(name, *arguments))


@dataclass(frozen=True, slots=True)
class _Update:
    id: int
    digest: bytes
    codec: int
    verdict: Verdict
    share_ppm: int


@dataclass(frozen=True, slots=True)
class _Genesis:
    manifest: bytes
    model: bytes
    codec: int


def _root(digest: bytes, codec: int) -> Root:
    try:
        return Root(digest, codec)
    except ValueError as error:
        raise ChainError(str(error)) from error


def _genesis(values: Any) -> Genesis:
    raw = struct(_Genesis, values, "genesis")
    return Genesis(_root(raw.manifest, RAW), _root(raw.model, raw.codec))


# --- what no contract of ours says, whatever the RPC claims ---


def check_head(head: Head) -> Head:
    """Refuse a head that no federation has: ChainError."""
    if not 1 <= head.judging_window <= head.open_window:
        raise ChainError(f"windows {head.judging_window} (judged) and {head.open_window} (open)")
    # Equal between the quorum that finalises a version and its window's settlement.
    if head.version > head.judging_window:
        raise ChainError(f"version {head.version} before window {head.judging_window}")
    if head.effective_size > MAX_UPDATES:
        raise ChainError(f"windows of {head.effective_size} updates")
    return head


def check_window(window: Window) -> Window:
    """Refuse a window that no federation has: ChainError."""
    if window.updates > MAX_UPDATES:
        raise ChainError(f"window {window.id}: {window.updates} updates")
    if (window.committed | window.revealed | window.attested) & ~window.active:
        raise ChainError(f"window {window.id}: seats that acted and are not active")
    return window


def check_participant(participant: Participant) -> Participant:
    """Refuse a participant that no federation has: ChainError."""
    if participant.seat != NO_SEAT and participant.seat >= MAX_SEATS:
        raise ChainError(f"a participant in seat {participant.seat}")
    if max(participant.trainer_reputation, participant.validator_reputation) > 1_000_000:
        raise ChainError("a reputation above one")
    if max(participant.pending_indices) >= MAX_UPDATES:
        raise ChainError(f"pending updates at {participant.pending_indices}")
    return participant


def check_view(view: View) -> View:
    """Refuse a view that no federation gives: ChainError."""
    check_head(view.head)
    check_window(view.judging)
    check_window(view.open)
    check_participant(view.participant)
    if view.judging.id != view.head.judging_window or view.open.id != view.head.open_window:
        raise ChainError(
            f"a view of windows {view.judging.id} and {view.open.id} where the head names "
            f"{view.head.judging_window} and {view.head.open_window}"
        )
    return view
