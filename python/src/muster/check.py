"""``muster-trainer check``: runs a trainer on a generated job and reports errors."""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy

from . import tensors
from .contract import Parameters
from .random import SplitMix64

LOCAL = {"epochs": 2, "batch": 8, "rate": 0.05, "momentum": 0, "weightDecay": 0, "proximal": 0, "seed": 1}
MODEL = {"type": "lenet5", "input": [1, 8, 8], "classes": 10}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="muster-trainer check",
        description="Runs a trainer on a generated job and reports errors.",
        epilog="Without --data, the job has 60 generated samples of the size that --model gives. Exit status: 1 if there are errors.",
    )
    parser.add_argument("trainer", metavar="MODULE:FUNCTION", help="or: flower APPDIR")
    parser.add_argument("app", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=json.loads, default=MODEL, metavar="JSON", help=f"the task's model, by default {json.dumps(MODEL)}")
    parser.add_argument(
        "--local", type=json.loads, default={}, metavar="JSON", help="hyperparameters that differ from the task file's defaults"
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="a device's data configuration, or its whole agent.json")
    parser.add_argument("--global", dest="model_file", type=Path, metavar="FILE", help="the first model, if the trainer cannot make one")
    parser.add_argument("--seconds", type=float, default=120, help="the time limit of one job, in seconds")
    options = parser.parse_args(arguments)
    if (options.trainer == "flower") != (options.app is not None):
        parser.error("give MODULE:FUNCTION, or flower and the folder of a Flower app")
    with tempfile.TemporaryDirectory(prefix="muster-check-") as folder:
        return Check(options, Path(folder)).run()


class Wrong(Exception):
    """The check cannot continue."""


class Silence(Wrong):
    """The trainer wrote nothing in time."""


