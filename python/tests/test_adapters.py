"""The adapters to frameworks. Tests whose framework is not installed are skipped."""

import json

import numpy
import pytest
from conftest import EXAMPLES, MODEL, ROOT, load_example

from muster import Evaluation, TrainerError, Update, models
from muster.adapters import flower, keras, mlx, selection
from muster.context import Context
from muster.contract import Model, Task

LENET5 = Model("lenet5", (1, 8, 8), 10)


def make_task(job="train", local=None, **data):
    digits = ROOT / "examples/digits/data"
    return Task.parse(
        {
            "contract": 1,
            "job": job,
            "task": "t",
            "round": 3,
            "seed": 5,
            "model": MODEL,
            "local": {"epochs": 1, "batch": 8, "rate": 0.1, "seed": 1, **(local or {})},
            "data": {
                "format": "idx",
                "images": f"{digits}/train-images-idx3-ubyte.gz",
                "labels": f"{digits}/train-labels-idx1-ubyte.gz",
                "partition": {"range": {"from": 0, "to": 100}},
                **data,
            },
        }
    )


def context(task, folder):
    return Context(task, folder, lambda line: None)


@pytest.fixture
def reference(tmp_path):
    """The result of the NumPy trainer for the task."""
    task = make_task()
    return load_example("numpy").train(task, models.initial(LENET5, 1), context(task, tmp_path))


def agrees(update, reference):
    assert sorted(update.parameters) == sorted(reference.parameters)
    for name, value in reference.parameters.items():
        assert update.parameters[name].dtype == numpy.float32
        numpy.testing.assert_allclose(update.parameters[name], value, atol=1e-5)
    assert update.samples == reference.samples
    assert update.metrics["loss"] == pytest.approx(reference.metrics["loss"], abs=1e-5)


def test_names_are_chosen_by_patterns():
    names = ["conv1.weight", "fc3.weight", "fc3.bias"]
    assert selection.select(names, ["fc3.*"]) == ["fc3.weight", "fc3.bias"]
    with pytest.raises(TrainerError, match="fc4"):
        selection.select(names, ["fc4.*"])


# Keras: stand-ins for its layers, so that the layouts are tested without it.


class Variable:
    def __init__(self, name, shape):
        self.name, self.shape, self.value = name, shape, numpy.zeros(shape, numpy.float32)

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        assert value.shape == self.shape
        self.value = value


class Layer:
    def __init__(self, name, layers=None, **weights):
        self.name, self.layers = name, layers
        self.weights = [Variable(kind, shape) for kind, shape in weights.items()]


def keras_model():
    return Layer(
        "model",
        layers=[
            Layer("conv1", kernel=(3, 3, 2, 5), bias=(5,)),
            Layer("pool"),
            Layer("narrow", depthwise_kernel=(3, 3, 5, 1)),
            Layer("norm", gamma=(5,), beta=(5,), moving_mean=(5,), moving_variance=(5,)),
            Layer("head", layers=[Layer("fc1", kernel=(20, 7), bias=(7,))]),
        ],
    )


def keras_parameters():
    shapes = {
        "conv1.weight": (5, 2, 3, 3),
        "conv1.bias": (5,),
        "narrow.weight": (5, 1, 3, 3),
        "norm.weight": (5,),
        "norm.bias": (5,),
        "norm.running_mean": (5,),
        "norm.running_var": (5,),
        "head.fc1.weight": (7, 20),
        "head.fc1.bias": (7,),
    }
    generator = numpy.random.default_rng(1)
    return {name: generator.random(shape, numpy.float32) for name, shape in shapes.items()}


def test_keras_layouts_go_both_ways_bit_exactly():
    model, given = keras_model(), keras_parameters()
    keras.load(model, given)
    kernel = numpy.array(model.layers[0].weights[0])
    assert kernel[1, 2, 0, 4] == given["conv1.weight"][4, 0, 1, 2]
    back = keras.parameters(model)
    assert all(back[name].tobytes() == given[name].tobytes() and back[name].flags.c_contiguous for name in given)
    assert list(keras.parameters(model, ["head.*"])) == ["head.fc1.weight", "head.fc1.bias"]
    assert back.buffers == ("norm.running_mean", "norm.running_var")
    assert keras.parameters(model, ["head.*"]).buffers == ()


def test_keras_says_what_does_not_fit():
    given = keras_parameters()
    del given["norm.bias"]
    given["conv1.weight"] = given["conv1.weight"].transpose(2, 3, 1, 0)
    with pytest.raises(TrainerError, match="norm.bias is missing.*conv1.weight is"):
        keras.load(keras_model(), given)


