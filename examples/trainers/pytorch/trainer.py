"""LeNet-5 in PyTorch, trained with plain SGD as the task says."""

import torch
from model import LeNet5
from torch.nn.functional import cross_entropy

import muster
from muster.adapters import torch as bridge

bridge.limit_threads()
# Made once: a resident trainer keeps it from round to round.
model = LeNet5()


def measure(x, y):
    loss, correct = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(y), 64):
            rows = slice(start, start + 64)
            scores = model(x[rows])
            loss += float(cross_entropy(scores, y[rows], reduction="sum"))
            correct += int((scores.argmax(1) == y[rows]).sum())
    return {"loss": loss / len(y), "accuracy": correct / len(y)}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    local = task.local
    local.only("momentum", "weight_decay", "proximal")
    bridge.load(model, parameters)
    base = bridge.base(model, parameters)
    x, y = map(torch.from_numpy, context.data())
    before = measure(x, y)
    optimizer = torch.optim.SGD(model.parameters(), lr=local.rate, momentum=local.momentum, weight_decay=local.weight_decay)
    batches = context.batches(len(y))
    for rows in batches:
        optimizer.zero_grad()
        scores = model(x[rows])
        loss = cross_entropy(scores, y[rows])
        batches.add(loss, (scores.argmax(1) == y[rows]).sum())
        if local.proximal:
            loss = loss + bridge.proximal(model, base, local.proximal)
        loss.backward()
        optimizer.step()
    return muster.Update(bridge.parameters(model), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    bridge.load(model, parameters)
    x, y = map(torch.from_numpy, context.data())
    return muster.Evaluation(len(y), measure(x, y))
