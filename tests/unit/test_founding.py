"""A draft is the same for the same settings, and fits its own manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from bafl.codec.model import read_model, write_model
from bafl.errors import ManifestError, TaskError
from bafl.founding import Draft, draft, open_founding_task, salt_of
from bafl.manifest import Manifest
from bafl.settings import FederationSettings
from bafl.store.cid import cid, root_of


def drafted(**changes: object) -> Draft:
    settings = FederationSettings.model_validate(
        {"name": "a", "task": {"name": "digits", "participants": 5}, **changes}
    )
    return draft(settings, open_founding_task(settings))


def test_a_draft_is_reproducible_and_reads_back(tmp_path: Path) -> None:
    first, second = drafted(), drafted()
    assert first.genesis == second.genesis
    assert first.manifest == second.manifest
    assert Manifest.from_json(first.manifest.to_json()) == first.manifest
    path = tmp_path / "model"
    write_model(path, first.manifest, first.arrays)
    assert root_of(path) == first.genesis.model
    assert cid(first.genesis.model) == first.manifest.genesis
    assert read_model(path, first.manifest).tensors.keys() == first.arrays.keys()


def test_the_manifest_says_what_the_settings_and_the_task_say() -> None:
    manifest = drafted().manifest
    assert manifest.task == "digits"
    assert manifest.settings == {"participants": 5}
    assert (manifest.metric.name, manifest.metric.direction) == ("accuracy", "higher")
    named = drafted(metric={"name": "error", "direction": "lower", "unit": "%"}).manifest
    assert (named.metric.name, named.metric.unit, named.metric.direction) == ("error", "%", "lower")


def test_a_rule_and_a_limit_of_ones_own_are_in_the_manifest() -> None:
    manifest = drafted(
        rule={"name": "clipped-mean", "clip_medians": 3, "server_rate_ppm": 500_000},
        payload={"size_limit": "1 MiB", "encodings": ["float32"]},
    ).manifest
    assert manifest.rule.parameters == {"clip_medians": 3, "server_rate_ppm": 500_000}
    assert manifest.size_limit == 1 << 20


def test_a_rule_that_no_node_could_follow_is_refused() -> None:
    with pytest.raises(ManifestError, match="this BAFL knows clipped-mean"):
        drafted(rule={"name": "clipped-man"})
    with pytest.raises(ManifestError, match=r"clip_medians is 0; allowed are 1 to 1000"):
        drafted(rule={"name": "clipped-mean", "clip_medians": 0})
    with pytest.raises(ManifestError, match="takes"):
        drafted(rule={"name": "clipped-mean", "clip_median": 3})


def test_a_parameter_of_the_rule_that_is_not_given_has_its_default() -> None:
    manifest = drafted(rule={"name": "clipped-mean", "clip_medians": 3}).manifest
    assert manifest.rule.parameters == {"clip_medians": 3, "server_rate_ppm": 1_000_000}


def test_a_limit_below_the_model_is_refused() -> None:
    with pytest.raises(ManifestError, match="size_limit is 100 bytes, but a model has"):
        drafted(payload={"size_limit": 100})


def test_an_unknown_task_or_setting_is_refused() -> None:
    with pytest.raises(TaskError, match="choose from"):
        drafted(task={"name": "digit"})
    with pytest.raises(TaskError, match="no setting layers"):
        drafted(task={"name": "digits", "layers": 3})


def test_the_salt_depends_on_the_name_alone() -> None:
    assert len(salt_of("a")) == 32
    assert salt_of("a") == salt_of("a") != salt_of("b")
