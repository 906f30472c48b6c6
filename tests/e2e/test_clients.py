"""The same federation on the chains that people run: Anvil, Hardhat's node and geth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bafl.devnet import Chain, Processes, wait_until
from tests.e2e.federation.stage import found

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

COUNT = 4
NewAccount = Callable[..., "LocalAccount"]


def test_a_federation_reaches_its_second_version_on_every_client(
    any_chain: Chain, tmp_path: Path, new_account: NewAccount
) -> None:
    stage = found(any_chain, f"local:{tmp_path / 'store'}", tmp_path / "stage", COUNT)
    accounts = [new_account(chain=any_chain) for _ in range(COUNT)]
    with Processes(tmp_path / "logs") as nodes:
        for index, account in enumerate(accounts):
            stage.start(nodes, index, account)

        def there() -> bool:
            for node in nodes:
                node.require_running()
            return stage.federation.head().version >= 2

        wait_until(there, seconds=240, what="version 2")

    history, report = stage.history, stage.audit()
    assert report.ok, report
    assert len(report.versions) >= 2
    assert all(account.address in history.participants for account in accounts)
    assert not history.slashes
