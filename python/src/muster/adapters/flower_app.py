"""Flower: an unchanged app with a ``ClientApp``, as its ``pyproject.toml`` describes it, as a trainer.

::

    muster-trainer flower APPDIR JOBFOLDER       # one job
    muster-trainer flower APPDIR --resident      # many

No SuperLink and no SuperNode are needed. The app gets the train and evaluate messages that a Flower strategy would send, and its mods see
them. docs/trainers.md explains the origin of each value.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from .. import models
from ..context import Context
from ..contract import Evaluation, Parameters, Task, TrainerError, Update
from .flower import configuration

STATE = "flower-state"


class FlowerApp:
    """An app's folder as a trainer: ``train`` and ``evaluate`` go to its ``ClientApp``, ``initialize`` asks its ``ServerApp``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).resolve()
        app = _app_table(self.folder)
        self._components: Mapping[str, Any] = app.get("components", {})
        self._run_config = _flat(app.get("config", {}))
        self._client = self._load("clientapp")

    def train(self, task: Task, parameters: Parameters, context: Context) -> Update:
        context.progress(0)
        reply = self._ask("train", task, parameters, context)
        context.progress(1)
        arrays = list(reply.array_records.values())
        if len(arrays) != 1:
            raise TrainerError(f"the app's reply to a train message has {len(arrays)} ArrayRecords, not one")
        samples, metrics = _measured(reply)
        return Update(_named(arrays[0], _order(task, parameters)), samples, metrics)

    def evaluate(self, task: Task, parameters: Parameters, context: Context) -> Evaluation:
        return Evaluation(*_measured(self._ask("evaluate", task, parameters, context)))

    def initialize(self, task: Task, context: Context) -> Parameters:
        try:
            return models.initial(task.model, task.seed)
        except TrainerError:
            if task.model.type in ("softmax", "mlp", "lenet5"):
                raise
        if self._is_legacy:
            content = self._content("getparametersins", None, {})
            arrays = list(self._answer("get_parameters", task, context, content).array_records.values())[0]
        else:
            arrays = self._first_arrays(task)
        return {name: numpy.array(array.numpy()) for name, array in arrays.items()}

    # The ClientApp.

    @property
    def _is_legacy(self) -> bool:
        """Whether the app is a ``ClientApp(client_fn)``, which gets the messages of the older API."""
        return getattr(self._client, "_call", None) is not None

    def _ask(self, kind: str, task: Task, parameters: Parameters, context: Context) -> Any:
        from flwr.app import Array, ArrayRecord

        record = ArrayRecord({name: Array(parameters[name]) for name in _order(task, parameters)})
        config = {key: value for key, value in configuration(task).items() if value is not None} | _options(task)
        prefix = {"train": "fitins", "evaluate": "evaluateins"}[kind] if self._is_legacy else None
        return self._answer(kind, task, context, self._content(prefix, record, config))

    @staticmethod
    def _content(prefix: str | None, arrays: Any, config: dict[str, Any]) -> Any:
        """A message's content, with the names that Flower's strategies use; with a prefix, those of the older API."""
        from flwr.app import ConfigRecord, RecordDict

        content = RecordDict({f"{prefix}.config" if prefix else "config": ConfigRecord(config)})
        if arrays is not None:
            content[f"{prefix}.parameters" if prefix else "arrays"] = arrays
        return content

    def _answer(self, kind: str, task: Task, context: Context, content: Any) -> Any:
        """Returns the content of the app's reply. The state in the app's context is kept from round to round."""
        from flwr.app import Context as FlowerContext
        from flwr.app import Message, Metadata, RecordDict

        run, node = _number(task.id), _number(f"{socket.gethostname()} {json.dumps(task.data, sort_keys=True)}")
        _identify(run, node)
        file = context.state / STATE
        state = _read_state(file) if file.exists() else RecordDict()
        surroundings = FlowerContext(run, node, _node_config(task.data), state, self._configured(task))
        metadata = Metadata(
            run_id=run,
            message_id=f"{task.round}-{kind}",
            src_node_id=1,
            dst_node_id=node,
            reply_to_message_id="",
            group_id=str(task.round),
            created_at=time.time(),
            ttl=float(3600 * 12),
            message_type=kind,
        )
        reply = self._client(Message(content=content, metadata=metadata), surroundings)
        if not isinstance(reply, Message):
            raise TrainerError(f"the app answered a {kind} message with {type(reply).__name__}, not with a Message")
        if reply.has_error():
            raise TrainerError(f"the app answered a {kind} message with an error: {reply.error.reason}")
        if len(surroundings.state):
            _write_state(surroundings.state, file)
        return reply.content

    def _configured(self, task: Task) -> dict[str, Any]:
        """The run's configuration: the app's own, where the task's options override the same keys."""
        return {**self._run_config, **{key: value for key, value in _options(task).items() if key in self._run_config}}

    # The ServerApp.

    def _first_arrays(self, task: Task) -> Any:
        """The arrays of the first train message of the app's ServerApp, which is run only until it sends that message."""
        from flwr.app import Context as FlowerContext
        from flwr.app import RecordDict

        server = self._load("serverapp")
        run = _number(task.id)
        _identify(run, 1)
        try:
            server(grid=_FirstMessage.grid(), context=FlowerContext(run, 1, {}, RecordDict(), self._configured(task)))
        except _FirstMessage as caught:
            records = list(caught.message.content.array_records.values())
            if len(records) == 1:
                return records[0]
            raise TrainerError(f"the app's ServerApp sends {len(records)} ArrayRecords to train, not one") from None
        raise TrainerError("the app's ServerApp ended without a train message: give the task a first model, `initial: {blob: FILE}`")

    def _load(self, component: str) -> Any:
        reference = self._components.get(component)
        if not isinstance(reference, str) or reference.count(":") != 1:
            raise TrainerError(f"{self.folder}/pyproject.toml must name {component} as MODULE:ATTRIBUTE in [tool.flwr.app.components]")
        path, attribute = reference.split(":")
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))
        try:
            target: Any = importlib.import_module(path)
        except ModuleNotFoundError as error:
            raise TrainerError(f"{reference} needs the module {error.name!r}, which is not installed for {sys.executable}") from error
        except ImportError as error:
            raise TrainerError(f"{reference} cannot be imported: {error}. Apps with messages need flwr 1.21 or later") from error
        for name in attribute.split("."):
            if not hasattr(target, name):
                raise TrainerError(f"{reference}: there is no {name!r} in {path}")
            target = getattr(target, name)
        if not callable(target):
            raise TrainerError(f"{reference} is {type(target).__name__}, not an app")
        return target


