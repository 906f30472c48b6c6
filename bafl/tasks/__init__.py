"""A user's side: what a task is, ready tasks by name, and how to bring one's own."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from bafl.errors import TaskError
from bafl.tasks.arrays import load_arrays, state_arrays
from bafl.tasks.base import (
    Checked,
    Evaluation,
    HasTestSet,
    Metric,
    Progress,
    Resampling,
    Task,
    TrainContext,
    TrainingStopped,
    holdout_of,
)
from bafl.tasks.own import OwnTask, users_code

__all__ = [
    "Checked",
    "Evaluation",
    "HasTestSet",
    "Metric",
    "Progress",
    "Resampling",
    "Task",
    "TrainContext",
    "TrainingStopped",
    "holdout_of",
    "load_arrays",
    "open_task",
    "state_arrays",
]


def open_task(name: str, **settings: Any) -> Task:
    """Open a task by name, with its settings as in a TOML.

    name: a ready task ("digits", "breast-cancer", "heart", "credit", "ai4i", "mnist",
        "fashion-mnist"), or "module:function" for one's own; the module is looked for in the
        current folder too, and the function is called with the settings and returns a `Task`.
    settings: of a ready task, the fields of `bafl.tasks.ready.ReadySettings`.
    Raises TaskError for an unknown name or setting, and for whatever goes wrong in one's own code;
    DataError where a ready task's data cannot be had.
    """
    if ":" in name:
        return _open_own(name, settings)
    from bafl.tasks import ready

    if name not in ready.names():
        raise TaskError(
            f"there is no task {name!r}: choose from {', '.join(ready.names())}, or name your own "
            "as module:function"
        )
    return ready.open_ready(name, ready.read_settings(settings))


def _open_own(name: str, settings: dict[str, Any]) -> Task:
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(name, module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TaskError(f"task {name}: {module_name} has no function {function_name!r}")
    try:
        inspect.signature(function).bind(**settings)
    except TypeError as error:
        raise TaskError(
            f"task {name}: {function_name} does not take the settings in [task]: {error}"
        ) from error
    with users_code(f"task {name}"):
        task = function(**settings)
        if isinstance(task, Task):
            return OwnTask(name, task)
        missing = [
            part
            for part in ("name", "metric", "samples", "model", "train", "evaluate")
            if not hasattr(task, part)
        ]
    raise TaskError(
        f"task {name}: {function_name} returned a {type(task).__name__} without "
        f"{', '.join(missing)}: see bafl.tasks.Task"
    )


def _import(name: str, module_name: str) -> ModuleType:
    with users_code(f"task {name}"):
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise TaskError(
                f"task {name}: cannot import {error.name}: run in the folder that holds it, or "
                "install it into this environment"
            ) from error
