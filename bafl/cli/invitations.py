"""Invitations as small files that an owner hands to a participant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bafl import strictjson
from bafl.errors import UsageError
from bafl.types import Role

if TYPE_CHECKING:
    from bafl.chain.calls import Invitation

MAX_BYTES = 10_000
_FIELDS = {
    "chainId": int,
    "federation": str,
    "participant": str,
    "roles": int,
    "nonce": str,
    "deadline": int,
    "epoch": int,
    "signature": str,
}


def write(path: Path, chain_id: int, federation: str, invitation: Invitation) -> None:
    """Write an invitation. Raises UsageError if the file cannot be written."""
    value = {
        "chainId": chain_id,
        "federation": federation,
        "participant": invitation.participant,
        "roles": int(invitation.roles),
        "nonce": str(invitation.nonce),
        "deadline": invitation.deadline_s,
        "epoch": invitation.epoch,
        "signature": "0x" + invitation.signature.hex(),
    }
    try:
        path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def read(path: Path, chain_id: int, federation: str, participant: str) -> Invitation:
    """Read an invitation for this participant of this federation.

    Raises UsageError for a file that is none, or one for somebody or something else.
    """
    from bafl.chain.calls import Invitation

    try:
        with path.open("rb") as file:
            value = strictjson.load(file.read(MAX_BYTES + 1), MAX_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read the invitation {path}: {error.strerror}") from None
    except strictjson.JsonRefused as error:
        raise UsageError(f"{path} is no invitation: {error}") from None
    try:
        if not isinstance(value, dict) or any(
            type(value[key]) is not kind for key, kind in _FIELDS.items()
        ):
            raise TypeError
        if not 1 <= value["roles"] <= int(Role.TRAINER | Role.VALIDATOR):
            raise ValueError
        invitation = Invitation(
            participant=value["participant"],
            roles=Role(value["roles"]),
            nonce=int(value["nonce"]),
            deadline_s=value["deadline"],
            epoch=value["epoch"],
            signature=bytes.fromhex(value["signature"].removeprefix("0x")),
        )
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"{path} is no invitation: ask the federation's owner for a file that `bafl invite` "
            "wrote"
        ) from None
    for what, found, wanted in (
        ("chain", value["chainId"], chain_id),
        ("federation", value["federation"].lower(), federation.lower()),
        ("participant", invitation.participant.lower(), participant.lower()),
    ):
        if found != wanted:
            raise UsageError(f"the invitation {path} is for {what} {found}, not {wanted}")
    return invitation
