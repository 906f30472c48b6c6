"""`bafl invite`: let somebody join (owner)."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bafl import units
from bafl.cli import invitations
from bafl.cli.app import Verb
from bafl.cli.options import duration, session_options
from bafl.errors import UsageError
from bafl.types import Role

if TYPE_CHECKING:
    from bafl.cli.session import Session


@click.command(
    "invite",
    cls=Verb,
    example="bafl invite 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --output clinic.json "
    "--config devnet/owner.toml",
)
@click.argument("address", required=False)
@click.option(
    "--role",
    "roles",
    type=click.Choice(["trainer", "validator"]),
    multiple=True,
    help="What the participant may do; both by default.",
)
@click.option(
    "--valid", type=duration, metavar="TIME", default="7 days", show_default=True, help="How long."
)
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path), metavar="FILE", help="Where to."
)
@click.option("--revoke-all", is_flag=True, help="Make every invitation given so far invalid.")
@session_options
def command(
    session: Session,
    address: str | None,
    roles: tuple[str, ...],
    valid: int,
    path: Path | None,
    revoke_all: bool,
) -> None:
    """Sign an invitation to join (owner).

    Costs nothing: the invitation is a signature in a small file, to be given to `bafl join`. It
    works once, for that address and those roles, until it ends or is revoked.
    """
    from bafl.chain import calls
    from bafl.values import read_address

    out = session.output
    if revoke_all:
        session.send(calls.bump_invitation_epoch(), "revoking")
        out.line("Every invitation given so far is invalid.")
        if address is None:
            out.emit({"revoked": True})
            return
    if address is None:
        raise UsageError("say whom to invite: bafl invite ADDRESS (or --revoke-all)")
    federation = session.federation
    if session.account.address != federation.owner:
        raise UsageError(
            f"{session.account.address} is not the owner of {federation.address}; the owner, "
            f"{federation.owner}, invites"
        )
    participant = read_address(address, "ADDRESS")
    allowed = Role(0)
    for role in roles or ("trainer", "validator"):
        allowed |= Role[role.upper()]
    deadline_s = int(session.now()) + valid
    invitation = calls.invitation(
        session.account,
        federation.signing_domain(),
        participant,
        allowed,
        nonce=secrets.randbits(64),
        deadline_s=deadline_s,
        epoch=federation.invitation_epoch(),
    )
    path = path or Path(f"invitation-{participant[:10]}.json")
    invitations.write(path, federation.chain_id, federation.address, invitation)
    out.line(f"Invitation for {out.address(participant)} in {path}, valid {_until(valid)}.")
    out.line(
        f"It joins with: bafl join --invitation {shlex.quote(path.name)} "
        f"--federation {federation.address} -c NODE.TOML"
    )
    out.emit(
        {
            "file": str(path),
            "participant": participant,
            "roles": [role.name.lower() for role in allowed if role.name],
            "deadline": units.format_utc(deadline_s),
        }
    )


def _until(valid_s: int) -> str:
    return f"for {units.format_duration(valid_s)}"
