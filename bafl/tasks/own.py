"""A user's own code, called where whatever goes wrong in it becomes a TaskError that names it."""

from __future__ import annotations

import contextlib
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bafl.errors import BaflError, TaskError
from bafl.tasks.base import Checked, Evaluation, HasTestSet, Metric, Task, TrainContext, holdout_of

_NOT_THE_USERS: Final = (
    Path(__file__).resolve().parents[1],
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")),
)


@contextlib.contextmanager
def users_code(subject: str) -> Iterator[None]:
    """Turn what goes wrong in a user's code into a TaskError; BAFL's own errors pass.

    subject: begins the message, such as "task my_package.ecg:make_task".
    """
    try:
        yield
    except BaflError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(f"{subject}: {_told(error)}: mend it and run again") from error


def _told(error: BaseException) -> str:
    """Return an error's kind, first line, and where in the user's code it came from."""
    if isinstance(error, SyntaxError):
        what, place = error.msg, _place(error.filename, error.lineno)
    else:
        what = next(iter(str(error).splitlines()), "")
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [frame for frame in frames if _is_the_users(frame.filename)]
        place = _place(theirs[-1].filename, theirs[-1].lineno) if theirs else ""
    return f"{type(error).__name__}: {what}{place}" if what else f"{type(error).__name__}{place}"


def _place(file: str | None, line: int | None) -> str:
    return f" ({Path(file).name}, line {line})" if file else ""


def _is_the_users(file: str) -> bool:
    path = Path(file)
    return path.is_file() and not any(
        path.resolve().is_relative_to(folder) for folder in _NOT_THE_USERS
    )


class OwnTask:
    """A user's `Task`, each call into it guarded by `users_code`.

    entry: the name it was opened by. It is `Resampling` if the user's is, and else judges with all
    of the hold-out in every window.
    """

    def __init__(self, entry: str, task: Task) -> None:
        self._subject = f"task {entry}"
        self._task = task

    @property
    def name(self) -> str:
        with users_code(self._subject):
            return self._task.name

    @property
    def metric(self) -> Metric:
        with users_code(self._subject):
            return self._task.metric

    @property
    def samples(self) -> int:
        with users_code(self._subject):
            return self._task.samples

    def model(self) -> Any:
        with users_code(self._subject):
            return self._task.model()

    def train(self, model: Any, context: TrainContext) -> None:
        with users_code(self._subject):
            self._task.train(model, context)

    def evaluate(self, model: Any) -> Evaluation:
        return self._measured(self._task.evaluate, model)

    def holdout(self, seed: int) -> Callable[[Any], Evaluation]:
        with users_code(self._subject):
            measure = holdout_of(self._task, seed)
        return lambda model: self._measured(measure, model)

    def test(self, model: Any) -> Evaluation:
        if not isinstance(self._task, HasTestSet):
            raise TaskError(f"{self._subject} has no central test data: give it a method `test`")
        return self._measured(self._task.test, model)

    def check(self) -> None:
        """Try the task out: as it checks itself, or else by measuring its genesis model."""
        if isinstance(self._task, Checked):
            with users_code(self._subject):
                self._task.check()
        else:
            self.evaluate(self.model())

    def _measured(self, measure: Callable[[Any], Evaluation], model: Any) -> Evaluation:
        with users_code(self._subject):
            found: object = measure(model)
        if not isinstance(found, Evaluation):
            raise TaskError(
                f"{self._subject}: its measure is a {type(found).__name__}: return a "
                "bafl.tasks.Evaluation"
            )
        return found
