"""`bafl run`: a participant's node."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from bafl.cli import logs
from bafl.cli.app import INTERRUPTED, Verb
from bafl.cli.options import session_options, task_option
from bafl.errors import RefusedError
from bafl.types import Role

if TYPE_CHECKING:
    from bafl.chain.connection import Connection
    from bafl.cli.session import Session
    from bafl.node import Node, NodeOptions

PATIENCE_S = 20.0

log = logging.getLogger("bafl.node")


@click.command("run", cls=Verb, example="bafl run --config node.toml")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@task_option
@session_options
def command(session: Session, task: dict[str, Any], verbose: bool) -> None:
    """Run a participant's node until Ctrl-C.

    It trains, judges and attests, as its roles say. Ctrl-C (or SIGTERM) finishes what is under way
    and stops; a second Ctrl-C stops at once. Started again, the node goes on where it was. Nothing
    is lost if that is before the deadline to reveal the scores it committed to, which it names as
    it stops; after it a part of the stake is slashed. Waits patiently, and says so, while the chain
    or the store does not answer. With --json the log is one JSON object a line.
    """
    logs.set_up(verbose=verbose, as_json=session.output.as_json)
    address = session.account.address
    participant = session.federation.participant(address)
    if not participant.roles:
        raise RefusedError(
            f"{address} is not a participant of {session.federation.address}: `bafl join` first"
        )
    from bafl.node import Node

    node = Node(
        federation=session.federation,
        sender=session.sender,
        store=session.own_store,
        task=session.open_task(**task),
        manifest=session.manifest,
        home=session.home,
        options=_options(session, participant.roles),
    )
    _be_patient(session.connection, node)
    log.info(
        "task %s with %d training samples; %s; home %s",
        session.manifest.task,
        node.work.task.samples,
        session.own_store.describe(),
        session.home,
    )
    asyncio.run(_until_stopped(node))


def _options(session: Session, roles: Role) -> NodeOptions:
    from bafl.node import NodeOptions
    from bafl.protocol import Options

    run = session.settings.run
    given = {"poll_s": run.poll, "confirmations": run.confirmations}
    return NodeOptions(
        protocol=Options(train=Role.TRAINER in roles, validate=Role.VALIDATOR in roles),
        encoding=run.encoding,
        **{key: value for key, value in given.items() if value is not None},
    )


def _be_patient(connection: Connection, node: Node) -> None:
    """Let a read wait while the RPC is away, but not when the node is to stop."""

    def on_wait(error: Exception, _pause_s: float) -> None:
        if node.work.stopping.is_set():
            raise error

    connection.patience_s = PATIENCE_S
    connection.on_wait = on_wait


async def _until_stopped(node: Node) -> None:
    """Run the node until the first SIGINT or SIGTERM; the second ends the process."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # Whatever is under way: the journal was written first.
            os._exit(INTERRUPTED)
        print("stopping; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        await node.run(stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
