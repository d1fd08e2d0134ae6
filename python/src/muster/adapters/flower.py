"""Flower: an unchanged ``NumPyClient`` as a trainer. Apps with a ``ClientApp`` need no code at all, see :mod:`.flower_app`.

::

    from client import DigitsClient            # class DigitsClient(flwr.client.NumPyClient)
    from muster.adapters.flower import FlowerTrainer

    trainer = FlowerTrainer(DigitsClient)      # muster-trainer trainer:trainer

Flower's lists have no names, so their order must be known. It is the order of the layers of a built-in model, or that of ``names``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Callable

import numpy

from .. import models
from ..context import Context
from ..contract import Evaluation, Parameters, Task, TrainerError, Update


class FlowerTrainer:
    """Calls a ``NumPyClient`` directly: no Flower server, no network.

    :param client: the client, its class, or a function that makes one. Called once in a process, without arguments or, if it takes one
        argument, with the :class:`muster.Task` (whose ``data`` is the device's data configuration).
    :param names: the names of the list's arrays, in its order; by default the layers of a built-in model.
    :param config: makes the ``config`` of ``fit`` and ``evaluate`` from the task; by default its hyperparameters, round and seed.
    """

    def __init__(self, client: Any, names: Sequence[str] | None = None, config: Callable[[Task], dict[str, Any]] | None = None) -> None:
        self._make = client
        self._names = list(names) if names is not None else None
        self._config = config or configuration
        self._client: Any = None

    def train(self, task: Task, parameters: Parameters, context: Context) -> Update:
        client, names = self._get(task), self._order(task, parameters)
        context.progress(0)
        answer = client.fit([parameters[name] for name in names], self._config(task))
        try:
            values, samples, metrics = answer
        except (TypeError, ValueError) as error:
            raise TrainerError("the client's fit did not return (list of arrays, number of examples, metrics)") from error
        context.progress(1)
        return Update(self._named(names, values), samples, dict(metrics or {}))

    def evaluate(self, task: Task, parameters: Parameters, context: Context) -> Evaluation:
        client, names = self._get(task), self._order(task, parameters)
        answer = client.evaluate([parameters[name] for name in names], self._config(task))
        try:
            loss, samples, metrics = answer
        except (TypeError, ValueError) as error:
            raise TrainerError("the client's evaluate did not return (loss, number of examples, metrics)") from error
        return Evaluation(samples, {"loss": loss, **(metrics or {})})

    def initialize(self, task: Task, context: Context) -> Parameters:
        try:
            return models.initial(task.model, task.seed)
        except TrainerError:
            if self._names is None:
                raise
        values = self._get(task).get_parameters({})
        return self._named(self._names, values)

    def _get(self, task: Task) -> Any:
        if self._client is None:
            made = self._make
            if callable(made) and not hasattr(made, "fit") or isinstance(made, type):
                takes = [p for p in inspect.signature(made).parameters.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
                made = made(task) if takes else made()
            # What client_fn returns may be a Client around the NumPyClient.
            self._client = getattr(made, "numpy_client", made)
        return self._client

    def _order(self, task: Task, parameters: Parameters) -> list[str]:
        names = self._names if self._names is not None else [name for name, _ in models.schema(task.model)]
        if sorted(names) != sorted(parameters):
            raise TrainerError(f"the given names of the list differ from the model's: {', '.join(sorted(set(names) ^ set(parameters)))}")
        return names

    @staticmethod
    def _named(names: Sequence[str], values: Any) -> Parameters:
        if len(values) != len(names):
            raise TrainerError(f"the client returned {len(values)} arrays, but the model has {len(names)}")
        return {name: numpy.asarray(value) for name, value in zip(names, values)}


def configuration(task: Task) -> dict[str, Any]:
    """A client's configuration: round, seeds and hyperparameters, under the names that Flower's examples use."""
    local = task.local
    return {
        "server_round": task.round,
        "round": task.round,
        "seed": task.seed,
        "local_seed": local.seed,
        "epochs": local.epochs,
        "batch_size": local.batch,
        "learning_rate": local.rate,
        "momentum": local.momentum,
        "weight_decay": local.weight_decay,
        "proximal_mu": local.proximal,
        # As apps with messages spell them.
        "server-round": task.round,
        "lr": local.rate,
        "learning-rate": local.rate,
        "local-epochs": local.epochs,
        "batch-size": local.batch,
        "weight-decay": local.weight_decay,
        "proximal-mu": local.proximal,
    }
