"""A federation's whole life through `bafl.chain`: on a real chain, with an RPC that misbehaves."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest

from bafl.chain import calls, errors
from bafl.chain.abi import interface
from bafl.chain.connection import Connection
from bafl.chain.deploy import deploy_federation, deploy_support, find_creation_block, is_current
from bafl.chain.errors import ChainUnreachable
from bafl.chain.federation import Federation
from bafl.chain.history import HistoryFile
from bafl.chain.logs import LogReader, decode
from bafl.chain.sender import Sender
from bafl.devnet import Anvil
from bafl.errors import ChainError, ContractRefusal, DiskError, UsageError
from bafl.types import (
    DAG_PB,
    RAW,
    START_REPUTATION,
    Encoding,
    Phase,
    Role,
    Root,
    Verdict,
    VoidReason,
)
from tests.e2e.chain_life import BOTH, ETHER, GENESIS, Life, digest, found, funded, parameters
from tests.unit.chain.proxy import Forward, Json, Proxy, Raw, Rule, error, only, result

GOOD = (300, 200, 100)
MIXED = (300, 200, -9000)


@pytest.fixture
def connection(own_anvil: Anvil) -> Iterator[Connection]:
    with Connection(own_anvil.url, patience_s=5) as opened:
        yield opened


@pytest.fixture
def life(own_anvil: Anvil, connection: Connection) -> Life:
    life = found(own_anvil, connection)
    life.owner.send(calls.fund(10 * ETHER))
    life.join(4)
    return life


@pytest.fixture
def file(life: Life) -> Iterator[HistoryFile]:
    opened = HistoryFile(life.federation)
    yield opened
    opened.close()


# --- a life ---


def test_the_log_tells_the_same_as_the_views(life: Life, file: HistoryFile) -> None:
    life.window(GOOD)
    rejecting = life.window(MIXED, keep=2)
    federation, history = life.federation, file.sync()
    view = federation.view(life.people[2].address)

    assert view.head.version == len(history.versions) - 1 == 2
    for version in history.versions:
        assert federation.model_root(version.version) == version.root
    assert [version.window for version in history.versions] == [0, 1, 2]
    assert history.versions[0].block == life.deployed.block
    assert history.versions[2].root.codec == GENESIS.model.codec

    tallied = history.tallied(rejecting)
    assert tallied is not None
    for record in history.updates(rejecting):
        update = federation.update(record.id)
        assert update.root == record.root
        assert update.verdict == tallied.verdicts[record.index]
        assert update.share_ppm == tallied.shares_ppm[record.index]
    assert history.authors(rejecting) == tuple(p.address for p in life.people[:3])
    assert tallied.verdicts == (Verdict.PAID, Verdict.PAID, Verdict.REJECTED)
    assert history.ended(rejecting)
    assert not history.ended(rejecting + 1)
    assert history.version_of(rejecting) == 2
    assert history.window_of_version(2) == rejecting
    assert history.voided(rejecting) is None

    turn = history.turn(rejecting)
    assert turn is not None
    assert turn.base_version == 1
    assert turn.validators == tuple(p.address for p in life.people)
    for person in life.people:
        assert history.reveals(rejecting)[person.address] == (MIXED, 2)
        assert person.address in history.commitments(rejecting)
    assert {a.digest for a in history.attestations(rejecting)} == {digest("model", rejecting)}

    for person in life.people:
        participant = federation.participant(person.address)
        member = history.participants[person.address]
        assert member.stake_wei == participant.stake_wei
        assert member.roles == participant.roles == BOTH
        assert member.seat == participant.seat
        assert member.profile == participant.profile == digest("profile", person.address)
        reputation = history.reputations[person.address]
        assert reputation.trainer == participant.trainer_reputation
        assert reputation.validator == participant.validator_reputation
        earned = sum(reward.wei for reward in history.rewards(person.address))
        assert earned == participant.credit_wei
    assert sum(r.as_trainer_wei for r in history.rewards(life.people[0].address)) > 0
    assert history.funded_wei == 10 * ETHER


def test_a_view_is_what_the_single_views_say(life: Life, file: HistoryFile) -> None:
    life.submit(life.people[:3], 0)
    life.commit({life.people[0].address: GOOD}, 3)
    view = life.federation.view(life.people[0].address)
    head = life.connection.latest()
    assert (view.block, view.block_time_s) == (head.number, head.time_s)
    assert view.head == life.federation.head()
    assert view.judging == life.federation.window(1)
    assert view.open == life.federation.window(2)
    assert view.participant == life.federation.participant(life.people[0].address)
    assert view.model_digest == GENESIS.model.digest
    assert view.commitment == life.federation.commitment_of(view.participant.seat)
    assert view.judging.phase == Phase.COMMIT
    assert view.judging.committed == 1 << view.participant.seat
    assert life.federation.view(life.people[0].address, block=view.block) == view

    seated = life.federation.validators()
    assert [each.address for each in seated] == [p.address for p in life.people]
    assert all(each.active for each in seated)
    weights = life.federation.weights()
    assert len(set(weights.values())) == 1
    assert set(weights) == {each.participant.seat for each in seated}
    assert [life.federation.seat_of(seat) for seat in weights] == [s.address for s in seated]


def test_what_an_author_may_declare_stops_no_reader(life: Life, file: HistoryFile) -> None:
    author = life.people[0]
    author.send(calls.submit_update(0, Root(digest(1), RAW), 255, 2**32 - 1))
    (record,) = file.sync().updates(1)
    assert (record.encoding, record.samples) == (255, 2**32 - 1)
    assert 1 in life.federation.view(author.address).participant.pending_windows


def test_a_tag_is_that_of_the_logs_updates_alone(life: Life, file: HistoryFile) -> None:
    for number, author in enumerate(life.people[:3]):
        root = Root(digest("tagged", number), (RAW, DAG_PB, RAW)[number])
        author.send(calls.submit_update(0, root, (0, 1, 255)[number], 10**number))
    window, updates = life.federation.view(life.people[0].address).judging, file.sync().updates(1)
    place = (life.federation.chain_id, life.federation.address, 1)
    base = GENESIS.model
    assert window.tag == calls.window_tag(*place, updates, base) != 0
    for change in ({"samples": 9}, {"encoding": 2}, {"root": Root(digest(0), RAW)}):
        others = (*updates[:2], replace(updates[2], **change))
        assert calls.window_tag(*place, others, base) != window.tag


def test_constants_are_those_deployed(life: Life) -> None:
    federation = life.federation
    assert federation.parameters == parameters(life.owner.address)
    assert federation.genesis == GENESIS
    assert federation.owner == life.owner.address
    assert federation.lens_address == life.support.lens
    assert federation.invitation_epoch() == 0
    assert federation.manifest_cid().startswith("bafkrei")
    assert federation.model_cid(0).startswith("bafybei")


def test_rewards_can_be_claimed_and_stake_taken_back(life: Life, file: HistoryFile) -> None:
    life.window(GOOD)
    person = life.people[0]
    credit = life.federation.participant(person.address).credit_wei
    before = life.connection.balance(person.address)
    receipt = person.send(calls.claim())
    assert life.connection.balance(person.address) == before + credit - receipt.fee_wei
    person.send(calls.request_exit())
    with pytest.raises(errors.StillBonded, match="the stake is bonded until 20"):
        person.send(calls.withdraw())
    life.anvil.advance(3601)
    person.send(calls.withdraw())
    member = file.sync().participants[person.address]
    assert member.left
    assert member.stake_wei == 0
    assert member.claimed_wei == credit > 0


def test_a_validator_that_breaks_its_word_is_slashed_and_so_recorded(
    life: Life, file: HistoryFile
) -> None:
    life.submit(life.people[:3], 0)
    scores = {person.address: GOOD for person in life.people}
    life.commit(scores, 3)
    silent = life.people[3].address
    life.reveal({who: given for who, given in scores.items() if who != silent}, 3)
    life.anvil.advance(61)
    life.tally()
    life.attest(digest("model", 1))
    history = file.sync()
    (slash,) = history.slashes
    assert (slash.participant, slash.window) == (silent, 1)
    assert slash.amount_wei == ETHER // 50
    stake = life.federation.participant(silent).stake_wei
    assert history.participants[silent].stake_wei == stake == 2 * ETHER - slash.amount_wei


def test_gas_suffices_when_all_act_at_once_in_the_largest_federation(
    own_anvil: Anvil, connection: Connection
) -> None:
    """All are signed on the same state; whichever comes last pays for the phase that begins."""
    life = found(own_anvil, connection, window_size=16)
    life.owner.send(calls.fund(10 * ETHER))
    life.join(32)
    scores = [100 * (8 - i) for i in range(16)]

    def at_once(who: Sequence[Sender], call: Callable[[Sender], calls.Call]) -> list[int]:
        connection.request("evm_setAutomine", [False])
        signed = [(person, person.sign(call(person))) for person in who]
        for person, each in signed:
            person.broadcast(each)
        pending = {each.hash for _, each in signed}
        while pending:
            own_anvil.mine()
            pending = {each for each in pending if life.owner.receipt(each) is None}
        connection.request("evm_setAutomine", [True])
        # `wait` raises for those that ran out of gas.
        return [p.wait(each, deadline_s=time.time() + 60).gas_used for p, each in signed]

    def submission_of(person: Sender) -> calls.Call:
        return calls.submit_update(0, Root(digest(person.address), RAW), Encoding.INT8, 1)

    used = at_once(life.people[:16], submission_of)
    assert max(used) > 4 * min(used), "the last begins a turn of 32 validators"
    window = life.judging()
    assert window.active == 2**32 - 1

    def commitment_of(person: Sender) -> calls.Call:
        made = calls.commitment(
            life.federation.chain_id,
            life.federation.address,
            window.id,
            window.tag,
            person.address,
            scores,
            16,
            life.salt(person, window),
        )
        return calls.commit_scores(window.id, window.tag, made)

    def reveal_of(person: Sender) -> calls.Call:
        salt = life.salt(person, window)
        return calls.reveal_scores(window.id, window.tag, scores, 16, salt)

    at_once(life.people, commitment_of)
    at_once(life.people, reveal_of)
    life.tally()
    for person in life.people[16:]:
        person.send(submission_of(person))
    digest_ = digest("model")
    used = at_once(life.people, lambda _: calls.attest_model(window.id, window.tag, digest_, 1))
    assert max(used) > 4 * min(used), "the last settles, and begins the next turn"
    view = life.federation.view(life.people[0].address)
    assert (view.head.version, view.judging.id, view.judging.phase) == (1, 2, Phase.COMMIT)
    history = HistoryFile(life.federation, start_block=life.deployed.block)
    assert len(history.sync().attestations(1)) == 32
    history.close()


def test_time_counts_that_passed_without_a_block(life: Life, file: HistoryFile) -> None:
    """On a quiet chain the latest block's time is long ago; a deadline has passed all the same."""
    life.submit(life.people[:2], 0)
    with pytest.raises(errors.TooEarly):
        life.owner.sign(calls.seal())
    life.connection.request("evm_increaseTime", [121])
    life.owner.send(calls.seal())
    history = file.sync()
    assert history.voided(1) == VoidReason.TOO_FEW_UPDATES
    assert history.ended(1)
    assert history.sealed(1)
    assert history.turn(1) is None
    assert history.settled(1) is None


