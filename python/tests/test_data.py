"""Data, order of samples and first models are the same as in the built-in trainer."""

import gzip
import json
import os
import subprocess

import numpy
import pytest
from conftest import MODEL, ROOT, write_idx

from muster import Batches, Local, TrainerError, data, models
from muster.contract import Model
from muster.random import SplitMix64

DIGITS = {
    "format": "idx",
    "images": str(ROOT / "examples/digits/data/train-images-idx3-ubyte.gz"),
    "labels": str(ROOT / "examples/digits/data/train-labels-idx1-ubyte.gz"),
}

IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
RECORD = bytes([5]) * 3072


def test_the_generator_gives_the_published_numbers():
    # The first numbers of seed 1234567, from the reference implementation.
    generator = SplitMix64(1234567)
    assert [generator.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_many_numbers_at_once_are_the_same_numbers():
    one, many = SplitMix64(2**64 - 3), SplitMix64(2**64 - 3)
    assert numpy.array_equal(many.units(10), [one.unit() for _ in range(10)])
    assert many.next() == one.next()


def test_every_epoch_has_each_sample_once_in_another_order():
    batches = Batches(21, Local(epochs=3, batch=8), seed=5)
    epochs = [numpy.concatenate(list(epoch)) for epoch in batches.epochs()]
    assert len(epochs) == 3
    assert all(sorted(epoch) == list(range(21)) for epoch in epochs)
    assert not numpy.array_equal(epochs[0], epochs[1])
    again = list(Batches(21, Local(epochs=3, batch=8), seed=5))
    assert [len(rows) for rows in again] == [8, 8, 5] * 3
    assert numpy.array_equal(numpy.concatenate(again), numpy.concatenate(epochs))


def test_metrics_are_means_over_the_samples_of_the_last_epoch():
    batches = Batches(10, Local(epochs=2, batch=8), seed=5)
    for number, rows in enumerate(batches):
        batches.add(number, len(rows) / 2, distance=3 * len(rows))
    assert batches.metrics() == pytest.approx({"loss": (2 * 8 + 3 * 2) / 10, "accuracy": 0.5, "distance": 3})


def test_no_epochs_give_no_batches():
    assert list(Batches(10, Local(epochs=0), seed=1)) == []


@pytest.mark.parametrize(
    "model, count",
    [
        (Model("lenet5", (1, 8, 8), 10), 19754),
        (Model("lenet5", (1, 28, 28), 10), 61706),
        (Model("softmax", (64,), 10), 650),
        (Model("mlp", (1, 8, 8), 10, (32,)), 2410),
    ],
)
def test_built_in_models_have_as_many_parameters_as_documented(model, count):
    assert sum(value.size for value in models.initial(model, 1).values()) == count


def test_impossible_models_are_refused():
    for model in (Model("lenet5", (1, 9, 9), 10), Model("lenet5"), Model("bert", (1, 8, 8), 10)):
        with pytest.raises(TrainerError):
            models.schema(model)


@pytest.mark.parametrize("kind, more", [("iid", {}), ("shards", {}), ("dirichlet", {"alpha": 0.5}), ("dirichlet", {"alpha": 0.001})])
def test_parts_are_disjoint_and_together_the_whole(kind, more):
    _, labels = data.load(DIGITS)
    parts = [data.partition({kind: {"of": 8, "index": index, "seed": 3, **more}}, labels) for index in range(8)]
    assert sorted(numpy.concatenate(parts)) == list(range(len(labels)))
    assert all(len(part) for part in parts)


VECTORS = json.loads((ROOT / "python/tests/partitions.json").read_text())


@pytest.mark.parametrize("part", VECTORS["parts"], ids=lambda part: json.dumps(part["partition"]))
def test_a_split_is_the_built_in_trainers_to_the_last_sample(part):
    # What the Swift side gave, which tests itself against the same file.
    assert data.partition(part["partition"], numpy.array(VECTORS["labels"])).tolist() == part["positions"]


def test_data_is_read_once_as_long_as_the_files_stay(tmp_path):
    write_idx(tmp_path / "x", numpy.zeros((3, 2, 2)))
    write_idx(tmp_path / "y", [0, 1, 2])
    configuration = {"format": "idx", "images": str(tmp_path / "x"), "labels": str(tmp_path / "y")}
    first = data.load(configuration)[0]
    assert first.shape == (3, 1, 2, 2) and first.dtype == numpy.float32
    assert data.load(dict(configuration))[0] is first
    write_idx(tmp_path / "x", numpy.full((3, 2, 2), 255))
    os.utime(tmp_path / "x", (1, 1))
    assert data.load(configuration)[0].max() == 1


def test_csv_and_cifar(tmp_path):
    (tmp_path / "a.csv").write_text("height,kind,width\n1,cat,2\n3,dog,4\n")
    x, y = data.load({"format": "csv", "file": str(tmp_path / "a.csv"), "label": "kind", "classNames": ["dog", "cat"], "scale": 2})
    assert x.tolist() == [[0.5, 1], [1.5, 2]] and y.tolist() == [1, 0]
    record = bytes([7]) + bytes(range(256)) * 12
    (tmp_path / "batch").write_bytes(gzip.compress(record * 2))
    x, y = data.load({"format": "cifar10", "files": [str(tmp_path / "batch")]})
    assert x.shape == (2, 3, 32, 32) and y.tolist() == [7, 7]


@pytest.mark.parametrize(
    "configuration, reason",
    [
        (None, "no data"),
        ({"format": "wav"}, "unknown format"),
        ({"format": "idx"}, "needs 'images'"),
        ({"format": "idx", "images": "/nowhere", "labels": "/nowhere"}, "/nowhere: cannot be read"),
        ({**DIGITS, "partition": {"iid": {"of": 2, "index": 2}}}, "part 2 of 2 does not exist"),
        ({**DIGITS, "partition": {"iid": {"of": 2000, "index": 0}}}, "cannot be shared among 2000 nodes"),
        ({**DIGITS, "partition": {"shards": {"of": 800, "index": 0}}}, "do not fit 1437 samples"),
        ({**DIGITS, "partition": {"dirichlet": {"of": 2, "index": 0}}}, "needs 'alpha'"),
        ({**DIGITS, "partition": {"dirichlet": {"of": 2, "index": 0, "alpha": 0}}}, "alpha must be more than 0"),
        ({**DIGITS, "partition": {"range": {"from": 5, "to": 5}}}, "is empty"),
        ({**DIGITS, "partition": {"odd": {}}}, "unknown partition"),
        ({**DIGITS, "partition": {"range": {"from": 0, "to": 1.5}}}, "`to` must be a whole number, got 1.5"),
        ({**DIGITS, "partition": {"iid": {"of": "2", "index": 0}}}, "`of` must be a whole number, got '2'"),
        ({**DIGITS, "partition": {"iid": {"of": 2, "index": True}}}, "`index` must be a whole number, got True"),
        ({**DIGITS, "partition": {"iid": {"of": 2, "index": 0, "seed": -1}}}, "`seed` must be 0 or more, got -1"),
        ({**DIGITS, "images": DIGITS["labels"]}, "has 1 dimensions, expected 2 to 4: is it the right file?"),
    ],
)
def test_wrong_data_is_said(configuration, reason):
    with pytest.raises(TrainerError) as caught:
        data.load(configuration)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "images, reason",
    [
        (b"", "is truncated: its header"),
        (bytes([0, 0, 8, 3]), "is truncated: its header should have 12 bytes, but only 0"),
        (IMAGES[:-1], "is truncated: 2×1×3 values should have 6 bytes, but only 5"),
        (IMAGES + b"\0", "more data than its header says"),
        (bytes([0, 0, 8, 3, *[255] * 12]), "is truncated"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3]), "holds no samples"),
        (bytes([0, 0, 13, 3]) + IMAGES[4:], "IDX type 13"),
        (bytes([1, 0, 8, 3]) + IMAGES[4:], "is not an IDX file"),
        (gzip.compress(IMAGES)[:-9], "truncated"),
        (gzip.compress(IMAGES)[:12] + b"zzzz" + gzip.compress(IMAGES)[16:], "damaged"),
    ],
)
def test_truncated_and_lying_idx_files_are_refused_with_the_reason(tmp_path, images, reason):
    (tmp_path / "x").write_bytes(images)
    write_idx(tmp_path / "y", [7, 9])
    with pytest.raises(TrainerError) as caught:
        data.load({"format": "idx", "images": str(tmp_path / "x"), "labels": str(tmp_path / "y")})
    assert str(caught.value).startswith(f"{tmp_path}/x: ") and reason in str(caught.value)


