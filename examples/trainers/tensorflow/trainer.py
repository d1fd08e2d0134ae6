"""LeNet-5 in Keras on TensorFlow."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf

import muster
from muster.adapters import keras as bridge

tf.config.threading.set_intra_op_parallelism_threads(muster.threads())
tf.config.threading.set_inter_op_parallelism_threads(1)

layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, padding="same", activation="relu", name="conv2"),
        layers.MaxPooling2D(2),
        # Flattened as PyTorch does it, channels first, so that fc1's weights mean the same.
        layers.Permute((3, 1, 2)),
        layers.Flatten(),
        layers.Dense(120, activation="relu", name="fc1"),
        layers.Dense(84, activation="relu", name="fc2"),
        layers.Dense(10, name="fc3"),
    ]
)


def score(x, y):
    scores = model(x, training=True)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, scores)
    return tf.reduce_mean(losses), tf.reduce_sum(tf.cast(tf.argmax(scores, 1) == y, tf.int32))


# Any number of samples: else each size of batch would be traced anew.
SAMPLES = [tf.TensorSpec([None, 8, 8, 1], tf.float32), tf.TensorSpec([None], tf.int64)]


@tf.function(input_signature=[*SAMPLES, tf.TensorSpec([], tf.float32)])
def step(x, y, rate):
    with tf.GradientTape() as tape:
        loss, correct = score(x, y)
    for variable, slope in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
        variable.assign(variable - rate * slope)
    return loss, correct


score_once = tf.function(score, input_signature=SAMPLES)


def samples(context):
    x, y = context.data()
    return x.transpose(0, 2, 3, 1), y


def measure(x, y):
    loss, correct = score_once(x, y)
    return {"loss": float(loss), "accuracy": float(correct) / len(y)}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    task.local.only()
    bridge.load(model, parameters)
    x, y = samples(context)
    before = measure(x, y)
    batches = context.batches(len(y))
    for rows in batches:
        batches.add(*step(x[rows], y[rows], task.local.rate))
    return muster.Update(bridge.parameters(model), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    bridge.load(model, parameters)
    x, y = samples(context)
    return muster.Evaluation(len(y), measure(x, y))