def test_a_window_of_poison_alone_is_barren(life: Life, file: HistoryFile) -> None:
    window = life.window((-9000, -9500, -9900), keep=0)
    history = file.sync()
    tallied, settled = history.tallied(window), history.settled(window)
    assert history.voided(window) == VoidReason.BARREN
    assert history.ended(window)
    assert history.version_of(window) is None
    assert tallied is not None
    assert tallied.verdicts == (Verdict.REJECTED,) * 3
    assert settled is not None
    assert not settled.is_final
    assert settled.trainers_wei == (0, 0, 0)
    for person in life.people[:3]:
        fallen = history.reputations[person.address].trainer
        assert fallen < START_REPUTATION
        assert fallen == life.federation.participant(person.address).trainer_reputation


def test_a_window_that_nobody_judges_is_discarded(life: Life, file: HistoryFile) -> None:
    life.submit(life.people[:3], 0)
    life.anvil.advance(121)
    life.owner.send(calls.discard(1))
    history = file.sync()
    assert history.voided(1) == VoidReason.TOO_FEW_REVEALS
    assert history.ended(1)
    assert all(history.reputations[p.address].validator < START_REPUTATION for p in life.people)
    assert all(history.reputations[p.address].trainer == START_REPUTATION for p in life.people)


# --- what is refused ---