def test_mlx_layouts_go_both_ways_bit_exactly():
    kernel = numpy.random.default_rng(1).random((5, 2, 3, 4), numpy.float32)
    there = mlx.to_mlx(kernel)
    assert there.shape == (5, 3, 4, 2) and there[4, 1, 2, 0] == kernel[4, 0, 1, 2]
    assert mlx.from_mlx(there).tobytes() == kernel.tobytes()
    dense = kernel.reshape(5, 24)
    assert mlx.to_mlx(dense).tobytes() == dense.tobytes()


class Client:
    """A class with the methods of a Flower NumPyClient, without Flower."""

    def get_parameters(self, config):
        return [numpy.zeros(2, numpy.float32), numpy.ones(1, numpy.float32)]

    def fit(self, parameters, config):
        assert config["server_round"] == 3 and config["learning_rate"] == 0.1 and config["batch_size"] == 8
        self.order = [value.shape for value in parameters]
        return [value + 1 for value in parameters], 12, {"loss": 0.5}

    def evaluate(self, parameters, config):
        return 0.25, 12, {"accuracy": 0.75}


def test_a_flower_client_gets_its_list_in_the_order_of_the_layers(tmp_path):
    client, task = Client(), make_task()
    trainer = flower.FlowerTrainer(client)
    given = dict(sorted(models.initial(LENET5, 1).items()))
    update = trainer.train(task, given, context(task, tmp_path))
    assert client.order == [shape for _, shape in models.schema(LENET5)]
    assert update == Update(update.parameters, 12, {"loss": 0.5})
    assert all(numpy.array_equal(update.parameters[name], given[name] + 1) for name in given)
    assert trainer.evaluate(task, given, context(task, tmp_path)) == Evaluation(12, {"loss": 0.25, "accuracy": 0.75})


@pytest.mark.parametrize("make", [Client, lambda: Client(), lambda task: Client(), Client()])
def test_a_flower_client_comes_as_class_function_or_object(tmp_path, make):
    task = make_task()
    update = flower.FlowerTrainer(make).train(task, models.initial(LENET5, 1), context(task, tmp_path))
    assert update.samples == 12


def test_a_flower_client_of_a_foreign_model_needs_names(tmp_path):
    task = Task.parse({**make_task("initialize").raw, "model": {"type": "mine"}})
    with pytest.raises(TrainerError, match="not built in"):
        flower.FlowerTrainer(Client).initialize(task, context(task, tmp_path))
    first = flower.FlowerTrainer(Client, names=["w", "b"]).initialize(task, context(task, tmp_path))
    assert first["w"].tolist() == [0, 0] and first["b"].tolist() == [1]
    with pytest.raises(TrainerError, match="1 arrays, but the model has 2|2 arrays, but the model has 1"):
        flower.FlowerTrainer(Client, names=["w"]).initialize(task, context(task, tmp_path))
    with pytest.raises(TrainerError, match="differ from the model's: b, x"):
        flower.FlowerTrainer(Client, names=["w", "x"]).train(task, first, context(task, tmp_path))


def test_the_flower_example_agrees_with_numpy(tmp_path, reference):
    pytest.importorskip("flwr")
    task = make_task()
    update = load_example("flower").trainer.train(task, models.initial(LENET5, 1), context(task, tmp_path))
    for name, value in reference.parameters.items():
        numpy.testing.assert_array_equal(update.parameters[name], value)


def test_the_onnx_step_agrees_with_numpy(tmp_path, reference):
    pytest.importorskip("onnxruntime")
    from muster.adapters import onnx

    task = make_task(step=str(EXAMPLES / "onnxruntime/lenet5.onnx"))
    given = models.initial(LENET5, 1)
    update = onnx.train(task, given, context(task, tmp_path))
    agrees(update, reference)
    assert update.initial_loss == pytest.approx(reference.initial_loss, abs=1e-5)
    # 100 samples in batches of 8: the last one has 4 that count.
    evaluation = onnx.evaluate(task, given, context(task, tmp_path))
    assert evaluation.samples == 100 and evaluation.metrics["loss"] == pytest.approx(reference.initial_loss, abs=1e-5)
    assert numpy.array_equal(given["fc1.weight"], models.initial(LENET5, 1)["fc1.weight"]), "what was given stays"


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"local": {"batch": 9}}, "exported for at most 8"),
        ({"local": {"momentum": 0.5}}, "local.momentum"),
        ({"step": "/nowhere"}, "/nowhere"),
        ({"step": str(ROOT / "README.md")}, "cannot be loaded"),
        ({"step": None}, "there is no training step"),
    ],
)
def test_the_onnx_step_says_what_it_cannot_do(tmp_path, change, reason):
    pytest.importorskip("onnxruntime")
    from muster.adapters import onnx

    local = change.pop("local", {})
    task = make_task(local=local, **{"step": str(EXAMPLES / "onnxruntime/lenet5.onnx"), **change})
    with pytest.raises(TrainerError, match=reason):
        onnx.train(task, models.initial(LENET5, 1), context(task, tmp_path))


