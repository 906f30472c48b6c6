"""Every transaction a federation takes, as a value; and what participants sign off chain."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from bafl.chain.abi import address_of, interface
from bafl.errors import UsageError
from bafl.types import Role, Root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eth_account.signers.local import LocalAccount

    from bafl.types import UpdateRecord

NO_SALT = bytes(32)
NO_PROFILE = bytes(32)
SALT_DOMAIN = b"BAFL score salt v1"
UNAVAILABLE = -(2**15)
MALFORMED = -(2**15) + 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a contract. to: address, or None for the federation the sender works for.

    contract: the artifact whose ABI has the function. value_wei: what comes along, in the
    federation's currency: `bafl.chain.currency.pay` sends it where that may be a token.
    """

    name: str
    args: tuple[object, ...] = ()
    value_wei: int = 0
    to: str | None = None
    contract: str = "Federation"

    def data(self) -> bytes:
        """The call data; UsageError if the arguments do not fit the ABI."""
        return interface(self.contract).encode(self.name, self.args)


@dataclass(frozen=True, slots=True)
class Creation:
    """A contract's creation. initcode: with libraries linked and arguments appended."""

    name: str
    initcode: bytes
    value_wei: int = 0

    def data(self) -> bytes:
        """The creation code."""
        return self.initcode


# --- the window ---


def submit_update(base_version: int, root: Root, encoding: int, samples: int) -> Call:
    """Record an update relative to `base_version`. samples: rows trained on."""
    args = (base_version, root.digest, root.codec, encoding, samples)
    return Call("submitUpdate", args)


def seal() -> Call:
    """Seal the open window, and begin the turn of the oldest sealed one."""
    return Call("seal")


def commit_scores(window: int, tag: int, commitment_: bytes) -> Call:
    """Commit to scores; see `commitment`."""
    return Call("commitScores", (window, commitment_, tag))


def reveal_scores(
    window: int, tag: int, scores: Sequence[int], keep: int, salt_: bytes = NO_SALT
) -> Call:
    """Reveal scores in bps, one an update (or a code); salt_ is unused with direct reveal."""
    return Call("revealScores", (window, tag, keep, pack_scores(scores), salt_))


def tally(window: int, authors: Sequence[str], validators: Sequence[str]) -> Call:
    """Turn revealed scores into verdicts.

    authors: of the window's updates, in order; validators: who revealed, in the order of seats.
    """
    return Call("tally", (window, tuple(authors), tuple(validators)))


def attest_model(window: int, tag: int, digest: bytes, metric_micro: int) -> Call:
    """Attest the next model. metric_micro: millionths of the manifest's unit, int64."""
    return Call("attestModel", (window, tag, digest, metric_micro))


def settle(window: int) -> Call:
    """End a tallied window."""
    return Call("settle", (window,))


def discard(window: int) -> Call:
    """End a window that cannot go on."""
    return Call("discard", (window,))


def together(*parts: Call) -> Call:
    """Calls of the federation in one transaction, in order: all of them count, or none."""
    return Call("multicall", (tuple(part.data() for part in parts),))


# --- membership ---


def join(roles: Role, stake_wei: int, profile: bytes = NO_PROFILE) -> Call:
    """Join an open federation; the stake comes along."""
    return Call("join", (int(roles), profile, stake_wei), stake_wei)


def join_by_invitation(invitation: Invitation, stake_wei: int, profile: bytes = NO_PROFILE) -> Call:
    """Join with the owner's invitation; the stake comes along."""
    args = (
        int(invitation.roles),
        profile,
        stake_wei,
        invitation.nonce,
        invitation.deadline_s,
        invitation.signature,
    )
    return Call("joinByInvitation", args, stake_wei)


def set_profile(profile: bytes) -> Call:
    """Change the profile's digest."""
    return Call("setProfile", (profile,))


def top_up(amount_wei: int) -> Call:
    """Add to the stake."""
    return Call("topUp", (amount_wei,), amount_wei)


def take_seat() -> Call:
    """Take a validator's seat."""
    return Call("takeSeat")


def wake() -> Call:
    """Judge again after two missed windows."""
    return Call("wake")


def request_exit() -> Call:
    """End all duties."""
    return Call("requestExit")


def withdraw() -> Call:
    """Take the stake back after unbonding."""
    return Call("withdraw")


def claim() -> Call:
    """Take the credited rewards."""
    return Call("claim")


# --- owner, and money ---


def fund(amount_wei: int) -> Call:
    """Add to the reward pool."""
    return Call("fund", (amount_wei,), amount_wei)


def pause() -> Call:
    """Take no new submissions for now."""
    return Call("pause")


def unpause() -> Call:
    """Take submissions again."""
    return Call("unpause")


def close() -> Call:
    """Take no more submissions, for good."""
    return Call("close")


def bump_invitation_epoch() -> Call:
    """Make all invitations given so far invalid."""
    return Call("bumpInvitationEpoch")


def sweep_pool() -> Call:
    """Send the rest of a closed federation's pool to the treasury."""
    return Call("sweepPool")


def sweep_slashed() -> Call:
    """Send slashed money to the sink."""
    return Call("sweepSlashed")


# --- scores and commitments ---


