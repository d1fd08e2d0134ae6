"""LeNet-5 in MLX, on the CPU of a Linux device."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers

import muster
from muster.adapters import mlx as bridge

mx.set_default_device(mx.cpu)


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 16, 3, padding=1)
        self.fc1 = nn.Linear(64, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)
        self.pool = nn.MaxPool2d(2, 2)

    def __call__(self, x):
        x = self.pool(nn.relu(self.conv1(x)))
        x = self.pool(nn.relu(self.conv2(x)))
        # MLX has channels last; the dense layer's weights are ordered as PyTorch flattens: channels first.
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        return self.fc3(nn.relu(self.fc2(nn.relu(self.fc1(x)))))


model = LeNet5()


def score(x, y):
    scores = model(x)
    return nn.losses.cross_entropy(scores, y, reduction="mean"), (scores.argmax(1) == y).sum()


slope = nn.value_and_grad(model, score)


def samples(context):
    x, y = context.data()
    # N×C×H×W becomes N×H×W×C.
    return mx.array(x.transpose(0, 2, 3, 1)), mx.array(y)


def measure(x, y):
    loss, correct = score(x, y)
    return {"loss": loss.item(), "accuracy": correct.item() / len(y)}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    task.local.only("momentum", "weight_decay")
    bridge.load(model, parameters)
    x, y = samples(context)
    before = measure(x, y)
    optimizer = optimizers.SGD(task.local.rate, momentum=task.local.momentum, weight_decay=task.local.weight_decay)
    batches = context.batches(len(y))
    for rows in batches:
        rows = mx.array(rows)
        (loss, correct), gradients = slope(x[rows], y[rows])
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), loss, correct)
        batches.add(loss.item(), correct.item())
    return muster.Update(bridge.parameters(model), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    bridge.load(model, parameters)
    x, y = samples(context)
    return muster.Evaluation(len(y), measure(x, y))
