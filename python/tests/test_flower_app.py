"""Flower apps, unmodified: messages, mods, node and run configuration, the ServerApp's first model. Needs flwr."""

import json
import textwrap

import numpy
import pytest
from conftest import EXAMPLES, ROOT

from muster import TrainerError
from muster.context import Context
from muster.contract import Task
from muster.runner import Trainer

pytest.importorskip("flwr")

APP = EXAMPLES / "flower-app"
DATA = {
    "images": str(ROOT / "examples/digits/data/train-images-idx3-ubyte.gz"),
    "labels": str(ROOT / "examples/digits/data/train-labels-idx1-ubyte.gz"),
    "partition": {"iid": {"of": 4, "index": 1}},
}


def make_task(job="train", model=None, options=None, data=DATA, **local):
    fields = {"epochs": 2, "batch": 8, "rate": 0.1, "momentum": 0, "weightDecay": 0, "proximal": 0, "seed": 1, **local}
    if options:
        fields["options"] = options
    model = model or {"type": "mine"}
    return Task.parse({"contract": 1, "job": job, "task": "t", "round": 3, "seed": 5, "model": model, "local": fields, "data": data})


def context(task, folder):
    return Context(task, folder, lambda line: None)


def app(folder, client, name, server="", config=""):
    """A small app. ``name`` keeps its modules apart from those of other tests."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("")
    (folder / name / "client_app.py").write_text(textwrap.dedent(client))
    (folder / name / "server_app.py").write_text(textwrap.dedent(server))
    (folder / "pyproject.toml").write_text(
        f"""
        [project]
        name = "{name}"
        version = "1.0.0"
        [tool.flwr.app]
        publisher = "me"
        [tool.flwr.app.components]
        serverapp = "{name}.server_app:app"
        clientapp = "{name}.client_app:app"
        [tool.flwr.app.config]
        {config}
        """
    )
    return Trainer.flower(str(folder))


SEEN = """
    import json
    from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    def twice(message, context, call):
        # What a mod does on the way in and on the way out.
        message.content["config"]["mod"] = "was here"
        reply = call(message, context)
        record = reply.content["arrays"]
        for name in record:
            record[name] = Array(2 * record[name].numpy())
        return reply

    app = ClientApp()

    @app.train(mods=[twice])
    def train(message: Message, context: Context):
        rounds = context.state["rounds"]["count"] if "rounds" in context.state else 0
        context.state["rounds"] = ConfigRecord({"count": rounds + 1})
        seen = {
            "config": dict(message.content["config"]),
            "node": dict(context.node_config),
            "run": dict(context.run_config),
            "type": message.metadata.message_type,
            "group": message.metadata.group_id,
            "arrays": list(message.content["arrays"]),
            "rounds": rounds,
        }
        open(context.node_config["out"], "w").write(json.dumps(seen))
        arrays = [array + 1 for array in message.content["arrays"].to_numpy_ndarrays()]
        metrics = MetricRecord({"train_loss": 0.5, "num-examples": 7, "per_class": [0.5, 0.25]})
        return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message)
"""


def test_an_app_gets_its_messages_its_configuration_and_its_mods(tmp_path):
    data = {"out": str(tmp_path / "seen"), "site": {"name": "hall", "floors": [1, 2]}}
    trainer = app(tmp_path, SEEN, "seen_app", config='local-epochs = 1\nnested.name = "a"')
    given = {"1": numpy.ones((2, 2)), "0": numpy.zeros(3), "10": numpy.full(1, 5.0), "2": numpy.ones(1)}
    task = make_task(options={"local-epochs": 4, "temperature": 0.5}, data=data, rate=0.25)
    update = trainer.train(task, given, context(task, tmp_path))
    seen = json.loads((tmp_path / "seen").read_text())
    assert (seen["type"], seen["group"]) == ("train", "3")
    # By number, not by letter: 10 comes after 2.
    assert seen["arrays"] == ["0", "1", "2", "10"]
    assert seen["node"] == {
        "out": data["out"],
        "site.name": "hall",
        "site.floors": "[1, 2]",
        "partition-id": 0,
        "num-partitions": 1,
    }
    # The task's options replace the app's own configuration, and reach its messages.
    assert seen["run"] == {"local-epochs": 4, "nested.name": "a"}
    config = seen["config"]
    assert config["server-round"] == 3 and config["lr"] == 0.25 and config["temperature"] == 0.5 and config["mod"] == "was here"
    # The reply's list goes back under the model's names, as the mod left it.
    assert {name: value.tolist() for name, value in update.parameters.items()} == {
        "0": [2, 2, 2],
        "1": [[4, 4], [4, 4]],
        "2": [4],
        "10": [12],
    }
    assert update.samples == 7 and update.metrics == {"train_loss": 0.5}


def test_what_an_app_keeps_in_its_state_is_there_in_the_next_round(tmp_path):
    data = {"out": str(tmp_path / "seen")}
    given = {"0": numpy.zeros(1)}
    task = make_task(data=data)
    app(tmp_path, SEEN, "state_app").train(task, given, context(task, tmp_path))
    # As after a restart of the process: from the folder alone.
    Trainer.flower(str(tmp_path)).train(task, given, context(task, tmp_path))
    assert json.loads((tmp_path / "seen").read_text())["rounds"] == 1


def test_an_app_without_an_evaluate_function_says_so(tmp_path):
    task = make_task("evaluate", data={"out": ""})
    with pytest.raises(ValueError, match="No evaluate function registered"):
        app(tmp_path, SEEN, "mute_app").evaluate(task, {"0": numpy.zeros(1)}, context(task, tmp_path))


def test_the_example_learns_and_its_first_model_is_the_server_apps(tmp_path):
    trainer = Trainer.flower(str(APP))
    task = make_task("initialize", options={"hidden": 16})
    parameters = trainer.initialize(task, context(task, tmp_path))
    assert {name: value.shape for name, value in parameters.items()} == {
        "layer1.weight": (16, 64),
        "layer1.bias": (16,),
        "layer2.weight": (10, 16),
        "layer2.bias": (10,),
    }
    task = make_task(options={"hidden": 16, "local-epochs": 3})
    before = trainer.evaluate(task, parameters, context(task, tmp_path))
    # 1,437 samples, every fourth from the second.
    assert before.samples == 359 and before.metrics["accuracy"] < 0.3
    for _ in range(3):
        update = trainer.train(task, parameters, context(task, tmp_path))
        parameters = update.parameters
    after = trainer.evaluate(task, parameters, context(task, tmp_path))
    assert after.metrics["accuracy"] > 0.9 and after.metrics["loss"] < before.metrics["loss"]


LEGACY = """
    import numpy
    from flwr.app import Context
    from flwr.client import NumPyClient
    from flwr.clientapp import ClientApp

    class Client(NumPyClient):
        def __init__(self, part):
            self.part = part

        def get_parameters(self, config):
            return [numpy.full(2, 3.0, numpy.float32), numpy.zeros((1, 2), numpy.float32)]

        def fit(self, parameters, config):
            assert config["server_round"] == 3 and config["learning_rate"] == 0.1
            return [array + self.part for array in parameters], 9, {"loss": 0.5}

        def evaluate(self, parameters, config):
            return 0.25, 9, {"accuracy": 0.75}

    def client_fn(context: Context):
        return Client(context.node_config["partition-id"]).to_client()

    app = ClientApp(client_fn=client_fn)