def pack_scores(scores: Sequence[int]) -> bytes:
    """Scores in bps, or codes, as big-endian int16s; UsageError where one does not fit."""
    if not all(-(2**15) <= score < 2**15 for score in scores):
        raise UsageError(f"scores are int16s in bps, not {tuple(scores)}")
    return b"".join(score.to_bytes(2, "big", signed=True) for score in scores)


def unpack_scores(packed: bytes, count: int) -> tuple[int, ...]:
    """The first `count` big-endian int16s of `packed`."""
    return tuple(
        int.from_bytes(packed[2 * i : 2 * i + 2], "big", signed=True) for i in range(count)
    )


def window_tag(
    chain_id: int, contract: str, window: int, updates: Sequence[UpdateRecord], base: Root
) -> int:
    """What the contract calls a window with these updates, judged against the model `base`.

    Source: `TurnBegan` in IFederation.sol. Whoever sees the tag and the log can tell whether the
    log's updates are those that are judged.
    """
    hash_, last = 0, (1 << 64) - 1
    types = ["uint256", "address", "uint256", "bytes32", "uint256", "uint256", "uint256"]
    for each in updates:
        declared = (each.base_version, each.root.digest, each.root.codec, each.encoding)
        values = [hash_, each.participant, *declared, each.samples]
        hash_ = int.from_bytes(keccak(abi_encode(types, values)), "big") & last
    types = ["uint256", "address", "uint256", "uint256", "bytes32"]
    encoded = abi_encode(types, [chain_id, contract, window, hash_, base.digest])
    return int.from_bytes(keccak(encoded), "big") & last


def commitment(
    chain_id: int,
    contract: str,
    window: int,
    tag: int,
    validator: str,
    scores: Sequence[int],
    keep: int,
    salt_: bytes,
) -> bytes:
    """What `commitScores` takes: the hash that a later reveal has to meet, 32 bytes."""
    types = ["uint256", "address", "uint32", "uint64", "address", "bytes", "uint8", "bytes32"]
    values = [chain_id, contract, window, tag, validator, pack_scores(scores), keep, salt_]
    return keccak(abi_encode(types, values))


def salt(key: bytes, chain_id: int, contract: str, window: int, tag: int, validator: str) -> bytes:
    """A commitment's salt, 32 bytes: HMAC-SHA256 by the private key over what it is for.

    The same after a crash, and unknown to whoever lacks the key: the scores are few enough to be
    guessed without it.
    """
    types = ["uint256", "address", "uint32", "uint64", "address"]
    message = SALT_DOMAIN + abi_encode(types, [chain_id, contract, window, tag, validator])
    return hmac.new(key, message, hashlib.sha256).digest()


# --- invitations ---


@dataclass(frozen=True, slots=True)
class Invitation:
    """The owner's leave to join: single use, for one address, roles, deadline and epoch."""

    participant: str
    roles: Role
    nonce: int
    deadline_s: int
    epoch: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class SigningDomain:
    """EIP-712's domain of a federation; `Federation.signing_domain` reads it from the contract."""

    name: str
    version: str
    chain_id: int
    contract: str


def invitation(
    owner: LocalAccount,
    domain: SigningDomain,
    participant: str,
    roles: Role,
    *,
    nonce: int,
    deadline_s: int,
    epoch: int,
) -> Invitation:
    """An invitation signed by `owner` (EIP-712). nonce: any number not used before."""
    terms = Invitation(
        address_of(participant, "participant"), Role(roles), nonce, deadline_s, epoch, b""
    )
    signed = owner.sign_typed_data(full_message=_typed(domain, terms))
    signature = bytes(signed.signature)
    return Invitation(terms.participant, terms.roles, nonce, deadline_s, epoch, signature)


def invitation_digest(domain: SigningDomain, terms: Invitation) -> bytes:
    """The 32 bytes that an owner signs; one that is a contract is asked about them (ERC-1271)."""
    from eth_account.messages import encode_typed_data

    message = encode_typed_data(full_message=_typed(domain, terms))
    return keccak(b"\x19" + message.version + message.header + message.body)


def invitation_signer(domain: SigningDomain, given: Invitation) -> str:
    """Whose key signed an invitation, to compare with an owner that is no contract.

    What a contract takes for its signature shows nobody, or none at all: ask the contract.
    Raises UsageError if the signature is none.
    """
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    message = encode_typed_data(full_message=_typed(domain, given))
    try:
        return str(Account.recover_message(message, signature=given.signature))
    except Exception as error:
        raise UsageError(f"the invitation's signature is none: {error}") from error


def _typed(domain: SigningDomain, terms: Invitation) -> dict[str, object]:
    def field(name: str, kind: str) -> dict[str, str]:
        return {"name": name, "type": kind}

    return {
        "types": {
            "EIP712Domain": [
                field("name", "string"),
                field("version", "string"),
                field("chainId", "uint256"),
                field("verifyingContract", "address"),
            ],
            "Invitation": [
                field("participant", "address"),
                field("roles", "uint8"),
                field("nonce", "uint256"),
                field("deadline", "uint256"),
                field("epoch", "uint64"),
            ],
        },
        "primaryType": "Invitation",
        "domain": {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        "message": {
            "participant": terms.participant,
            "roles": int(terms.roles),
            "nonce": terms.nonce,
            "deadline": terms.deadline_s,
            "epoch": terms.epoch,
        },
    }
