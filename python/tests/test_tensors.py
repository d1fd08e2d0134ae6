"""Reading and writing model files."""

import numpy
import pytest
from safetensors import SafetensorError

from muster import Tensors, TrainerError, tensors


def test_arrays_that_are_not_contiguous_are_written_right(tmp_path):
    """safetensors writes the memory in its order and ignores the strides."""
    array = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    odd = {
        "t": array.T,
        "s": numpy.arange(10, dtype=numpy.float32)[::3],
        "f": numpy.asfortranarray(array),
        "v": array[:, 1:],
        "n": numpy.array(3),
    }
    tensors.save(odd, tmp_path / "m.safetensors")
    back = tensors.load(tmp_path / "m.safetensors")
    assert all(numpy.array_equal(back[name], odd[name]) and back[name].shape == odd[name].shape for name in odd)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.safetensors"
    tensors.save({"w": numpy.zeros(3, numpy.float32)}, path)
    with pytest.raises((TypeError, KeyError, ValueError, SafetensorError)):
        tensors.save({"w": numpy.array(["text"], dtype=object)}, path)
    assert tensors.load(path)["w"].tolist() == [0, 0, 0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]


def test_tensors_come_in_the_order_of_their_names(tmp_path):
    """The order is not that of the layers. A trainer that needs an order must take it from the model."""
    tensors.save({name: numpy.zeros(1, numpy.float32) for name in ("fc2", "conv1", "fc10")}, tmp_path / "m.safetensors")
    assert list(tensors.load(tmp_path / "m.safetensors")) == ["conv1", "fc10", "fc2"]


def test_bfloat16_needs_ml_dtypes_and_says_so(tmp_path, monkeypatch):
    import json
    import struct
    import sys

    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes([0x80, 0x3F, 0x00, 0xC0]))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(TrainerError, match="pip install ml_dtypes"):
        tensors.load(path)
    monkeypatch.undo()
    pytest.importorskip("ml_dtypes")
    loaded = tensors.load(path)
    assert loaded["w"].astype(numpy.float32).tolist() == [1, -2]
    assert tensors.problems(loaded, loaded) == []
    loaded["w"][0] = float("inf")
    assert "not finite" in tensors.problems(loaded, None)[0]
    tensors.save(tensors.load(path), tmp_path / "again.safetensors")
    assert tensors.load(tmp_path / "again.safetensors")["w"].tobytes() == bytes([0x80, 0x3F, 0x00, 0xC0])


def test_what_is_read_may_be_written_to(tmp_path):
    tensors.save({"w": numpy.zeros(3, numpy.float32)}, tmp_path / "m.safetensors")
    loaded = tensors.load(tmp_path / "m.safetensors")
    loaded["w"] += 1
    assert loaded["w"].sum() == 3


def test_damaged_files_are_said(tmp_path):
    path = tmp_path / "m.safetensors"
    for content in (b"", b"short", b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(TrainerError, match="m.safetensors"):
            tensors.load(path)


def test_integers_and_booleans_are_always_finite():
    assert tensors.problems({"i": numpy.array([1]), "b": numpy.array([True])}, None) == []


def metadata(path):
    import json

    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]).get("__metadata__")


def test_buffers_are_declared_unless_their_names_say_it(tmp_path):
    one = numpy.ones(1, numpy.float32)
    path = tmp_path / "m.safetensors"
    for buffers, written in (
        (None, None),
        (["bn.running_var"], None),
        (["ema", "bn.running_var"], {"muster.buffers": '["bn.running_var","ema"]'}),
        ([], {"muster.buffers": "[]"}),
    ):
        tensors.save(Tensors({"w": one, "ema": one, "bn.running_var": one}, buffers), path)
        assert metadata(path) == written
        assert tensors.load(path).buffers == tuple(sorted(["bn.running_var"] if buffers is None else buffers))
    tensors.save({"w": one, "bn.running_var": one}, path)
    assert metadata(path) is None and tensors.load(path).buffers == ("bn.running_var",)


def test_a_buffer_that_is_not_a_tensor_is_refused():
    problems = tensors.problems(Tensors({"w": numpy.ones(1, numpy.float32)}, ["ema"]), None)
    assert problems == ["ema is declared as a buffer, but is not a tensor of the model"]


def test_a_declaration_that_is_not_understood_is_an_error(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": numpy.ones(1, numpy.float32)}, str(tmp_path / "m"), {"muster.buffers": "ema"})
    with pytest.raises(TrainerError, match="muster.buffers is not a JSON array of names"):
        tensors.load(tmp_path / "m")
