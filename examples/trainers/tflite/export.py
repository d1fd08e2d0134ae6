"""Writes lenet5.tflite: LeNet-5 with signatures train, evaluate, get and set, of built-in operators only.

Runs off the device: needs tensorflow-cpu (`pip install tensorflow-cpu==2.21.0`). The device needs the interpreter alone.
TensorFlow Lite has no operators for the backward passes of convolution, ReLU and pooling without Flex, so the model uses what
differentiates into built-in ones: convolution as slices and a matrix product, ReLU as x · [x > 0], max-pooling by the one-hot of an argmax.

    python export.py [--batch 8] [--output lenet5.tflite]
"""

import argparse
import tempfile

import tensorflow as tf

SHAPES = {
    "conv1.weight": (6, 1, 3, 3),
    "conv1.bias": (6,),
    "conv2.weight": (16, 6, 3, 3),
    "conv2.bias": (16,),
    "fc1.weight": (120, 64),
    "fc1.bias": (120,),
    "fc2.weight": (84, 120),
    "fc2.bias": (84,),
    "fc3.weight": (10, 84),
    "fc3.bias": (10,),
}


def relu(x):
    return x * tf.stop_gradient(tf.cast(x > 0, tf.float32))


def convolve(x, weight, bias):
    """Channels last; the weight is PyTorch's, O×I×H×W."""
    n, h, w, c = x.shape
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    # slice, not padded[…]: the gradient of a strided slice is no built-in operator.
    # I varies slower than the place in the kernel, as in the weight.
    parts = [tf.slice(padded, [0, i, j, 0], [n, h, w, c]) for i in range(3) for j in range(3)]
    columns = tf.reshape(tf.stack(parts, axis=-1), [n * h * w, c * 9])
    rows = tf.matmul(columns, tf.reshape(weight, [weight.shape[0], c * 9]), transpose_b=True)
    return tf.reshape(rows, [n, h, w, weight.shape[0]]) + bias


def pool(x):
    n, h, w, c = x.shape
    quads = tf.reshape(tf.transpose(tf.reshape(x, [n, h // 2, 2, w // 2, 2, c]), [0, 1, 3, 5, 2, 4]), [n, h // 2, w // 2, c, 4])
    first = tf.stop_gradient(tf.one_hot(tf.argmax(quads, -1), 4))
    return tf.reduce_sum(quads * first, -1)


class LeNet5(tf.Module):
    def __init__(self):
        super().__init__()
        self.values = {name: tf.Variable(tf.zeros(shape), name=name.replace(".", "_")) for name, shape in SHAPES.items()}

    def forward(self, x):
        v = self.values
        x = tf.transpose(x, [0, 2, 3, 1])
        x = pool(relu(convolve(x, v["conv1.weight"], v["conv1.bias"])))
        x = pool(relu(convolve(x, v["conv2.weight"], v["conv2.bias"])))
        # Channels first before flattening: fc1's weights are ordered like that.
        x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [x.shape[0], 64])
        x = relu(tf.matmul(x, v["fc1.weight"], transpose_b=True) + v["fc1.bias"])
        x = relu(tf.matmul(x, v["fc2.weight"], transpose_b=True) + v["fc2.bias"])
        return tf.matmul(x, v["fc3.weight"], transpose_b=True) + v["fc3.bias"]

    def score(self, x, y, weights):
        """Sums over the samples that count: of their losses, and of those that are right."""
        scores = self.forward(x)
        top = tf.stop_gradient(tf.reduce_max(scores, -1, keepdims=True))
        logarithms = scores - top - tf.math.log(tf.reduce_sum(tf.exp(scores - top), -1, keepdims=True))
        loss = tf.reduce_sum(-tf.reduce_sum(tf.one_hot(y, 10) * logarithms, -1) * weights)
        correct = tf.cast(tf.equal(tf.argmax(scores, -1, output_type=tf.int32), y), tf.float32)
        return loss, tf.reduce_sum(correct * weights)

    def train(self, x, y, weights, rate):
        with tf.GradientTape() as tape:
            loss, correct = self.score(x, y, weights)
            mean = loss / tf.reduce_sum(weights)
        slopes = tape.gradient(mean, list(self.values.values()))
        for variable, slope in zip(self.values.values(), slopes):
            variable.assign(variable - rate * slope)
        return {"loss": loss, "correct": correct}

    def evaluate(self, x, y, weights):
        loss, correct = self.score(x, y, weights)
        return {"loss": loss, "correct": correct}

    def get(self):
        return {name.replace(".", "_"): variable.read_value() for name, variable in self.values.items()}

    def set(self, **given):
        for name, variable in self.values.items():
            variable.assign(given[name.replace(".", "_")])
        return {"done": tf.constant(1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="samples of one step: fixed, smaller batches are filled up")
    parser.add_argument("--output", default="lenet5.tflite")
    options = parser.parse_args()
    model = LeNet5()
    samples = [
        tf.TensorSpec([options.batch, 1, 8, 8], tf.float32, "x"),
        tf.TensorSpec([options.batch], tf.int32, "y"),
        tf.TensorSpec([options.batch], tf.float32, "weights"),
    ]
    tensors = {name.replace(".", "_"): tf.TensorSpec(shape, tf.float32, name.replace(".", "_")) for name, shape in SHAPES.items()}
    signatures = {
        "train": tf.function(model.train).get_concrete_function(*samples, tf.TensorSpec([], tf.float32, "rate")),
        "evaluate": tf.function(model.evaluate).get_concrete_function(*samples),
        "get": tf.function(model.get).get_concrete_function(),
        "set": tf.function(model.set).get_concrete_function(**tensors),
    }
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(model, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        data = converter.convert()
    with open(options.output, "wb") as file:
        file.write(data)
    print(f"{options.output}: {len(data)} bytes, batch {options.batch}")


if __name__ == "__main__":
    main()
