"""LeNet-5 in fastai: a Learner with its own loop, Muster's order of samples."""

from functools import partial

import torch
from fastai.basics import SGD, Callback, DataLoaders, Learner
from model import LeNet5
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import muster
from muster.adapters import torch as bridge

bridge.limit_threads()
model = LeNet5()


class Order:
    """A batch sampler: each epoch of the Learner takes the next epoch of the job."""

    def __init__(self, batches):
        self.epochs = batches.epochs()
        self.length = -(-batches.samples // batches.local.batch)

    def __iter__(self):
        return (rows.tolist() for rows in next(self.epochs))

    def __len__(self):
        return self.length


class Report(Callback):
    """Tells Muster how each batch went."""

    def __init__(self, batches):
        self.batches = batches

    def after_batch(self):
        if self.training:
            self.batches.add(self.loss, (self.pred.argmax(1) == self.y).sum())


def measure(x, y):
    with torch.no_grad():
        scores = model.eval()(x)
        return {"loss": float(cross_entropy(scores, y)), "accuracy": float((scores.argmax(1) == y).float().mean())}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    local = task.local
    local.only("momentum", "weight_decay")
    bridge.load(model, parameters)
    x, y = map(torch.from_numpy, context.data())
    before = measure(x, y)
    batches = context.batches(len(y))
    samples = DataLoader(TensorDataset(x, y), batch_sampler=Order(batches))
    learner = Learner(
        DataLoaders(samples, []),
        model,
        loss_func=cross_entropy,
        train_bn=False,
        opt_func=partial(SGD, mom=local.momentum, wd=local.weight_decay, decouple_wd=False),
    )
    with learner.no_logging():
        learner.fit(local.epochs, lr=local.rate, cbs=Report(batches))
    return muster.Update(bridge.parameters(model), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    bridge.load(model, parameters)
    x, y = map(torch.from_numpy, context.data())
    return muster.Evaluation(len(y), measure(x, y))