@pytest.mark.parametrize(
    "files, reason",
    [
        ([], "`files` is empty"),
        ([b""], "one-0: is empty"),
        ([bytes([3]) + RECORD, bytes([10]) + RECORD], "one-1: record 0 has the label 10 instead of 0 to 9"),
        # Together as long as whole records.
        ([bytes([3]) + RECORD[:-1], bytes([3, 0]) + RECORD], "one-0: is truncated: record 0 has 3072 of 3073 bytes"),
    ],
)
def test_every_file_of_cifar_must_hold_whole_records_of_ten_classes(tmp_path, files, reason):
    paths = [tmp_path / f"one-{index}" for index in range(len(files))]
    for path, contents in zip(paths, files):
        path.write_bytes(contents)
    with pytest.raises(TrainerError) as caught:
        data.load({"format": "cifar10", "files": [str(path) for path in paths]})
    assert reason in str(caught.value)


def test_a_class_that_the_model_does_not_know_is_refused_also_when_the_data_is_in_memory():
    assert len(data.load(DIGITS, 10)[1]) == 1437
    for _ in range(2):
        with pytest.raises(TrainerError, match="it has a sample of class 9, but the model's classes are 0 to 8"):
            data.load(DIGITS, 9)


PROGRAM = next(
    (
        f"{folder}/muster-train"
        for folder in (os.environ.get("MUSTER_BIN", ""), ROOT / ".build/release", ROOT / ".build/debug")
        if os.access(f"{folder}/muster-train", os.X_OK)
    ),
    None,
)