def test_the_step_that_came_with_the_task_goes_before_the_devices(tmp_path):
    pytest.importorskip("onnxruntime")
    from muster.adapters import onnx

    (tmp_path / "step.onnx").write_bytes((EXAMPLES / "onnxruntime/lenet5.onnx").read_bytes())
    task = make_task(step="/nowhere")
    assert onnx.evaluate(task, models.initial(LENET5, 1), context(task, tmp_path)).samples == 100


def test_tflite_agrees_with_numpy(tmp_path, reference):
    pytest.importorskip("ai_edge_litert")
    task = make_task(model=str(EXAMPLES / "tflite/lenet5.tflite"))
    trainer, given = load_example("tflite"), models.initial(LENET5, 1)
    agrees(trainer.train(task, given, context(task, tmp_path)), reference)
    lite = trainer.model(task)
    lite.load(given)
    assert all(value.tobytes() == given[name].tobytes() for name, value in lite.parameters().items())
    with pytest.raises(TrainerError, match="differ from those of the signature: fc3.bias"):
        lite.load({name: value for name, value in given.items() if name != "fc3.bias"})


def test_mlx_agrees_with_numpy(tmp_path, reference):
    pytest.importorskip("mlx.core")
    task = make_task()
    trainer, given = load_example("mlx"), models.initial(LENET5, 1)
    agrees(trainer.train(task, given, context(task, tmp_path)), reference)
    with pytest.raises(TrainerError, match="fc3.bias is missing"):
        mlx.load(trainer.model, {name: value for name, value in given.items() if name != "fc3.bias"})


@pytest.mark.large
def test_torch_agrees_with_numpy(tmp_path, reference):
    pytest.importorskip("torch")
    task = make_task()
    agrees(load_example("pytorch").train(task, models.initial(LENET5, 1), context(task, tmp_path)), reference)


@pytest.mark.large
def test_torch_declares_a_modules_buffers():
    """Also for models whose names are in no list."""
    torch = pytest.importorskip("torch")
    from muster.adapters import torch as bridge

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(3)
            self.register_buffer("ema", torch.zeros(2))

    names = ("ema", "norm.num_batches_tracked", "norm.running_mean", "norm.running_var")
    assert bridge.parameters(Module()).buffers == names
    assert bridge.parameters(Module(), ["norm.weight"]).buffers == ()


@pytest.mark.large
def test_torch_takes_tied_weights_subsets_and_bfloat16():
    torch = pytest.importorskip("torch")
    from muster.adapters import torch as bridge

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words = torch.nn.Embedding(5, 3)
            self.norm = torch.nn.BatchNorm1d(3)
            self.head = torch.nn.Linear(3, 5, bias=False)
            self.head.weight = self.words.weight

    module = Tied()
    found = bridge.parameters(module)
    assert "words.weight" in found and "head.weight" not in found
    assert found["norm.num_batches_tracked"].dtype == numpy.int64
    found["words.weight"] = found["words.weight"] + 1
    bridge.load(module, found)
    assert numpy.array_equal(module.head.weight.detach().numpy(), found["words.weight"])
    assert list(bridge.parameters(module, ["norm.*a*"])) == [
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    bridge.load(module, {"norm.weight": numpy.full(3, 7, numpy.float32)}, ["norm.weight"])
    assert module.norm.weight.tolist() == [7, 7, 7]
    with pytest.raises(TrainerError, match="norm.bias is missing"):
        bridge.load(module, {"words.weight": found["words.weight"]}, ["norm.bias", "words.weight"])
    # What was taken does not change when the module goes on training.
    before = bridge.parameters(module)
    with torch.no_grad():
        module.norm.weight.add_(1)
    assert before["norm.weight"].tolist() == [7, 7, 7]
    pytest.importorskip("ml_dtypes")
    half = torch.nn.Linear(2, 2).to(torch.bfloat16)
    taken = bridge.parameters(half)
    assert taken["weight"].dtype.name == "bfloat16"
    other = torch.nn.Linear(2, 2).to(torch.bfloat16)
    bridge.load(other, taken)
    assert torch.equal(half.weight, other.weight)


def test_examples_have_what_they_need():
    for folder in sorted(path.parent for path in EXAMPLES.glob("*/requirements.txt")):
        assert (folder / "README.md").exists()
        assert all("==" in line for line in (folder / "requirements.txt").read_text().split()), folder
        if (folder / "verify.py").exists():
            continue
        agent = json.loads((folder / "agent.json").read_text())
        assert list(agent["trainers"]) == [folder.name]
        assert f"trainer: {folder.name}\n" in (folder / "task.yaml").read_text()
        assert (folder / agent["data"]["images"]).exists()
