"""A Flower client as one has it: it knows nothing of Muster. Its lists are ordered by layer, weights before biases."""

import numpy as np
from flwr.client import NumPyClient
from lenet import run

NAMES = [f"{layer}.{kind}" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3") for kind in ("weight", "bias")]


class DigitsClient(NumPyClient):
    """:param loader: gives the positions of each batch's samples, for a round's config."""

    def __init__(self, x, y, loader):
        self.x, self.y, self.loader = x, y, loader

    def fit(self, parameters, config):
        model = dict(zip(NAMES, (np.array(value) for value in parameters)))
        rate = np.float32(config["learning_rate"])
        losses = 0.0
        for rows in self.loader(config):
            loss, _, gradients = run(model, self.x[rows], self.y[rows])
            losses += loss * len(rows)
            for name, gradient in gradients.items():
                model[name] -= rate * gradient
        return [model[name] for name in NAMES], len(self.y), {"loss": losses / (len(self.y) * config["epochs"])}

    def evaluate(self, parameters, config):
        model = dict(zip(NAMES, parameters))
        sums = np.zeros(2)
        for start in range(0, len(self.y), 64):
            rows = slice(start, start + 64)
            loss, correct, _ = run(model, self.x[rows], self.y[rows], gradients=False)
            sums += loss * len(self.y[rows]), correct
        return float(sums[0]) / len(self.y), len(self.y), {"accuracy": float(sums[1]) / len(self.y)}