class Process:
    """The trainer's process, started with --resident."""

    def __init__(self, trainer: list[str], log: Path, folder: Path) -> None:
        self._log = open(log, "wb")
        self.child = subprocess.Popen(
            [sys.executable, "-m", "muster", "--resident", *trainer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
            cwd=folder,
        )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def send(self, folder: Path) -> None:
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(json.dumps({"job": str(folder)}).encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass

    def line(self, seconds: float) -> dict[str, Any]:
        """The next line of the protocol."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise Silence(f"the trainer wrote no line of the protocol for {seconds:g} s") from None
        if line is None:
            raise Wrong(f"the process ended ({ending(self.child.wait())})")
        try:
            fields = json.loads(line)
        except ValueError:
            raise Wrong(f"a line on standard output does not belong to the protocol: {line[:80]!r}") from None
        if not isinstance(fields, dict):
            raise Wrong(f"a line on standard output does not belong to the protocol: {line[:80]!r}")
        return fields

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        self._log.close()


def ending(status: int) -> str:
    """Describes an exit status in words."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


class Check:
    """One run of the checks. Prints each result at once."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.log = folder / "log"
        self.wrong = 0
        self.process: Process | None = None
        self.home = Path.cwd()
        self.job = folder / "job"
        self.job.mkdir()

    def run(self) -> int:
        try:
            self.data = self._data()
            self._steps()
        except Wrong as problem:
            self._say("ERROR", str(problem))
            self.wrong += 1
            self._show_log()
        finally:
            if self.process:
                self.process.end()
        print("no errors" if not self.wrong else f"errors: {self.wrong}", flush=True)
        return 1 if self.wrong else 0

    def _steps(self) -> None:
        name, app = self.options.trainer, self.options.app
        if Path(name.rpartition(":")[0]).is_file():
            name = f"{Path(name.rpartition(':')[0]).resolve()}:{name.rpartition(':')[2]}"
        start = time.monotonic()
        self.process = Process([name] if app is None else [name, str(Path(app).resolve())], self.log, self.home)
        # A folder without a job: whoever answers has been imported.
        self._job_answer(self.folder / "none")
        text = self.log.read_text(errors="replace")
        if "task.json cannot be read" not in text:
            raise Wrong("the trainer cannot be imported")
        self._say("ok", f"imported in {time.monotonic() - start:.2f} s")
        first = self._initialize()
        one, seconds = self._train(first, seed=7)
        again, next_seconds = self._train(first, seed=7)
        other, _ = self._train(first, seed=8)
        self._say("ok", f"train: {seconds:.2f} s, the same again in {next_seconds:.2f} s")
        self._compare(first, one, again, other)
        self._evaluate()
        self._stop()

    def _initialize(self) -> Parameters:
        if self.options.model_file:
            first = tensors.load(self.options.model_file)
            tensors.save(first, self.job / "global.safetensors")
        else:
            self._run("initialize", "add a function `initialize`, or name a first model with --global")
            first = tensors.load(self.job / "global.safetensors")
        self._say("ok", f"initialize: {len(first)} tensors, {sum(array.size for array in first.values())} parameters")
        return first

    def _train(self, first: Parameters, seed: int) -> Any:
        start = time.monotonic()
        metrics = self._run("train", "", seed=seed)
        seconds = time.monotonic() - start
        result = tensors.load(self.job / "update.safetensors")
        for problem in tensors.problems(result, first):
            raise Wrong(f"train: {problem}")
        return (result, metrics), seconds

    def _compare(self, first: Parameters, one: Any, again: Any, other: Any) -> None:
        (result, metrics) = one
        if all(numpy.array_equal(result[name], first[name]) for name in first):
            self._bad("train returned the global model unchanged: return the parameters after training")
        elif not all(numpy.array_equal(result[name], again[0][name]) for name in first):
            self._say("note", "the same job twice gave different parameters: context.batches() and seeds from task.seed make it repeatable")
        elif all(numpy.array_equal(result[name], other[0][name]) for name in first):
            self._say("note", "another task.seed gave the same parameters: every round will see the samples in the same order")
        if "loss" not in metrics["metrics"]:
            self._say("note", 'train returns no metric "loss", so the loss of a round is not known')
        if "initialLoss" not in metrics:
            self._say("note", "train returns no initial_loss: strategies like q-FedAvg need it")
        if metrics["samples"] > 10_000_000:
            self._say("note", f"samples is {metrics['samples']:g}: it is the update's weight in the aggregation")

    def _evaluate(self) -> None:
        try:
            metrics = self._run("evaluate", "add a function `evaluate`")
        except Wrong as problem:
            if "there is no function `evaluate`" not in str(problem):
                raise
            self._say("note", "the trainer has no function `evaluate`, so its devices cannot take part in evaluations")
            return
        text = ", ".join(f"{name} {value:.4g}" for name, value in metrics["metrics"].items())
        self._say("ok", f"evaluate: {metrics['samples']:g} samples, {text}")
        if "loss" not in metrics["metrics"]:
            self._say("note", 'evaluate returns no metric "loss"')

    def _stop(self) -> None:
        """Checks that the trainer stops at SIGTERM during an endless job."""
        assert self.process is not None
        self._write("train", local={"epochs": 1_000_000})
        self.process.send(self.job)
        answer: dict[str, Any] = {}
        try:
            answer = self.process.line(min(10, self.options.seconds))
            while "progress" in answer and answer["progress"] <= 0:
                answer = self.process.line(min(5, self.options.seconds))
        except Silence:
            self._say("note", "train reports no progress while it works: use context.batches(), or call context.progress()")
        if "done" in answer:
            self._say("note", "train does fewer epochs than the task says, so stopping it could not be checked")
            return
        start = time.monotonic()
        self.process.child.send_signal(signal.SIGTERM)
        try:
            status = self.process.child.wait(10)
        except subprocess.TimeoutExpired:
            raise Wrong("the trainer does not stop within 10 s of SIGTERM") from None
        if status != 3:
            self._bad(f"after SIGTERM the trainer ended with {ending(status)} instead of exit status 3: does it catch BaseException?")
        elif (self.job / "metrics.json").exists():
            self._bad("a cancelled job left metrics.json behind")
        else:
            self._say("ok", f"stops {time.monotonic() - start:.2f} s after SIGTERM")

    # One job.

    def _run(self, kind: str, hint: str, seed: int = 7) -> Any:
        self._write(kind, seed)
        before = self.log.stat().st_size
        status = self._job_answer(self.job)
        if status != 0:
            lines = self.log.read_bytes()[before:].decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit status {status}"
            raise Wrong(f"{kind}: {reason}" + (f" ({hint})" if hint and "no function" in reason or "not built in" in reason else ""))
        try:
            return json.loads((self.job / "metrics.json").read_text())
        except (OSError, ValueError) as error:
            raise Wrong(f"{kind}: metrics.json: {error}") from error

    def _job_answer(self, folder: Path) -> int:
        assert self.process is not None
        self.process.send(folder)
        end = time.monotonic() + self.options.seconds
        while True:
            answer = self.process.line(max(0.1, end - time.monotonic()))
            if "done" in answer:
                return int(answer["exit"])

    def _write(self, kind: str, seed: int = 7, local: dict[str, Any] | None = None) -> None:
        task = {
            "contract": 1,
            "job": kind,
            "task": "check",
            "round": 1,
            "seed": seed,
            "model": self.options.model,
            "local": {**LOCAL, **self.options.local, **(local or {})},
            "data": self.data,
        }
        (self.job / "task.json").write_text(json.dumps(task))

    def _data(self) -> Any:
        if self.options.data:
            try:
                fields = json.loads(self.options.data.read_text())
            except (OSError, ValueError) as error:
                raise Wrong(f"--data: {error}") from error
            if not isinstance(fields, dict) or "trainers" not in fields:
                return fields
            # Relative paths in an agent.json start from its folder, as the agent has it.
            self.home = self.options.data.resolve().parent
            return fields.get("data")
        model = self.options.model
        if not model.get("input") or not model.get("classes"):
            raise Wrong("data cannot be generated, because the model has no input and classes: give --data")
        shape = list(model["input"])
        count = 60
        labels = numpy.arange(count) % int(model["classes"])
        # Each class has a pattern of its own, with some noise: something that can be learned.
        random = SplitMix64(1)
        size = int(numpy.prod(shape))
        patterns = random.units(size * int(model["classes"])).reshape(-1, size)
        pixels = (patterns[labels] * 200 + random.units(size * count).reshape(count, size) * 55).astype(numpy.uint8)
        self._idx("images", pixels.reshape(count, *shape))
        self._idx("labels", labels.astype(numpy.uint8))
        return {"format": "idx", "images": str(self.folder / "images"), "labels": str(self.folder / "labels")}

    def _idx(self, name: str, values: numpy.ndarray[Any, Any]) -> None:
        header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
        (self.folder / name).write_bytes(header + values.tobytes())

    # What is said.

    def _say(self, kind: str, text: str) -> None:
        print(f"{kind:<6}{text}", flush=True)

    def _bad(self, text: str) -> None:
        self.wrong += 1
        self._say("ERROR", text)

    def _show_log(self) -> None:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return
        for line in lines[-15:]:
            print(f"      | {line}", flush=True)