@pytest.mark.skipif(PROGRAM is None, reason="muster-train is not built")
@pytest.mark.parametrize(
    "partition",
    [
        {"iid": {"of": 5, "index": 3, "seed": 9}},
        {"shards": {"of": 5, "index": 3, "perNode": 3, "seed": 9}},
        {"dirichlet": {"of": 5, "index": 3, "alpha": 0.3, "seed": 9}},
        {"range": {"from": 10, "to": 210}},
    ],
)
def test_muster_train_takes_the_same_steps(tmp_path, partition):
    """With the same first model, data and order, NumPy's losses are those of the built-in trainer."""
    from conftest import load_example
    from safetensors.numpy import load_file

    from muster.context import Context
    from muster.contract import Task

    task = {
        "contract": 1,
        "job": "initialize",
        "task": "t",
        "round": 0,
        "seed": 2**53 - 1,
        "model": MODEL,
        "local": {"epochs": 2, "batch": 8, "rate": 0.05, "seed": 3},
        "data": {**DIGITS, "partition": partition},
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    subprocess.run([PROGRAM, str(tmp_path)], check=True, capture_output=True)
    first = load_file(tmp_path / "global.safetensors")
    ours = models.initial(Task.parse(task).model, task["seed"])
    assert all(ours[name].tobytes() == first[name].tobytes() for name in first)
    (tmp_path / "task.json").write_text(json.dumps({**task, "job": "train"}))
    subprocess.run([PROGRAM, str(tmp_path)], check=True, capture_output=True)
    theirs = json.loads((tmp_path / "metrics.json").read_text())
    parsed = Task.parse({**task, "job": "train"})
    update = load_example("numpy").train(parsed, ours, Context(parsed, tmp_path, lambda line: None))
    assert update.samples == theirs["samples"]
    assert update.metrics["loss"] == pytest.approx(theirs["metrics"]["loss"], abs=1e-5)
    assert update.initial_loss == pytest.approx(theirs["initialLoss"], abs=1e-5)
