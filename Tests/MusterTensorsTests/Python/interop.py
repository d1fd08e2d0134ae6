"""Writes a file with the real safetensors package, or checks one that Muster wrote.

interop.py write PATH             the tensors below
interop.py check PATH             the same tensors, with metadata {"written-by": "muster", "text": "é \\" \\n"}
interop.py bytes PATH OTHER       loads PATH and saves its float32 tensors again to OTHER
"""

import struct
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file


def tensors():
    return {
        "f64": np.array([[0.1, -2.5], [1e300, 5e-324]], dtype=np.float64),
        "f32": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
        "f16": np.array([0.1, 65504, -6e-8, 0], dtype=np.float16),
        "i64": np.array(-(2**62), dtype=np.int64),
        "i32": np.array([-(2**31), 2**31 - 1], dtype=np.int32),
        "i16": np.array([-32768, 12], dtype=np.int16),
        "i8": np.array([-128, 127, 3], dtype=np.int8),
        "u8": np.array([0, 255], dtype=np.uint8),
        "bool": np.array([True, False, True]),
        "empty": np.zeros((0, 5), dtype=np.float32),
        "ünï \"quoted\"\\": np.array([1.5], dtype=np.float32),
    }


def main(verb, path, other=None):
    if verb == "write":
        save_file(tensors(), path, metadata={"written-by": "python", "text": 'é " \n'})
    elif verb == "check":
        expected = tensors()
        with safe_open(path, framework="np") as file:
            assert file.metadata() == {"written-by": "muster", "text": 'é " \n'}, file.metadata()
            assert set(file.keys()) == set(expected) | {"bf16"}, file.keys()
            assert list(file.get_slice("bf16").get_shape()) == [3]
            assert file.get_slice("bf16").get_dtype() == "BF16"
            for name, value in expected.items():
                got = file.get_tensor(name)
                assert got.dtype == value.dtype and got.shape == value.shape, (name, got.dtype, got.shape)
                assert got.tobytes() == value.tobytes(), (name, got)
        # NumPy has no bfloat16, so this looks for the bytes in the file.
        with open(path, "rb") as file:
            raw = file.read()
        assert struct.pack("<3H", 0x3FC0, 0xC050, 0x7F7F) in raw
    elif verb == "bytes":
        save_file({name: value for name, value in load_file(path).items() if value.dtype == np.float32}, other)
    else:
        sys.exit(f"no such verb: {verb}")


main(*sys.argv[1:])