def submission(base: int) -> calls.Call:
    return calls.submit_update(base, Root(digest("x"), RAW), Encoding.INT8, 1)


def test_refusals_are_typed_and_say_what_to_do(life: Life) -> None:
    stranger = life.federation.sender(funded(life.anvil))
    person = life.people[0]
    with pytest.raises(errors.NotTrainer, match="is not a trainer"):
        stranger.sign(submission(0))
    with pytest.raises(errors.BaseNotFinal, match="the latest is 0"):
        person.sign(submission(1))
    person.send(submission(0))
    with pytest.raises(errors.BaseNotNewer, match="wait for a newer one"):
        person.sign(submission(0))
    with pytest.raises(errors.StakeBelowMinimum, match=r"a stake of 0\.5 ether is below.* 1 ether"):
        stranger.sign(calls.join(Role.TRAINER, ETHER // 2))
    with pytest.raises(errors.AlreadyParticipant):
        person.sign(calls.join(Role.TRAINER, ETHER))
    with pytest.raises(errors.NotOwner):
        person.sign(calls.pause())
    with pytest.raises(errors.TooEarly, match=r"not before 20\d\d-.* UTC"):
        person.sign(calls.seal())
    with pytest.raises(errors.NotJudgedNow, match="window 1 is not the one being judged"):
        person.sign(calls.tally(1, [], []))
    life.submit(life.people[1:3], 0)
    with pytest.raises(errors.WrongPhase, match="is in phase commit, and this needs attest"):
        life.attest(digest("model"))
    with pytest.raises(errors.NoSuchVersion):
        life.federation.model_root(5)


def test_a_reveal_of_other_scores_is_refused(life: Life) -> None:
    life.submit(life.people[:3], 0)
    life.commit({person.address: GOOD for person in life.people}, 3)
    with pytest.raises(errors.CommitmentMismatch, match="do not hash to the commitment"):
        life.reveal({life.people[0].address: MIXED}, 3)
    life.reveal({life.people[0].address: GOOD}, 3)


def test_an_invitation_opens_a_closed_door_once(own_anvil: Anvil, connection: Connection) -> None:
    life = found(own_anvil, connection, open=False)
    guest = life.federation.sender(funded(own_anvil))
    with pytest.raises(errors.InvitationRequired, match="ask its owner"):
        guest.sign(calls.join(BOTH, ETHER))
    domain = life.federation.signing_domain()
    terms: dict[str, Any] = {"nonce": 7, "deadline_s": 2**40, "epoch": 0}
    forged = calls.invitation(guest.account, domain, guest.address, BOTH, **terms)
    with pytest.raises(errors.InvitationInvalid):
        guest.sign(calls.join_by_invitation(forged, ETHER))
    given = calls.invitation(life.owner.account, domain, guest.address, BOTH, **terms)
    assert calls.invitation_signer(domain, given) == life.federation.owner
    with pytest.raises(errors.InvitationInvalid):
        guest.sign(calls.join_by_invitation(replace(given, roles=Role.TRAINER), ETHER))
    guest.send(calls.join_by_invitation(given, ETHER))
    assert life.federation.participant(guest.address).roles == BOTH
    life.owner.send(calls.bump_invitation_epoch())
    other = life.federation.sender(funded(own_anvil))
    late = calls.invitation(life.owner.account, domain, other.address, BOTH, **terms)
    with pytest.raises(ContractRefusal) as caught:
        other.sign(calls.join_by_invitation(late, ETHER))
    assert caught.value.name in ("InvitationUsed", "InvitationInvalid")
    assert life.federation.invitation_epoch() == 1


def test_parameters_out_of_range_are_named(own_anvil: Anvil, connection: Connection) -> None:
    owner = Sender(connection, funded(own_anvil))
    support = deploy_support(owner)
    wrong = parameters(owner.address, window_size=17)
    with pytest.raises(errors.ParameterOutOfRange, match="windowSize is 17, and has to be"):
        deploy_federation(owner, support, owner.address, GENESIS, wrong, bytes(32))
    misfit = replace(wrong, window_size=3000)
    with pytest.raises(UsageError, match="does not take"):
        deploy_federation(owner, support, owner.address, GENESIS, misfit, bytes(32))


# --- deploying and finding ---


def test_supporting_contracts_are_reused_and_checked(life: Life) -> None:
    assert deploy_support(life.owner, life.support) == life.support
    assert is_current(life.connection, life.support)
    older = replace(life.support, judging=life.support.members)  # code, but not what is shipped
    assert not is_current(life.connection, older)
    gone = replace(life.support, lens=funded(life.anvil).address)
    with pytest.raises(ChainError, match="no contract is there"):
        deploy_support(life.owner, gone)


def test_the_same_deployment_happens_once(life: Life) -> None:
    arguments = (life.owner.address, GENESIS, parameters(life.owner.address))
    with pytest.raises(ContractRefusal):
        deploy_federation(life.owner, life.support, *arguments, bytes(32))
    other = deploy_federation(life.owner, life.support, *arguments, b"\x01" * 32)
    assert other.address != life.federation.address
    Federation(life.connection, other.address)


def test_the_creation_block_is_found(life: Life) -> None:
    life.anvil.mine(100)
    assert find_creation_block(life.connection, life.federation.address) == life.deployed.block
    with pytest.raises(ChainError, match="no contract at"):
        find_creation_block(life.connection, funded(life.anvil).address)


def test_pruned_state_costs_a_longer_log_and_nothing_else(life: Life) -> None:
    life.anvil.mine(100)
    with Proxy(life.anvil.url) as proxy:

        def pruned(request: Json, forward: Forward) -> Json:
            asked = request["params"][1]
            if asked != "latest" and int(asked, 16) < 60:
                return error(request, -32000, "missing trie node")
            return forward()

        proxy.rule = only("eth_getCode", pruned)
        with Connection(proxy.url) as connection:
            start = find_creation_block(connection, life.federation.address)
            assert start <= life.deployed.block
            file = HistoryFile(Federation(connection, life.federation.address))
            assert len(file.sync().participants) == 4
            file.close()


@pytest.mark.parametrize("refusal", ["null", "error"])
def test_state_that_is_not_there_is_pruned_and_an_rpc_that_is_away_is_away(
    life: Life, tmp_path: Path, refusal: str
) -> None:
    path = tmp_path / "history.sqlite"
    life.anvil.mine(100)
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url, patience_s=0) as connection:

        def old(then: Callable[[Json], Json | Raw]) -> Rule:
            def rule(request: Json, forward: Forward) -> Json | Raw:
                return forward() if request["params"][1] == hex(head) else then(request)

            return only("eth_getCode", rule)

        head = connection.latest().number
        federation = Federation(connection, life.federation.address)
        proxy.rule = old(lambda request: Raw(b"", status=503))
        with pytest.raises(ChainUnreachable):
            HistoryFile(federation, path)
        if refusal == "null":
            proxy.rule = old(lambda request: result(request, None))
        else:
            proxy.rule = old(lambda request: error(request, -32000, "missing trie node"))
        assert find_creation_block(connection, life.federation.address) == 0
        proxy.rule = None
        file = HistoryFile(federation, path)
        assert file._next() == life.deployed.block
        file.close()


def test_what_is_no_federation_is_said_to_be_none(life: Life) -> None:
    with pytest.raises(ChainError, match=r"no contract at .* on chain 31337"):
        Federation(life.connection, life.people[0].address)
    for address in (life.support.lens, life.support.registry, life.support.judging):
        with pytest.raises(ChainError, match="is not a BAFL federation"):
            Federation(life.connection, address)
    with pytest.raises(UsageError, match="is not an address"):
        Federation(life.connection, "0x1234")


def test_the_shipped_code_is_known_and_any_other_is_not(life: Life) -> None:
    """Down to the libraries: a federation is as honest as what it is linked with."""
    assert life.federation.is_known_code
    for address in (life.federation.address, *astuple(life.support)[:3]):
        code = life.connection.code(address)
        changed = code[:-1] + bytes([code[-1] ^ 1])
        life.connection.request("anvil_setCode", [address, "0x" + changed.hex()])
        assert not Federation(life.connection, life.federation.address).is_known_code
        life.connection.request("anvil_setCode", [address, "0x" + code.hex()])
    assert Federation(life.connection, life.federation.address).is_known_code


# --- the history under bad conditions ---


def test_a_sync_without_news_is_one_request(life: Life) -> None:
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url) as connection:
        file = HistoryFile(Federation(connection, life.federation.address))
        first = file.sync()
        proxy.requests.clear()
        assert file.sync() is first
        assert proxy.methods() == ["eth_getBlockByNumber"]
        file.close()


