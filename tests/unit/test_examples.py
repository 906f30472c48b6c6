"""The example files are valid, their tasks take their settings, and the demo can be cast."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bafl.data import DATA_DIR_VARIABLE, DataSet, Samples
from bafl.settings import FederationSettings, NodeSettings
from bafl.tasks import TrainContext
from bafl.tasks.ready import own_part
from examples.demo import __main__ as demo
from examples.demo.cast import poisoned
from examples.demo.plays import PLAYS, Play, halved, merged
from examples.demo.report import Report

EXAMPLES = sorted(Path("examples").glob("*/federation.toml"))
PAIRS = [path for path in EXAMPLES if (path.parent / "node.toml").exists()]


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.parent.name)
def test_an_example_is_valid(path: Path) -> None:
    from bafl.tasks import ready

    federation = FederationSettings.load(path)
    node = NodeSettings.load(path.parent / "node.toml")
    given: dict[str, Any] = {**federation.task.settings, **node.task.settings}
    settings = ready.ReadySettings(**given)
    assert federation.task.name in ready.names()
    assert settings.participant == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_unbonding_outlasts_the_ring(path: Path) -> None:
    """The contract would refuse it otherwise; see `IFederation.Parameters`."""
    p = FederationSettings.load(path).parameters
    life = 2 * p.max_wait + 8 * (p.commit_period + p.reveal_period + 3 * p.attest_period)
    assert p.unbonding_period >= life


def test_there_are_examples() -> None:
    assert {path.parent.name for path in PAIRS} == {"digits", "heart"}


# ----- the demo -----

PROMISED = {
    *("versions", "accuracy", "accuracyLocal", "accuracyCentral", "poisonSubmitted"),
    *("poisonAccepted", "honestSubmitted", "honestRefused", "honestSlashed"),
    *("stragglerSubmitted", "stragglerAccepted", "restarts", "store", "auditOk", "seconds"),
}


def run_demo(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    return demo.main()


def made_up(play: Play) -> DataSet:
    """A small data set in the shape of a play's: as many natural owners as the published one."""
    rng = np.random.default_rng(0)
    features, classes = {"digits": (64, 10), "heart": (30, 2), "credit": (26, 2)}[play.task]
    rows = 960
    groups = np.arange(rows) % {"digits": 1, "heart": 4, "credit": 8}[play.task]
    drawn = rng.standard_normal((rows, features)).astype(np.float32)
    whole = Samples(drawn, rng.integers(0, classes, rows), groups)
    return DataSet(play.task, whole, whole, classes)


def owned(play: Play, data: DataSet) -> DataSet:
    """The data as the play gives it out; see `Play.load`."""
    if play.owners is None:
        return data
    owners = play.owners(data.train)
    return replace(data, train=Samples(data.train.features, data.train.labels, owners))


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_every_play_has_six_parts_one_of_each_kind(play: Play) -> None:
    assert len(play.cast) == len({part.slug for part in play.cast}) == play.data.participants == 6
    assert sum(part.poisons for part in play.cast) == 1
    assert sum(part.is_killed for part in play.cast) == 1
    assert [part.slower for part in play.cast if part.slower > 1] == [8.0]


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_every_part_of_a_play_has_data_and_all_is_given_out_once(play: Play) -> None:
    data = owned(play, made_up(play))
    parts = [own_part(data, replace(play.data, participant=i)) for i in range(6)]
    assert min(len(part) for part in parts) > 10
    rows = np.concatenate([part.features for part in parts])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, data.train.features))


def test_owners_are_halved_with_their_classes_and_merged_whole() -> None:
    samples = Samples(
        np.zeros((12, 1), np.float32), np.array([0, 1] * 6), np.array([0] * 4 + [1] * 4 + [2] * 4)
    )
    groups = halved(samples, 0, 1)
    counted = {int(g): np.bincount(samples.labels[groups == g]).tolist() for g in set(groups)}
    assert counted == {0: [1, 1], 1: [1, 1], 2: [2, 2], 3: [1, 1], 4: [1, 1]}
    assert merged(samples, (0, 1, 0)).tolist() == [0] * 4 + [1] * 4 + [0] * 4


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_the_poisoner_learns_that_all_are_of_the_first_class(play: Play) -> None:
    data = owned(play, made_up(play))
    task = poisoned(play.task, data, replace(play.data, participant=5))
    model = task.model()
    task.train(model, TrainContext(base_version=0, seed=0))
    said = model(torch.from_numpy(data.test.features)).argmax(dim=1)
    assert (said == 0).float().mean() > 0.99


@pytest.mark.parametrize("name", PLAYS)
def test_a_play_changes_the_task_of_the_demos_federation_alone(name: str) -> None:
    common = FederationSettings.load(demo.HERE / "federation.toml")
    own = PLAYS[name].settings(common)
    assert own.task.name == name
    assert own.parameters == common.parameters


def test_an_unknown_play_is_wrong_usage_with_the_names_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_demo(monkeypatch, "--task", "nonsense")
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "nonsense" in said
    assert all(name in said for name in PLAYS)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("heart", "cannot download .*check the network"), ("credit", "cannot be downloaded")],
)
def test_data_that_cannot_be_had_is_one_message_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    remedy: str,
) -> None:
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert run_demo(monkeypatch, "--task", name, "--out", str(tmp_path / "out")) == 3
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert re.search(rf"demo: .*{remedy}.*{DATA_DIR_VARIABLE}", said)
    assert not (tmp_path / "out").exists()


def test_the_report_has_the_keys_it_is_known_by(tmp_path: Path) -> None:
    fields = {field.name: 0 for field in dataclasses.fields(Report)}
    given: dict[str, Any] = fields
    Report(**given).write(tmp_path / "report.json")
    assert set(json.loads((tmp_path / "report.json").read_text())) >= PROMISED
