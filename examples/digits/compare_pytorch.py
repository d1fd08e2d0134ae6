#!/usr/bin/env python3
"""Trains LeNet-5 on the digits twice, by muster-train and by PyTorch, from the same file and in the same order, and compares.

Needs torch, numpy and safetensors (pip install torch numpy safetensors) and a built muster-train:

    python3 examples/digits/compare_pytorch.py --muster-train .build/debug/muster-train

Ends with status 1 when the losses differ by more than 1e-3. --record prints the curve that
Tests/MusterModelsTests/PyTorchTests.swift holds.
"""

import argparse
import gzip
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
MASK = (1 << 64) - 1


class SplitMix64:
    """Muster's generator: Steele, Lea, Flood 2014."""

    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def shuffle(self, values):
        """Fisher-Yates from the end; a number below n is the high half of next() * n."""
        for i in range(len(values) - 1, 0, -1):
            j = (self.next() * (i + 1)) >> 64
            values[i], values[j] = values[j], values[i]


def order_generator(round_seed, local_seed):
    """The order of the samples: the round's seed combined with what the task's local seed draws first."""
    return SplitMix64(round_seed ^ SplitMix64(local_seed).next())


def read_idx(path):
    data = gzip.open(path).read()
    dimensions = data[3]
    sizes = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * dimensions).reshape(sizes)


class LeNet5(torch.nn.Module):
    """conv 6@3x3 pad 1, ReLU, max-pool 2, conv 16@3x3 pad 1, ReLU, max-pool 2, dense 64-120-84-10."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 6, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(6, 16, 3, padding=1)
        self.fc1 = torch.nn.Linear(64, 120)
        self.fc2 = torch.nn.Linear(120, 84)
        self.fc3 = torch.nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


def run_muster(program, folder, job):
    folder.mkdir(exist_ok=True)
    (folder / "task.json").write_text(json.dumps(job))
    subprocess.run([program, str(folder)], check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "metrics.json").read_text())


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--muster-train", default="muster-train")
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--rate", type=float, default=0.1)
    options.add_argument("--momentum", type=float, default=0)
    options.add_argument("--weight-decay", type=float, default=0)
    options.add_argument("--seed", type=int, default=1, help="the seed of the initial model, of the round and of the task")
    options.add_argument("--record", action="store_true", help="print the curve for the test")
    options = options.parse_args()
    torch.set_num_threads(1)

    images = read_idx(HERE / "data/train-images-idx3-ubyte.gz")
    labels = torch.tensor(read_idx(HERE / "data/train-labels-idx1-ubyte.gz").astype(numpy.int64))
    inputs = torch.tensor(images.astype(numpy.float32) / numpy.float32(255)).unsqueeze(1)

    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        local = {
            "epochs": options.epochs, "batch": options.batch, "rate": options.rate, "momentum": options.momentum,
            "weightDecay": options.weight_decay, "proximal": 0, "seed": options.seed,
        }
        job = {
            "contract": 1, "job": "initialize", "task": "digits", "round": 0, "seed": options.seed, "local": local,
            "model": {"type": "lenet5", "input": [1, 8, 8], "classes": 10},
            "data": {
                "format": "idx", "images": str(HERE / "data/train-images-idx3-ubyte.gz"),
                "labels": str(HERE / "data/train-labels-idx1-ubyte.gz"),
            },
        }
        run_muster(options.muster_train, temporary / "job", job)
        initial = load_file(temporary / "job/global.safetensors")
        ours = run_muster(options.muster_train, temporary / "job", job | {"job": "train", "round": 1})
        trained = load_file(temporary / "job/update.safetensors")
        # evaluate measures global.safetensors: our result on the data that it was trained on.
        (temporary / "job/update.safetensors").rename(temporary / "job/global.safetensors")
        final = run_muster(options.muster_train, temporary / "job", job | {"job": "evaluate", "round": 1})

    model = LeNet5()
    model.load_state_dict(initial)
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=options.rate, momentum=options.momentum, weight_decay=options.weight_decay)
    with torch.no_grad():
        before = loss_of(model(inputs), labels).item()
    generator = order_generator(options.seed, options.seed)
    order = list(range(len(labels)))
    curve = []
    for _ in range(options.epochs):
        generator.shuffle(order)
        total = 0.0
        for start in range(0, len(order), options.batch):
            chosen = torch.tensor(order[start : start + options.batch])
            optimizer.zero_grad()
            loss = loss_of(model(inputs[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
            curve.append(total / (start + len(chosen)))
    with torch.no_grad():
        after = loss_of(model(inputs), labels).item()

    worst = max((trained[name] - value).abs().max().item() for name, value in model.state_dict().items())
    rows = [
        ("loss before", ours["initialLoss"], before),
        ("loss of the last epoch", ours["metrics"]["loss"], curve[-1]),
        ("loss after", final["metrics"]["loss"], after),
    ]
    print(f"{'':24}{'muster-train':>14}{'PyTorch':>14}{'difference':>14}")
    for name, left, right in rows:
        print(f"{name:24}{left:14.6f}{right:14.6f}{abs(left - right):14.2e}")
    print(f"largest difference of a parameter: {worst:.2e}; PyTorch {torch.__version__}")
    if options.record:
        print("before, after:", repr(before), repr(after))
        print("running mean of the loss after every 18th batch:", [round(value, 6) for value in curve[17::18]])
    if any(abs(left - right) > 1e-3 for _, left, right in rows):
        sys.exit("the losses differ by more than 1e-3")


if __name__ == "__main__":
    main()
