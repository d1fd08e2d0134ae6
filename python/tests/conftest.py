"""Shared parts of the tests: a data set, job folders, and trainers that run as separate processes."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import textwrap

import numpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "trainers"
MODEL = {"type": "lenet5", "input": [1, 8, 8], "classes": 10}


def write_idx(path, values):
    values = numpy.asarray(values, numpy.uint8)
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes())


class Job:
    """A job folder, and the trainer that runs the job."""

    def __init__(self, folder):
        self.folder = folder / "job"
        self.folder.mkdir()
        self.trainer = folder / "trainer.py"
        generator = numpy.random.default_rng(1)
        write_idx(folder / "images", generator.integers(0, 256, (21, 8, 8)))
        write_idx(folder / "labels", generator.integers(0, 10, 21))
        self.data = {"format": "idx", "images": str(folder / "images"), "labels": str(folder / "labels")}

    def task(self, job="train", **changes):
        local = {
            "epochs": 2,
            "batch": 8,
            "rate": 0.05,
            "momentum": 0,
            "weightDecay": 0,
            "proximal": 0,
            "seed": 1,
            **changes.pop("local", {}),
        }
        task = {
            "contract": 1,
            "job": job,
            "task": "t",
            "round": 1,
            "seed": 5,
            "model": MODEL,
            "local": local,
            "data": self.data,
            **changes,
        }
        (self.folder / "task.json").write_text(json.dumps(task))

    def model(self, parameters=None, seed=1):
        from muster import models, tensors
        from muster.contract import Model

        parameters = parameters or models.initial(Model("lenet5", (1, 8, 8), 10), seed)
        tensors.save(parameters, self.folder / "global.safetensors")
        return parameters

    def source(self, text):
        self.trainer.write_text("import muster\n" + textwrap.dedent(text))

    def command(self, *arguments):
        return [sys.executable, "-m", "muster", *arguments]

    def start(self, *arguments, **options):
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            **options,
        )

    def run(self, name="train"):
        """Runs one job. Returns the exit status, the lines of the protocol, and the log."""
        process = self.start(f"{self.trainer}:{name}", str(self.folder))
        out, log = process.communicate(timeout=60)
        return process.returncode, [json.loads(line) for line in out.splitlines()], log

    def metrics(self):
        return json.loads((self.folder / "metrics.json").read_text())

    def update(self):
        from safetensors.numpy import load_file

        return load_file(self.folder / "update.safetensors")

    @property
    def is_complete(self):
        return (self.folder / "metrics.json").exists()


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


def load_example(name, module="trainer"):
    """Imports an example's module, with its folder on the path as in the program."""
    import importlib.util

    folder = EXAMPLES / name
    sys.path.insert(0, str(folder))
    try:
        specification = importlib.util.spec_from_file_location(f"example_{name}_{module}", folder / f"{module}.py")
        loaded = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(loaded)
        return loaded
    finally:
        sys.path.remove(str(folder))