class _FirstMessage(BaseException):
    """Ends a ServerApp when it sends its first message. Not an ``Exception``, so that the app does not catch it."""

    def __init__(self, message: Any) -> None:
        self.message = message

    @staticmethod
    def grid() -> Any:
        """A grid with as many nodes as a strategy waits for. No node ever receives a message."""
        from flwr.serverapp import Grid

        def send(self: Any, messages: Any, **_: Any) -> Any:
            for message in messages:
                raise _FirstMessage(message)
            raise TrainerError("the app's ServerApp sends no train message to any node in its first round")

        def nodes(self: Any) -> Any:
            self.count = min(2 * getattr(self, "count", 1), 4096)
            return range(2, 2 + self.count)

        members = {name: (lambda self, *_, **__: None) for name in Grid.__abstractmethods__}
        members |= {"send_and_receive": send, "push_messages": send, "get_node_ids": nodes}
        return type("FirstMessageGrid", (Grid,), members)()


def _app_table(folder: Path) -> Any:
    """``[tool.flwr.app]``."""
    # Flower brings tomli where Python has no tomllib.
    toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    file = folder / "pyproject.toml"
    try:
        table = toml.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainerError(f"{file} cannot be read: {error.strerror}; the folder of a Flower app has this file") from error
    except ValueError as error:
        raise TrainerError(f"{file} is not valid TOML: {error}") from error
    app = table.get("tool", {}).get("flwr", {}).get("app")
    if not isinstance(app, dict):
        raise TrainerError(f"{file} has no section [tool.flwr.app]: is this the folder of a Flower app?")
    return app


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Flattens nested keys with dots, as Flower does. Values of types that Flower does not support become JSON."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        elif value is not None:
            flat[f"{above}{key}"] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
    return flat


def _node_config(data: Any) -> dict[str, Any]:
    """The device's ``data`` as a node configuration. Flower's partition keys default to Muster's partition, or to all of the data."""
    fields = data if isinstance(data, Mapping) else {}
    part = fields.get("partition")
    ((_, share),) = part.items() if isinstance(part, Mapping) and len(part) == 1 else (("", {}),)
    index, parts = (share.get("index", 0), share.get("of", 1)) if isinstance(share, Mapping) else (0, 1)
    return {"partition-id": index, "num-partitions": parts, **_flat(fields)}


def _options(task: Task) -> dict[str, Any]:
    """The task's own parameters, ``model.options`` and ``local.options``."""
    found: dict[str, Any] = {}
    for part in ("model", "local"):
        options = task.raw.get(part, {}).get("options")
        found |= _flat(options) if isinstance(options, Mapping) else {}
    return found


def _order(task: Task, parameters: Parameters) -> list[str]:
    """The order of the arrays for apps that use lists: the order of the layers, or of the numbers that are used as names."""
    if all(name.isdecimal() for name in parameters):
        return sorted(parameters, key=int)
    try:
        names = [name for name, _ in models.schema(task.model)]
    except TrainerError:
        return list(parameters)
    return names if sorted(names) == sorted(parameters) else list(parameters)


def _named(record: Any, order: list[str]) -> Parameters:
    """The arrays of a reply under the model's names. An app that made its record from a list uses numbers as names."""
    names = list(record)
    if set(names) != set(order) and names == [str(index) for index in range(len(order))]:
        return {name: record[number].numpy() for number, name in zip(names, order)}
    return {name: record[name].numpy() for name in names}


def _measured(reply: Any) -> tuple[Any, dict[str, float]]:
    """The number of samples, and the metrics."""
    samples = None
    metrics: dict[str, float] = {}
    # A client of the old kind has its metrics among the configuration.
    legacy = [record for name, record in reply.config_records.items() if name in ("fitres.metrics", "evaluateres.metrics")]
    for values in [*reply.metric_records.values(), *legacy]:
        for key, value in values.items():
            if key in ("num-examples", "num_examples"):
                samples = value
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                metrics[key] = value
    if samples is None:
        raise TrainerError('the app\'s reply has no "num-examples" in a MetricRecord, which is the weight of the update')
    return samples, metrics


def _number(text: str) -> int:
    """An id in Flower's form, with 63 bits."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _identify(run: int, node: int) -> None:
    """Sets the process's identity, which Flower's messages need."""
    try:
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError:
        return
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, node, run


def _read_state(file: Path) -> Any:
    from flwr.common.serde import recorddict_from_proto
    from flwr.proto.recorddict_pb2 import RecordDict

    return recorddict_from_proto(RecordDict.FromString(file.read_bytes()))


def _write_state(state: Any, file: Path) -> None:
    from flwr.common.serde import recorddict_to_proto

    temporary = file.with_suffix(".new")
    temporary.write_bytes(recorddict_to_proto(state).SerializeToString())
    os.replace(temporary, file)
