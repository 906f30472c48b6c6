"""An invitation's file comes back as it was written, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bafl.chain.calls import Invitation
from bafl.cli import invitations
from bafl.errors import UsageError
from bafl.types import Role

FEDERATION = "0x" + "22" * 20
PARTICIPANT = "0x" + "33" * 20
INVITATION = Invitation(
    participant=PARTICIPANT,
    roles=Role.TRAINER | Role.VALIDATOR,
    nonce=2**64 - 1,
    deadline_s=1_900_000_000,
    epoch=3,
    signature=bytes(range(65)),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "invitation.json"
    invitations.write(file, 31337, FEDERATION, INVITATION)
    return file


def test_what_is_written_is_read(path: Path) -> None:
    read = invitations.read(path, 31337, FEDERATION.upper().replace("X", "x"), PARTICIPANT)
    assert read == INVITATION


@pytest.mark.parametrize(
    ("chain_id", "federation", "participant", "said"),
    [
        (1, FEDERATION, PARTICIPANT, "chain 31337, not 1"),
        (31337, "0x" + "44" * 20, PARTICIPANT, "federation 0x22"),
        (31337, FEDERATION, "0x" + "44" * 20, "participant 0x33"),
    ],
)
def test_one_for_somebody_or_something_else_is_refused(
    path: Path, chain_id: int, federation: str, participant: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        invitations.read(path, chain_id, federation, participant)


@pytest.mark.parametrize(
    "change",
    [
        {"roles": 9},
        {"roles": True},
        {"nonce": "many"},
        {"signature": "0xzz"},
        {"deadline": "tomorrow"},
        {"federation": 5},
    ],
)
def test_a_file_that_is_none_is_refused(path: Path, change: dict[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match="is no invitation"):
        invitations.read(path, 31337, FEDERATION, PARTICIPANT)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"chainId": 1, "chainId": 1}'])
def test_other_files_are_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(UsageError, match="is no invitation"):
        invitations.read(path, 31337, FEDERATION, PARTICIPANT)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the invitation"):
        invitations.read(tmp_path / "none.json", 31337, FEDERATION, PARTICIPANT)
