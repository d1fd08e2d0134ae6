"""Runs a job: reads the folder, calls the user's function, checks its result, and writes it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

from . import models, tensors
from .context import Cancelled, Context
from .contract import Evaluation, Task, TrainerError, Update, metrics_document
from .protocol import Protocol

DONE, FAILED, CANCELLED = 0, 1, 3


class Trainer:
    """A user's functions. ``module:function`` names ``train``; ``evaluate`` and ``initialize`` are taken from the same module.

    ``module:object`` also works, for an object, or a class without arguments, that has these functions as methods.
    """

    def __init__(self, name: str, train: Callable[..., Any], owner: Any) -> None:
        self.name = name
        self.train = train
        self.evaluate: Callable[..., Any] | None = getattr(owner, "evaluate", None)
        self.initialize: Callable[..., Any] | None = getattr(owner, "initialize", None)

    @classmethod
    def named(cls, name: str) -> Trainer:
        """The trainer that the command line names."""
        path, separator, attribute = name.rpartition(":")
        if not separator:
            path, attribute = name, "train"
        module = import_module(path)
        target = getattr(module, attribute, None)
        if target is None:
            raise TrainerError(f"{path} has no {attribute!r}")
        if isinstance(target, type):
            target = target()
        owner: Any = target if hasattr(target, "train") and not _is_function(target) else module
        train: Any = target.train if owner is target else target
        if not callable(train):
            raise TrainerError(f"{name} is not a function and has no method `train`")
        return cls(name, train, owner)

    @classmethod
    def flower(cls, folder: str) -> Trainer:
        """The trainer for a Flower app in a folder."""
        from .adapters.flower_app import FlowerApp

        app = FlowerApp(folder)
        return cls(f"the Flower app {folder}", app.train, app)


def _is_function(target: Any) -> bool:
    return callable(target) and hasattr(target, "__code__")


def import_module(path: str) -> ModuleType:
    """Imports a module by its name, or a file by its path."""
    file = Path(path)
    if path.endswith(".py"):
        if not file.is_file():
            raise TrainerError(f"{path} does not exist")
        # Its neighbours can be imported, too.
        sys.path.insert(0, str(file.resolve().parent))
        specification = importlib.util.spec_from_file_location(file.stem, file)
        if specification is None or specification.loader is None:
            raise TrainerError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(specification)
        sys.modules[file.stem] = module
        specification.loader.exec_module(module)
        return module
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise TrainerError(f"{path} needs the module {error.name!r}, which is not installed for {sys.executable}") from error
        raise TrainerError(f"there is no module {path!r} in {os.getcwd()} or the Python path: FILE.py:FUNCTION also works") from error


class Runner:
    """Runs jobs with one trainer, which is imported for the first job.

    :param make: imports the trainer.
    """

    def __init__(self, make: Callable[[], Trainer], protocol: Protocol) -> None:
        self._make = make
        self._protocol = protocol
        self._trainer: Trainer | None = None

    def once(self, folder: str) -> int:
        """Runs one job. Returns the exit status."""
        return self._job(Path(folder))

    def resident(self) -> int:
        """Runs jobs from standard input until it ends. Returns the exit status.

        The trainer is imported at once, so that the first job waits less.
        """
        try:
            with self._protocol.interruptible():
                self._load()
        except Cancelled:
            return CANCELLED
        except BaseException as error:
            # Said again, with the job, when one comes.
            _explain(error)
        while True:
            try:
                with self._protocol.interruptible():
                    line = self._protocol.read()
            except Cancelled:
                return DONE
            if line is None:
                return DONE
            try:
                folder = json.loads(line)["job"]
                if not isinstance(folder, str):
                    raise TypeError("job is not a string")
            except (ValueError, TypeError, KeyError) as error:
                print(f'a line on standard input is not {{"job":"FOLDER"}}: {error}', file=sys.stderr)
                continue
            status = self._job(Path(folder))
            self._protocol.write(json.dumps({"done": folder, "exit": status}))
            if status == CANCELLED:
                return CANCELLED

    def _load(self) -> Trainer:
        if self._trainer is None:
            self._trainer = self._make()
            self._protocol.watch_signals()
        return self._trainer

    def _job(self, folder: Path) -> int:
        try:
            with self._protocol.interruptible():
                finish = self._perform(folder.absolute())
            if self._protocol.cancelled:
                return CANCELLED
            finish()
            return DONE
        except Cancelled:
            print("cancelled", file=sys.stderr)
            return CANCELLED
        except BaseException as error:
            if self._protocol.cancelled:
                # Libraries turn an interruption into an error of their own.
                return CANCELLED
            _explain(error)
            return FAILED

    def _perform(self, folder: Path) -> Callable[[], None]:
        """Does the work. Returns a function that writes the result, to be called when the job can no longer be interrupted."""
        for leftover in ("metrics.json", "update.safetensors"):
            if (folder / leftover).exists():
                (folder / leftover).unlink()
        trainer = self._load()
        task = Task.read(folder / "task.json")
        context = Context(task, folder, self._protocol.write, lambda: self._protocol.cancelled)
        if task.job == "initialize":
            return self._initialize(trainer, task, context, folder)
        # Two: one for the trainer to work on, one to compare with. The file is memory that the system can give back.
        given = tensors.load(folder / "global.safetensors")
        if task.job == "train":
            update = trainer.train(task, given, context)
            if not isinstance(update, Update):
                raise TrainerError(f"train returned {type(update).__name__}, not muster.Update(parameters, samples, metrics)")
            document = metrics_document(task.job, update.samples, update.metrics, update.initial_loss)
            _refuse(tensors.problems(update.parameters, tensors.load(folder / "global.safetensors")))
            return _writer(folder, update.parameters, "update.safetensors", document)
        if trainer.evaluate is None:
            raise TrainerError(f"{trainer.name} cannot evaluate: there is no function `evaluate`")
        evaluation = trainer.evaluate(task, given, context)
        if not isinstance(evaluation, Evaluation):
            raise TrainerError(f"evaluate returned {type(evaluation).__name__}, not muster.Evaluation(samples, metrics)")
        return _writer(folder, None, "", metrics_document(task.job, evaluation.samples, evaluation.metrics))

    def _initialize(self, trainer: Trainer, task: Task, context: Context, folder: Path) -> Callable[[], None]:
        if trainer.initialize is not None:
            parameters = trainer.initialize(task, context)
        else:
            # The built-in trainer's own models need no code of the user's.
            parameters = models.initial(task.model, task.seed)
        _refuse(tensors.problems(parameters, None))
        return _writer(folder, parameters, "global.safetensors", metrics_document(task.job, 0, {}))


def _writer(folder: Path, parameters: Any, name: str, document: Any) -> Callable[[], None]:
    def write() -> None:
        if parameters is not None:
            tensors.save(parameters, folder / name)
        # Last, and by rename: its presence means that the job is complete.
        tensors.write_text(json.dumps(document, allow_nan=False), folder / "metrics.json")

    return write


def _refuse(problems: list[str]) -> None:
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise TrainerError("the result is refused: " + "; ".join(problems[:5]) + more)


def _explain(error: BaseException) -> None:
    """Logs an error. Its last line names the problem, because the agent shows that line."""
    if isinstance(error, TrainerError):
        print(error, file=sys.stderr)
    else:
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
        if isinstance(error, SystemExit):
            print(f"the trainer called sys.exit({error.code!r}) in the middle of a job", file=sys.stderr)
