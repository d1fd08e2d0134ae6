"""muster-export-onnx: its files, and the models that it refuses. Needs torch, onnx and onnxscript, and onnxruntime to run the steps."""

import json
import subprocess
import sys

import numpy
import pytest
from conftest import EXAMPLES

from muster import TrainerError

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from muster.adapters import torch as bridge  # noqa: E402
from muster.export import export  # noqa: E402


class Words(torch.nn.Module):
    """A small transformer: tokens, an embedding, attention, layer normalization, GELU."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(17, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = torch.nn.LayerNorm(8)
        self.inner = torch.nn.Linear(8, 16)
        self.outer = torch.nn.Linear(16, 8)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        x = self.words(x)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        x = x + self.outer(torch.nn.functional.gelu(self.inner(x)))
        return self.head(x.mean(1))


class Pictures(torch.nn.Module):
    """Strides, dilation, groups, average pooling, group normalization."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(2, 8, 3, stride=2, padding=1)
        self.second = torch.nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.norm = torch.nn.GroupNorm(2, 8)
        self.third = torch.nn.Conv2d(8, 4, 1, bias=False)
        self.head = torch.nn.Linear(4 * 4 * 4, 5)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.nn.functional.leaky_relu(self.norm(self.second(x)), 0.1)
        x = torch.tanh(self.third(torch.nn.functional.avg_pool2d(x, 2)))
        return self.head(x.flatten(1))


def run(path, model, x, y, steps, rate, momentum=0.0, weight_decay=0.0, proximal=0.0):
    """Compares the file's steps with PyTorch's own, also on batches that are not full. Returns the largest difference."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    names, batch = json.loads(metadata["muster.parameters"]), int(metadata["muster.batch"])
    inputs = {value.name: value for value in session.get_inputs()}
    first = bridge.parameters(model)
    assert names == list(first)
    bound = {**first, **{f"base.{name}": first[name] for name in names if f"base.{name}" in inputs}}
    bound |= {name: numpy.zeros(inputs[name].shape, numpy.float32) for name in json.loads(metadata["muster.states"])}
    scalars = {"rate": rate, "momentum": momentum, "weightDecay": weight_decay, "proximal": proximal}
    bound |= {name: numpy.array(value, numpy.float32) for name, value in scalars.items() if name in inputs}
    base = bridge.base(model, first)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, weight_decay=weight_decay)
    worst = 0.0
    for number in range(steps):
        count = batch if number % 3 else batch - 1
        weights = (numpy.arange(batch) < count).astype(numpy.float32)
        samples = numpy.where(weights.reshape(-1, *[1] * (x.ndim - 1)) > 0, x[:batch], 0).astype(x.dtype)
        values = dict(
            zip(
                [value.name for value in session.get_outputs()],
                session.run(None, {"x": samples, "y": y[:batch], "weights": weights, **bound}),
            )
        )
        bound |= {name[5:]: value for name, value in values.items() if name.startswith("next.")}
        optimizer.zero_grad()
        scores, classes = model(torch.from_numpy(x[:count])), torch.from_numpy(y[:count])
        loss = torch.nn.functional.cross_entropy(scores, classes)
        worst = max(worst, abs(float(loss.detach()) * count - float(values["loss"])))
        assert float(values["correct"]) == float((scores.argmax(1) == classes).sum())
        (loss + bridge.proximal(model, base, proximal) if proximal else loss).backward()
        optimizer.step()
    after = bridge.parameters(model)
    return max(worst, *(float(abs(after[name] - bound[name]).max()) for name in names))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.5, "weight_decay": 0.01, "proximal": 0.1},
    ],
    ids=["sgd", "momentum", "all"],
)
def test_a_transformer_takes_pytorchs_steps(tmp_path, settings):
    torch.manual_seed(1)
    model = Words()
    export(model, 4, (6,), tmp_path / "step.onnx", tokens=True, **{name: True for name in settings})
    generator = numpy.random.default_rng(1)
    x, y = generator.integers(0, 17, (4, 6)), generator.integers(0, 3, 4)
    assert run(tmp_path / "step.onnx", model, x, y, 6, 0.1, **settings) < 1e-4


def test_convolutions_of_all_kinds_take_pytorchs_steps(tmp_path):
    torch.manual_seed(1)
    model = Pictures()
    export(model, 4, (2, 16, 16), tmp_path / "step.onnx")
    generator = numpy.random.default_rng(1)
    x, y = generator.random((4, 2, 16, 16), numpy.float32), generator.integers(0, 5, 4)
    assert run(tmp_path / "step.onnx", model, x, y, 6, 0.1) < 1e-4


def test_a_step_is_small_and_says_what_it_is(tmp_path):
    path = tmp_path / "step.onnx"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "muster.export",
            f"{EXAMPLES}/pytorch/model.py:LeNet5",
            str(path),
            "--batch",
            "8",
            "--input",
            "1,8,8",
            "--initial",
            str(tmp_path / "first.safetensors"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = json.loads(metadata.pop("muster.parameters"))
    assert metadata == {"muster.step": "1", "muster.batch": "8", "muster.input": "[1,8,8]", "muster.states": "[]"}
    assert [value.name for value in model.graph.input] == ["x", "y", "weights", "rate", *names]
    assert [value.name for value in model.graph.output] == ["loss", "correct", *(f"next.{name}" for name in names)]
    assert {node.domain for node in model.graph.node} == {""}
    assert path.stat().st_size < 20_000
    # Where it was made is nobody's business.
    assert str(EXAMPLES).encode() not in path.read_bytes()
    from muster import tensors

    assert sorted(tensors.load(tmp_path / "first.safetensors")) == sorted(names)


@pytest.mark.parametrize(
    "layer, reason",
    [
        (torch.nn.BatchNorm2d(2), "running statistics"),
        (torch.nn.Dropout(0.5), "random numbers"),
        (torch.nn.MaxPool2d(3, 2), "side by side"),
        (torch.nn.ConvTranspose2d(2, 2, 3), "transposed convolution"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, layer, reason):
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3), layer, torch.nn.Flatten(), torch.nn.LazyLinear(3))
    model(torch.zeros(1, 2, 11, 11))
    with pytest.raises(TrainerError, match=reason):
        export(model, 4, (2, 11, 11), tmp_path / "step.onnx")
    assert not (tmp_path / "step.onnx").exists()