def test_a_file_spares_reading_it_all_again(life: Life, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    first = HistoryFile(life.federation, path)
    life.window(GOOD)
    told = first.sync()
    first.close()
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url) as connection:
        second = HistoryFile(Federation(connection, life.federation.address), path)
        again = second.sync()
        asked = [r["params"][0] for r in proxy.requests if r["method"] == "eth_getLogs"]
        second.close()
    assert asked == []
    assert same(again, told)


def same(left: object, right: object) -> bool:
    def state(value: Any) -> Any:
        return {k: state(v) if hasattr(v, "members") else v for k, v in vars(value).items()}

    return bool(state(left) == state(right))


@pytest.mark.parametrize("confirmations", [0, 3, 10_000])
def test_histories_are_the_same_however_they_are_read(
    life: Life, tmp_path: Path, confirmations: int
) -> None:
    """At each step: followed from the start, and read whole."""
    path = tmp_path / "history.sqlite"
    followed = HistoryFile(life.federation, path, confirmations=confirmations)
    steps = 0

    def step() -> None:
        nonlocal steps, followed
        whole = HistoryFile(life.federation)
        assert same(followed.sync(), whole.sync())
        whole.close()
        steps += 1
        if steps % 5 == 0:
            followed.close()
            followed = HistoryFile(life.federation, path, confirmations=confirmations)

    life.after_each = step
    life.window(GOOD)
    life.join(1)
    life.send(life.people[0], calls.claim())
    life.send(life.people[1], calls.request_exit())
    assert steps > 10
    followed.close()


