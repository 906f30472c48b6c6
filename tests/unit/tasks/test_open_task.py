"""Tasks by name: the ready ones, a user's own, and clear words for wrong names and settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bafl.data import load
from bafl.errors import TaskError
from bafl.tasks import TrainContext, open_task
from bafl.tasks.ready import ReadySettings, open_ready, own_part


def test_a_ready_task_learns_real_digits() -> None:
    task = open_ready("digits", ReadySettings())
    model = task.model()
    for version in range(3):
        task.train(model, TrainContext(version, version))
    assert task.test(model).metric > 0.85


def test_participants_parts_are_disjoint_and_keep_their_holdouts_to_themselves() -> None:
    data = load("digits")
    parts = [
        own_part(data, ReadySettings(participant=i, participants=4, partitioner="dirichlet"))
        for i in range(4)
    ]
    assert sum(len(part) for part in parts) == len(data.train)
    for i in range(4):
        task = open_ready(
            "digits", ReadySettings(participant=i, participants=4, partitioner="dirichlet")
        )
        held = task.evaluate(task.model()).n
        assert task.samples + held == len(parts[i])
        assert held == pytest.approx(len(parts[i]) / 5, abs=10)


def test_a_part_of_the_samples_keeps_the_classes_even() -> None:
    part = own_part(load("digits"), ReadySettings(samples=200))
    assert len(part) == pytest.approx(200, abs=5)
    assert np.bincount(part.labels).min() >= 18


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"participant": 3, "participants": 3}, "0 to 2"),
        ({"participants": 0}, "at least 1"),
        ({"partitioner": "random"}, "iid, dirichlet, shards, natural"),
        ({"holdout_fraction": 1.0}, "between 0 and 1"),
        ({"partitioner": "natural", "participant": 0}, "no natural owners"),
        ({"learning_rate": 0.1}, "no setting learning_rate: there are .*lr"),
        ({"epochs": 0}, "epochs is 0: it is above 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"participants": "six", "alpha": "wide"}, "participants is 'six'.*; alpha is 'wide'"),
        ({"partitioner": "dirichlet", "participant": 0, "alpha": -1}, "alpha is -1"),
    ],
)
def test_a_wrong_setting_says_what_is_right(settings: dict[str, object], says: str) -> None:
    with pytest.raises(TaskError, match=says):
        open_task("digits", **settings)


def test_an_unknown_task_lists_the_ready_ones() -> None:
    with pytest.raises(TaskError, match=r"digits.*module:function"):
        open_task("imagenet")


OWN = """
from bafl.tasks import Evaluation, Metric
import numpy as np

class Mine:
    name = "mine"
    metric = Metric("error", "m", higher_is_better=False)
    samples = 3
    def __init__(self, at): self.at = at
    def model(self): return {"w": np.zeros(2, np.float32)}
    def train(self, model, context): model["w"] += 1
    def evaluate(self, model): return Evaluation(float(abs(model["w"] - self.at).sum()), 0.0, 1)

def make(at=1.0): return Mine(at)
def broken(): return object()
value = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_hospital.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_hospital", raising=False)
    return "my_hospital"


def test_a_task_of_ones_own_is_found_in_the_current_folder(own_module: str) -> None:
    task = open_task(f"{own_module}:make", at=2.0)
    model = task.model()
    task.train(model, TrainContext(0, 0))
    assert task.evaluate(model).loss == 2.0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere:make", "cannot import nowhere"),
        ("{}:missing", "has no function 'missing'"),
        ("{}:value", "has no function 'value'"),
        ("{}:broken", "without name, metric, samples, model, train, evaluate"),
    ],
)
def test_a_task_of_ones_own_that_is_none_says_why(own_module: str, name: str, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        open_task(name.format(own_module))


def test_settings_that_a_task_of_ones_own_does_not_take_are_named(own_module: str) -> None:
    with pytest.raises(TaskError, match="unexpected keyword argument 'beyond'"):
        open_task(f"{own_module}:make", beyond=2.0)


def test_importing_the_tasks_loads_no_torch() -> None:
    code = "import sys, bafl.tasks, bafl.data; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
