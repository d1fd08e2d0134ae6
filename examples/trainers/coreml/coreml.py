"""LeNet-5 as an updatable Core ML model, and its parameters in and out of it."""

import coremltools as ct
import numpy as np
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder, SgdParams

LAYERS = ["conv1", "conv2", "fc1", "fc2", "fc3"]


def make(parameters, batch=8, rate=0.1, epochs=1):
    """The specification of an updatable model with these parameters (Muster's names and layouts)."""
    builder = NeuralNetworkBuilder([("x", datatypes.Array(1, 8, 8))], [("scores", datatypes.Array(10))], disable_rank5_shape_mapping=True)
    previous = "x"

    def unary(kind, name):
        nonlocal previous
        builder.add_activation(name, kind, previous, name)
        previous = name

    builder.add_expand_dims("batch", previous, "batched", [0])
    previous = "batched"
    for index, channels in ((1, 1), (2, 6)):
        weight = parameters[f"conv{index}.weight"]
        builder.add_convolution(
            f"conv{index}",
            channels,
            len(weight),
            3,
            3,
            1,
            1,
            "same",
            1,
            weight.transpose(2, 3, 1, 0),
            parameters[f"conv{index}.bias"],
            True,
            input_name=previous,
            output_name=f"conv{index}",
        )
        previous = f"conv{index}"
        unary("RELU", f"relu{index}")
        builder.add_pooling(f"pool{index}", 2, 2, 2, 2, "MAX", "VALID", previous, f"pool{index}")
        previous = f"pool{index}"
    builder.add_flatten_to_2d("flat", previous, "flat", axis=1)
    previous = "flat"
    for index in (1, 2, 3):
        weight = parameters[f"fc{index}.weight"]
        builder.add_inner_product(
            f"fc{index}", weight, parameters[f"fc{index}.bias"], weight.shape[1], weight.shape[0], True, previous, f"fc{index}"
        )
        previous = f"fc{index}"
        if index < 3:
            unary("RELU", f"relu{index + 2}")
    builder.add_squeeze("single", previous, "logits", [0])
    builder.add_softmax("softmax", "logits", "scores")
    builder.make_updatable(LAYERS)
    builder.set_categorical_cross_entropy_loss("loss", "scores")
    builder.set_sgd_optimizer(SgdParams(lr=rate, batch=batch, momentum=0))
    builder.set_epochs(epochs)
    return builder.spec


def _blocks(specification):
    """Muster's name, the place of the values and their shape, for each tensor."""
    for layer in specification.neuralNetwork.layers:
        kind = layer.WhichOneof("layer")
        if kind == "convolution":
            inner, shape = (
                layer.convolution,
                (layer.convolution.outputChannels, layer.convolution.kernelChannels, *layer.convolution.kernelSize),
            )
        elif kind == "innerProduct":
            inner, shape = layer.innerProduct, (layer.innerProduct.outputChannels, layer.innerProduct.inputChannels)
        else:
            continue
        # Stored as O×I×H×W and out×in, as Muster has them.
        yield f"{layer.name}.weight", inner.weights, tuple(shape)
        yield f"{layer.name}.bias", inner.bias, (shape[0],)


def parameters(specification):
    """The model's tensors by Muster's names."""
    return {name: np.array(block.floatValue, np.float32).reshape(shape) for name, block, shape in _blocks(specification)}


def load(specification, given):
    """Puts tensors into the model, in place."""
    for name, block, shape in _blocks(specification):
        if given[name].shape != shape:
            raise ValueError(f"{name} is {given[name].shape}, the model has {shape}")
        block.floatValue[:] = np.ascontiguousarray(given[name], np.float32).ravel().tolist()


def read(path):
    return ct.utils.load_spec(str(path))


def write(specification, path):
    ct.utils.save_spec(specification, str(path))
