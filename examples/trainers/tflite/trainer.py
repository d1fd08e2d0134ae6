"""LeNet-5 in TensorFlow Lite: the interpreter trains with the signatures that export.py put into lenet5.tflite."""

import numpy as np

import muster
from muster.adapters.tflite import Signatures

# The batch that the file was exported for.
BATCH = 8
loaded = {}


def model(task):
    path = task.data["model"]
    if path not in loaded:
        loaded[path] = Signatures(path)
    return loaded[path]


def filled(x, y):
    """A full batch: what is missing is filled up with samples that do not count."""
    weights = np.zeros(BATCH, np.float32)
    weights[: len(y)] = 1
    fill = BATCH - len(y)
    return {
        "x": np.pad(x, ((0, fill), (0, 0), (0, 0), (0, 0))),
        "y": np.pad(y, (0, fill)).astype(np.int32),
        "weights": weights,
    }


def measure(lite, x, y):
    sums = np.zeros(2)
    for start in range(0, len(y), BATCH):
        rows = slice(start, start + BATCH)
        found = lite.call("evaluate", **filled(x[rows], y[rows]))
        sums += float(found["loss"]), float(found["correct"])
    return {"loss": sums[0] / len(y), "accuracy": sums[1] / len(y)}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    task.local.only()
    if task.local.batch > BATCH:
        raise muster.TrainerError(f"the task's batch is {task.local.batch}, but lenet5.tflite was exported for {BATCH}")
    lite = model(task)
    lite.load(parameters)
    x, y = context.data()
    before = measure(lite, x, y)
    rate = np.float32(task.local.rate)
    batches = context.batches(len(y))
    for rows in batches:
        found = lite.call("train", **filled(x[rows], y[rows]), rate=rate)
        batches.add(float(found["loss"]) / len(rows), float(found["correct"]))
    return muster.Update(lite.parameters(), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    lite = model(task)
    lite.load(parameters)
    x, y = context.data()
    return muster.Evaluation(len(y), measure(lite, x, y))
