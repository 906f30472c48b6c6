"""The ready PyTorch task: training, measuring, and what it says when something is wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.utils.data import DataLoader, TensorDataset

from bafl.data import Samples
from bafl.errors import TaskError, TrainingError
from bafl.tasks import (
    Evaluation,
    HasTestSet,
    Progress,
    Resampling,
    Task,
    TrainContext,
    TrainingStopped,
    state_arrays,
)
from bafl.tasks.torch import LogitAdjusted, TorchTask, auc, balanced_mean

RNG = np.random.default_rng(0)


def blobs(n: int, classes: int = 3) -> Samples:
    """Points around one centre a class."""
    labels = np.arange(n) % classes
    points = 2.0 * np.eye(classes, 4)[labels] + 0.3 * RNG.standard_normal((n, 4))
    return Samples(points.astype(np.float32), labels.astype(np.int64))


def linear() -> nn.Module:
    return nn.Linear(4, 3)


def task(**changes: Any) -> TorchTask:
    settings: dict[str, Any] = {
        "train": blobs(90),
        "holdout": blobs(30),
        "test": blobs(60),
        "classes": 3,
        **changes,
    }
    return TorchTask("blobs", settings.pop("module", linear), **settings)


def test_it_is_a_task_that_resamples_and_has_a_test_set() -> None:
    assert isinstance(task(), Task)
    assert isinstance(task(), Resampling)
    assert isinstance(task(), HasTestSet)
    assert task().samples == 90


def test_training_learns() -> None:
    t = task(epochs=5)
    model = t.model()
    before = t.test(model)
    t.train(model, TrainContext(0, 1))
    after = t.test(model)
    assert after.loss < before.loss
    assert after.metric > 0.95
    assert after.n == 60


def test_everybody_has_the_same_genesis_whatever_the_random_state() -> None:
    torch.manual_seed(1)
    ours = state_arrays(task().model())
    torch.manual_seed(2)
    theirs = state_arrays(task(train=blobs(12)).model())
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def trained(t: TorchTask, seed: int) -> np.ndarray[Any, Any]:
    model = t.model()
    t.train(model, TrainContext(0, seed))
    return state_arrays(model)["weight"]


def test_training_depends_on_its_seed_alone_and_leaves_torchs_random_state() -> None:
    t = task()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = trained(t, 1)
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(trained(t, 1), first)
    assert not np.array_equal(trained(t, 2), first)


@pytest.mark.parametrize("kind", ["samples", "dataset", "loader"])
def test_data_may_be_samples_a_dataset_or_a_loader(kind: str) -> None:
    samples = blobs(90)
    dataset = TensorDataset(torch.from_numpy(samples.features), torch.from_numpy(samples.labels))
    train: Any = {
        "samples": samples,
        "dataset": dataset,
        "loader": DataLoader(dataset, batch_size=10, shuffle=True),
    }[kind]
    t = task(train=train, holdout=TensorDataset(*dataset.tensors))
    steps: list[Progress] = []
    model = t.model()
    t.train(model, TrainContext(0, 1, report=steps.append))
    assert t.samples == 90
    assert len(steps) == steps[-1].steps == (9 if kind == "loader" else 3)
    assert t.evaluate(model).metric > 0.5


def test_a_stop_ends_training_with_nothing_done_after_it() -> None:
    steps: list[Progress] = []
    t = task()
    with pytest.raises(TrainingStopped, match="step 2/3"):
        t.train(t.model(), TrainContext(0, 1, lambda: len(steps) == 2, steps.append))
    assert len(steps) == 2


def test_a_loss_that_is_not_finite_names_the_step_and_the_remedy() -> None:
    samples = blobs(90)
    samples.features[:, 0] = np.nan
    t = task(train=samples)
    with pytest.raises(TrainingError, match=r"loss is nan at step 1 of 3: lower lr \(it is 0\.1\)"):
        t.train(t.model(), TrainContext(0, 1))


def test_weights_that_explode_in_the_last_step_are_refused() -> None:
    t = task(train=blobs(3), lr=3e38, loss=lambda o, y: 9 * F.cross_entropy(o, y))
    with pytest.raises(TrainingError, match="weights that are not finite"):
        t.train(t.model(), TrainContext(0, 1))


def test_a_broken_model_measures_as_infinite_not_as_an_error() -> None:
    t = task()
    model = t.model()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    found = t.evaluate(model)
    assert found.loss == math.inf
    assert math.isnan(found.metric)


def test_measuring_leaves_the_model_as_it_was() -> None:
    t = task(module=lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3)))
    model = t.model()
    model.train()
    assert t.evaluate(model) == t.evaluate(model)
    assert model.training


def test_holdouts_are_part_of_the_data_stratified_and_redrawn_with_the_seed() -> None:
    t = task(holdout=blobs(300), holdout_size=90)
    model = t.model()
    seen = [t.holdout(seed)(model) for seed in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]
    assert seen[0].n == 90
    counts = np.bincount(t._holdout.targets.numpy()[t._draw(3)])
    assert counts.tolist() == [30, 30, 30]


def test_a_rare_class_is_in_every_holdout() -> None:
    samples = blobs(100)
    samples.labels[:] = 0
    samples.labels[7] = 2
    t = task(holdout=samples)
    assert all(7 in t._draw(seed) for seed in range(20))


def test_a_loss_of_ones_own_needs_no_classes() -> None:
    n = 40
    features = RNG.standard_normal((n, 4)).astype(np.float32)
    tensors = torch.from_numpy(features), torch.from_numpy(features.sum(1))
    data, held = TensorDataset(*tensors), TensorDataset(*tensors)

    def squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(outputs[:, 0], targets)

    t = TorchTask(
        "sum",
        lambda: nn.Linear(4, 1),
        train=data,
        holdout=held,
        loss=squared,
        measure=lambda outputs, targets: float(squared(outputs, targets)),
        epochs=30,
    )
    model = t.model()
    t.train(model, TrainContext(0, 1))
    assert t.evaluate(model).loss < 0.1
    assert t.holdout(1)(model).n == 32


SAME = TensorDataset(torch.ones(4, 4), torch.ones(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": None}, "give `classes`"),
        ({"epochs": 0}, "epochs 0"),
        ({"lr": 0.0}, r"lr 0\.0 above 0"),
        ({"train": Samples(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))}, "no training"),
        ({"holdout": Samples(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))}, "no hold-out"),
        ({"module": nn.Linear(4, 3)}, "module is a network: give a function that makes one"),
        ({"module": "linear"}, "module is a str: give a function"),
        ({"train": "data.csv"}, "train is 'data.csv', a name: give the data themselves"),
        ({"holdout": Path("data.csv")}, "holdout is .*data.csv.*, a name"),
        ({"classes": 2}, "labels of holdout go from 0 to 2: with 2 classes they are 0 to 1"),
        ({"train": blobs(8, 4)}, "labels of train go from 0 to 3: with 3 classes they are 0 to 2"),
        ({"holdout": TensorDataset(torch.ones(4, 4), torch.ones(4))}, "one whole number a sample"),
        (dict.fromkeys(("train", "holdout"), SAME), "holdout is train: judge with data"),
        ({"train": DataLoader(SAME), "holdout": SAME}, "holdout is train"),
    ],
)
def test_a_task_that_cannot_work_is_refused_at_once(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(TaskError, match=says):
        task(**changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"module": lambda: nn.Linear(5, 3)},
            r"a batch of train, \(32, 4\) .*: RuntimeError: .*mat1",
        ),
        ({"module": lambda: nn.Linear(4, 2)}, r"gives \(32, 2\), and with 3 .* give \(32, 3\)"),
        ({"module": lambda: None}, "module gave a NoneType"),
        ({"holdout": TensorDataset(torch.ones(4, 5), torch.ones(4).long())}, "a batch of holdout"),
        ({"train": DataLoader(SAME, 5, drop_last=True)}, "train gives no batch"),
        ({"train": TensorDataset(torch.ones(4, 4), 3 + torch.ones(4).long())}, "from 4 to 4"),
        ({"train": TensorDataset(torch.ones(4, 4), torch.ones(4).int())}, "RuntimeError: .*Long"),
        ({"loss": lambda outputs, targets: outputs + torch.ones(7)}, "RuntimeError: The size"),
    ],
)
def test_a_task_whose_parts_do_not_fit_together_fails_its_check(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(TaskError, match=says):
        task(**changes).check()


def test_a_check_changes_nothing() -> None:
    t = task()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    t.check()
    assert torch.equal(before, torch.get_rng_state())


def test_a_task_without_test_data_says_so() -> None:
    t = task(test=None)
    with pytest.raises(TaskError, match="no central test data"):
        t.test(t.model())


# --- the arithmetic of losses ---


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 100)), min_size=1, max_size=40),
)
def test_the_balanced_mean_is_that_of_plain_loops(pairs: list[tuple[int, float]]) -> None:
    by_class: dict[int, list[float]] = {}
    for label, value in pairs:
        by_class.setdefault(label, []).append(value)
    groups = [values for values in by_class.values() if len(values) >= 3]
    pooled = [value for values in by_class.values() if len(values) < 3 for value in values]
    groups += [pooled] if pooled else []
    expected = sum(sum(g) / len(g) for g in groups) / len(groups)
    labels, values = zip(*pairs, strict=True)
    assert balanced_mean(np.array(values), np.array(labels)) == pytest.approx(expected)


def test_logit_adjustment_is_cross_entropy_with_the_log_of_the_frequencies_added() -> None:
    outputs, targets = torch.randn(8, 3), torch.tensor([0, 0, 0, 1, 0, 1, 0, 0])
    loss = LogitAdjusted(np.array([6, 2, 0]))(outputs, targets)
    shift = torch.log(torch.tensor([0.75, 0.25, 1e-4]))
    assert loss.item() == pytest.approx(F.cross_entropy(outputs + shift, targets).item())


def test_logit_adjustment_hardly_pushes_absent_classes_down() -> None:
    samples = blobs(90)
    samples.labels[samples.labels == 2] = 0

    def fall_of_class_2(**changes: Any) -> float:
        t = task(train=samples, **changes)
        model = t.model()
        before = state_arrays(model)["bias"][2]
        t.train(model, TrainContext(0, 1))
        return float(before - state_arrays(model)["bias"][2])

    assert abs(fall_of_class_2()) < 0.05 * fall_of_class_2(loss=F.cross_entropy)


def test_auc_counts_pairs_in_the_right_order() -> None:
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    outputs = torch.stack([torch.zeros(4), scores], dim=1)
    assert auc(outputs, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.75)
    assert math.isnan(auc(outputs, torch.zeros(4, dtype=torch.int64)))


def test_auc_ranks_logits_as_far_apart_as_there_are() -> None:
    outputs = torch.tensor([[3e38, -3e38], [0.0, 1.0], [-3e38, 3e38]])
    assert auc(outputs, torch.tensor([0, 1, 1])) == 1.0


@pytest.mark.parametrize(("loss", "n"), [(-0.1, 3), (1.0, 0)])
def test_an_evaluation_has_a_loss_of_0_or_more_and_samples(loss: float, n: int) -> None:
    with pytest.raises(TaskError):
        Evaluation(loss, 0.5, n)