def test_a_history_of_another_federation_is_not_mixed_in(life: Life, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    HistoryFile(life.federation, path).close()
    other = deploy_federation(
        life.owner,
        life.support,
        life.owner.address,
        GENESIS,
        parameters(life.owner.address),
        b"\x05" * 32,
    )
    with pytest.raises(UsageError, match="holds the history of federation 0x"):
        HistoryFile(Federation(life.connection, other.address), path)


@pytest.mark.parametrize("damage", ["junk", "rows"])
def test_a_damaged_file_is_begun_anew(life: Life, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "history.sqlite"
    first = HistoryFile(life.federation, path)
    told = first.sync()
    first.close()
    if damage == "junk":
        path.write_bytes(b"this is no database" * 1000)
    else:
        with sqlite3.connect(path) as database:
            database.execute("UPDATE logs SET data = x'00' WHERE length(data) > 64")
        database.close()
    second = HistoryFile(life.federation, path)
    assert same(second.sync(), told)
    second.close()


def test_a_reorg_is_followed(life: Life, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    file = HistoryFile(life.federation, path)
    before = str(life.connection.request("evm_snapshot", []))
    life.submit(life.people[:2], 0)
    assert len(file.sync().updates(1)) == 2
    assert life.connection.request("evm_revert", [before]) is True
    life.anvil.mine(1)
    life.submit(life.people[2:3], 0)
    life.anvil.mine(3)
    (record,) = file.sync().updates(1)
    assert record.participant == life.people[2].address
    file.close()
    reopened = HistoryFile(life.federation, path)
    assert reopened.sync().updates(1) == (record,)
    reopened.close()


def test_a_reorg_while_the_node_was_off_is_followed(life: Life, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    before = str(life.connection.request("evm_snapshot", []))
    life.submit(life.people[:2], 0)
    file = HistoryFile(life.federation, path)
    file.sync()
    file.close()
    assert life.connection.request("evm_revert", [before]) is True
    life.anvil.mine(5)
    file = HistoryFile(life.federation, path)
    history = file.sync()
    assert history.updates(1) == ()
    assert len(history.participants) == 4
    file.close()


def test_an_rpc_that_lags_behind_itself_takes_nothing_back(life: Life) -> None:
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url) as connection:
        file = HistoryFile(Federation(connection, life.federation.address))
        life.anvil.mine(3)
        told = file.sync()
        old = connection.latest().number - 2

        def lagging(request: Json, forward: Forward) -> Json:
            if request["params"][0] == "latest":
                request["params"][0] = hex(old)
            elif int(request["params"][0], 16) > old:
                return result(request, None)
            return forward()

        proxy.rule = only("eth_getBlockByNumber", lagging)
        assert file.sync() is told
        proxy.rule = None
        assert same(file.sync(), told)
        file.close()


HARMLESS = {"ScoresCommitted", "ModelAttested", "Joined", "SeatTaken", "Funded"}
"""What may be missing unnoticed: no version, verdict or share depends on it. (A missing attestation
is noticed where the quorum needs it.)"""


def test_a_log_that_the_rpc_leaves_out_is_missed(life: Life) -> None:
    """Whichever it is of those that matter, and an honest answer mends it."""
    life.window(GOOD)
    life.submit(life.people[:3], 1)
    whole = HistoryFile(life.federation)
    told = whole.sync()
    whole.close()
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url) as connection:
        federation = Federation(connection, life.federation.address)
        reader = LogReader(connection, federation.address)
        (chunk,) = reader.read(life.deployed.block, connection.latest().number)
        unnoticed = set()
        for out, raw in enumerate(chunk.logs[:-1]):
            proxy.rule = drop(out, proxy)
            through = HistoryFile(federation, start_block=life.deployed.block)
            assert same(through.sync(), told) == (proxy.rule is None)
            if proxy.rule is not None:
                event = decode(interface("Federation"), raw)
                assert event is not None
                unnoticed.add(event.name)
            through.close()
    assert unnoticed <= HARMLESS


def drop(position: int, proxy: Proxy) -> Rule:
    """Leave one log out; honest from the second reading on."""
    readings = 0

    def rule(request: Json, forward: Forward) -> Json:
        nonlocal readings
        readings += 1
        logs = forward()["result"]
        if readings == 1:
            del logs[position]
        else:
            proxy.rule = None
        return result(request, logs)

    return only("eth_getLogs", rule)


def test_a_gap_that_was_kept_is_mended(life: Life, tmp_path: Path) -> None:
    """The RPC leaves out the newest log; its absence shows only when the next one comes."""
    path = tmp_path / "history.sqlite"
    life.submit(life.people[:1], 0)
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url) as connection:
        file = HistoryFile(Federation(connection, life.federation.address), path)
        proxy.rule = only("eth_getLogs", lambda r, forward: result(r, forward()["result"][:-1]))
        assert file.sync().updates(1) == ()
        proxy.rule = None
        life.submit(life.people[1:2], 0)
        assert [r.index for r in file.sync().updates(1)] == [0, 1]
        file.close()


def test_a_chain_begun_anew_at_the_same_url_is_noticed(
    own_anvil: Anvil, connection: Connection, tmp_path: Path
) -> None:
    """A devnet without state: the same addresses, another history."""
    path = tmp_path / "history.sqlite"
    life = found(own_anvil, connection)
    life.join(2)
    file = HistoryFile(life.federation, path)
    assert len(file.sync().participants) == 2
    connection.request("anvil_reset", [])
    with pytest.raises(ChainError):
        Federation(connection, life.federation.address)
    with pytest.raises(ChainError, match="no contract at"):
        file.sync()
    file.close()


def test_a_federation_made_again_earlier_at_the_same_address_is_followed(
    life: Life, tmp_path: Path
) -> None:
    """A reorg, or a chain begun anew, on which the contract has an earlier block."""
    path = tmp_path / "history.sqlite"
    before = str(life.connection.request("evm_snapshot", []))
    life.anvil.mine(20)
    salt, owner = b"\x07" * 32, life.owner.address

    def make() -> Life:
        account = life.owner.account
        sender = Sender(life.connection, account)
        made = deploy_federation(sender, life.support, owner, GENESIS, parameters(owner), salt)
        federation = Federation(life.connection, made.address)
        new = replace(life, federation=federation, deployed=made, people=[])
        new.join(2)
        return new

    later = make()
    file = HistoryFile(later.federation, path)
    assert len(file.sync().participants) == 2
    assert life.connection.request("evm_revert", [before]) is True
    earlier = make()
    assert earlier.deployed.address == later.deployed.address
    assert earlier.deployed.block < later.deployed.block
    people = {person.address for person in earlier.people}
    assert set(file.sync().participants) == people
    file.close()
    file = HistoryFile(earlier.federation, path)
    assert set(file.sync().participants) == people
    file.close()


def test_the_way_back_behind_a_reorg_is_short_however_deep_it_is(
    life: Life, tmp_path: Path
) -> None:
    with Proxy(life.anvil.url) as proxy, Connection(proxy.url) as connection:
        file = HistoryFile(Federation(connection, life.federation.address))
        before = str(life.connection.request("evm_snapshot", []))
        for _ in range(40):
            life.owner.send(calls.fund(1))
        funded_wei = file.sync().funded_wei
        assert life.connection.request("evm_revert", [before]) is True
        life.anvil.mine(50)
        proxy.requests.clear()
        assert file.sync().funded_wei == funded_wei - 40
        assert len(proxy.requests) < 20
        file.close()


def test_what_could_not_be_kept_is_read_again_and_counts_once(life: Life, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    file = HistoryFile(life.federation, path)
    file._database.execute("PRAGMA busy_timeout = 10")
    funded_wei = file.sync().funded_wei
    life.send(life.owner, calls.fund(ETHER))
    for _ in range(2):
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DiskError):
                file.sync()
            other.execute("ROLLBACK")
        other.close()
    assert file.sync().funded_wei == funded_wei + ETHER
    file.close()


def test_a_history_that_cannot_be_begun_says_so(
    life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(HistoryFile, "_set", full)
    with pytest.raises(DiskError, match="free some space"):
        HistoryFile(life.federation, tmp_path / "history.sqlite")


def test_a_history_that_cannot_be_written_says_so(life: Life, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        HistoryFile(life.federation, tmp_path / "file" / "history.sqlite")
    path = tmp_path / "history.sqlite"
    file = HistoryFile(life.federation, path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        file._database.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(DiskError, match=r"history\.sqlite \(database is locked\): free some"):
            file.sync()
        other.execute("ROLLBACK")
    other.close()
    assert len(file.sync().participants) == 4
    file.close()
