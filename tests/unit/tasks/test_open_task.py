"""Tasks by name: the ready ones, a user's own, and clear words for wrong names and settings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bafl.data import load
from bafl.errors import TaskError
from bafl.tasks import Task, TrainContext, TrainingStopped, holdout_of, open_task
from bafl.tasks.own import OwnTask
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


WRONG = """
from bafl.tasks import Evaluation, Metric
import numpy as np

class Wrong:
    name = "wrong"
    metric = Metric("error")
    samples = 3
    def model(self): return {"w": np.zeros(2)[5]}
    def train(self, model, context): raise KeyError("age")
    def evaluate(self, model): return 0.5
    def holdout(self, seed): return lambda model: 1 / 0

def make(): return Wrong()
def make_task(): return open("nowhere.csv")
def leave(): raise SystemExit(1)
"""


@pytest.mark.parametrize(
    ("text", "function", "says"),
    [
        (
            "def make(:",
            "make",
            r"SyntaxError: .* \(wrong_task\.py, line 1\): mend it and run again",
        ),
        (
            "\nfrom os import nothing",
            "make",
            r"ImportError: .*nothing.* \(wrong_task\.py, line 2\)",
        ),
        (WRONG, "make_task", r"FileNotFoundError: .*nowhere\.csv.* \(wrong_task\.py, line 15\)"),
        (WRONG, "leave", r"SystemExit: 1 \(wrong_task\.py, line 16\)"),
    ],
)
def test_what_goes_wrong_while_a_task_is_made_names_the_users_line(
    own_module: str, text: str, function: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("wrong_task.py").write_text(text)
    monkeypatch.delitem(sys.modules, "wrong_task", raising=False)
    with pytest.raises(TaskError, match=f"task wrong_task:{function}: {says}") as caught:
        open_task(f"wrong_task:{function}")
    assert caught.value.exit_code == 2
    assert type(caught.value.__cause__).__name__ == says.split(":", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda task: task.model(), "IndexError: .* line 9"),
        (lambda task: task.check(), "IndexError: .* line 9"),
        (lambda task: task.train({}, TrainContext(0, 0)), "KeyError: 'age' .* line 10"),
        (lambda task: task.evaluate({}), "its measure is a float: return a .*Evaluation"),
        (lambda task: holdout_of(task, 1)({}), "ZeroDivisionError: .* line 12"),
    ],
)
def test_what_goes_wrong_in_a_task_names_it_and_the_users_line(
    own_module: str, call: Callable[[Task], object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("wrong_task.py").write_text(WRONG)
    monkeypatch.delitem(sys.modules, "wrong_task", raising=False)
    task = open_task("wrong_task:make")
    with pytest.raises(TaskError, match=f"task wrong_task:make: {says}"):
        call(task)


def test_a_task_that_stops_training_is_not_at_fault(own_module: str) -> None:
    class Stopping(type(open_task(f"{own_module}:make")._task)):  # type: ignore[misc]
        def train(self, model: object, context: TrainContext) -> None:
            raise TrainingStopped("asked to")

    with pytest.raises(TrainingStopped):
        OwnTask("mine", Stopping(1.0)).train({}, TrainContext(0, 0))


def test_importing_the_tasks_loads_no_torch() -> None:
    code = "import sys, bafl.tasks, bafl.data; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
