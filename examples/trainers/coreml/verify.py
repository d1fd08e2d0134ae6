"""makes the updatable model, moves parameters both ways bit-exactly; training needs Apple's system

Run by ../verify coreml.
"""

import pathlib
import tempfile

import coreml
import numpy as np

from muster import models
from muster.contract import Model

LENET5 = Model("lenet5", (1, 8, 8), 10)


def same(left, right):
    return set(left) == set(right) and all(left[name].tobytes() == right[name].tobytes() for name in left)


def main():
    first, other = models.initial(LENET5, 1), models.initial(LENET5, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "lenet5.mlmodel"
        coreml.write(coreml.make(first), path)
        specification = coreml.read(path)
        assert specification.isUpdatable
        updatable = [layer.name for layer in specification.neuralNetwork.layers if layer.isUpdatable]
        assert updatable == coreml.LAYERS, updatable
        assert same(coreml.parameters(specification), first), "out of a file that was made with these parameters"
        coreml.load(specification, other)
        coreml.write(specification, path)
        assert same(coreml.parameters(coreml.read(path)), other), "in, written, read and out again"
        # Bits, not values: a negative zero and the smallest numbers stay, too.
        odd = {name: value.copy() for name, value in first.items()}
        odd["fc3.bias"][:3] = [-0.0, np.finfo(np.float32).tiny, np.float32(1e-45)]
        coreml.load(specification, odd)
        assert same(coreml.parameters(specification), odd)
        count = sum(value.size for value in first.values())
        print(f"lenet5.mlmodel: {path.stat().st_size} bytes, {count} parameters, updatable layers {', '.join(updatable)}")


if __name__ == "__main__":
    main()
