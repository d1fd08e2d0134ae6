"""Hands the Flower client of client.py its data, and to Muster as a trainer."""

from client import DigitsClient

import muster
from muster import data
from muster.adapters.flower import FlowerTrainer


def client(task: muster.Task) -> DigitsClient:
    x, y = data.load(task.data)

    def loader(config):
        local = muster.Local(epochs=config["epochs"], batch=config["batch_size"], seed=config["local_seed"])
        return muster.Batches(len(y), local, config["seed"])

    return DigitsClient(x, y, loader)


trainer = FlowerTrainer(client)
