"""LeNet-5 with nothing but NumPy: plain SGD."""

import numpy as np
from lenet import run

import muster


def measure(parameters, x, y):
    sums = np.zeros(2)
    for start in range(0, len(y), 64):
        rows = slice(start, start + 64)
        loss, correct, _ = run(parameters, x[rows], y[rows], gradients=False)
        sums += loss * len(y[rows]), correct
    return {"loss": sums[0] / len(y), "accuracy": sums[1] / len(y)}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    task.local.only()
    x, y = context.data()
    before = measure(parameters, x, y)
    rate = np.float32(task.local.rate)
    batches = context.batches(len(y))
    for rows in batches:
        loss, correct, gradients = run(parameters, x[rows], y[rows])
        for name, gradient in gradients.items():
            parameters[name] -= rate * gradient
        batches.add(loss, correct)
    return muster.Update(parameters, len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    x, y = context.data()
    return muster.Evaluation(len(y), measure(parameters, x, y))