"""


def test_an_app_with_a_numpy_client_runs_as_it_is(tmp_path):
    trainer = app(tmp_path, LEGACY, "legacy_app")
    task = make_task("initialize")
    first = trainer.initialize(task, context(task, tmp_path))
    assert first["0"].tolist() == [3, 3] and first["1"].shape == (1, 2)
    task = make_task()
    update = trainer.train(task, first, context(task, tmp_path))
    assert update.parameters["0"].tolist() == [4, 4] and update.samples == 9 and update.metrics == {"loss": 0.5}
    evaluation = trainer.evaluate(make_task("evaluate"), first, context(task, tmp_path))
    assert evaluation.samples == 9 and evaluation.metrics == {"loss": 0.25, "accuracy": 0.75}


@pytest.mark.parametrize(
    "file, reason",
    [
        (None, "cannot be read: No such file or directory; the folder of a Flower app has this file"),
        ("[tool", "is not valid TOML"),
        ("[project]\nname = 'a'\n", "has no section"),
        ("[tool.flwr.app]\n", "must name clientapp"),
        ("[tool.flwr.app.components]\nclientapp = 'nowhere_at_all:app'\n", "needs the module 'nowhere_at_all'"),
        ("[tool.flwr.app.components]\nclientapp = 'json:app'\n", "there is no 'app' in json"),
        ("[tool.flwr.app.components]\nclientapp = 'json:__name__'\n", "is str, not an app"),
    ],
)
def test_a_folder_that_is_no_app_is_refused_with_the_reason(tmp_path, file, reason):
    if file is not None:
        (tmp_path / "pyproject.toml").write_text(file)
    with pytest.raises(TrainerError, match=reason):
        Trainer.flower(str(tmp_path))


def test_a_reply_without_a_weight_is_refused(tmp_path):
    client = """
        from flwr.app import Message, MetricRecord, RecordDict
        from flwr.clientapp import ClientApp
        app = ClientApp()

        @app.evaluate()
        def evaluate(message, context):
            return Message(RecordDict({"metrics": MetricRecord({"loss": 1.0})}), reply_to=message)
    """
    task = make_task("evaluate")
    with pytest.raises(TrainerError, match='no "num-examples"'):
        app(tmp_path, client, "weightless_app").evaluate(task, {"0": numpy.zeros(1)}, context(task, tmp_path))


def test_a_server_app_that_never_asks_leaves_the_first_model_to_the_task(tmp_path):
    server = """
        from flwr.serverapp import ServerApp
        app = ServerApp()

        @app.main()
        def main(grid, context):
            pass
    """
    task = make_task("initialize")
    with pytest.raises(TrainerError, match="ended without a train message"):
        app(tmp_path, SEEN, "silent_app", server).initialize(task, context(task, tmp_path))


def test_the_command_line_does_the_jobs_of_an_app(job):
    job.data = DATA
    for kind in ("initialize", "train", "evaluate"):
        job.task(kind, model={"type": "digits-mlp"})
        process = job.start("flower", str(APP), str(job.folder))
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
    assert job.metrics()["samples"] == 359 and "accuracy" in job.metrics()["metrics"]
    assert job.start("flower").wait() == 2
    process = job.start("--resident", "flower", str(APP))
    out, _ = process.communicate(json.dumps({"job": str(job.folder)}) + "\n", timeout=60)
    assert json.loads(out.splitlines()[-1]) == {"done": str(job.folder), "exit": 0}
