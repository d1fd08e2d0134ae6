"""LeNet-5 in JAX: the step is compiled once for each size of batch, and stays compiled while the trainer is resident."""

import os

# One thread, as the agent's budget says; read when JAX is imported.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np

import muster


def convolve(x, weight, bias):
    y = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return jax.nn.relu(y + bias[:, None, None])


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def forward(p, x):
    x = pool(convolve(x, p["conv1.weight"], p["conv1.bias"]))
    x = pool(convolve(x, p["conv2.weight"], p["conv2.bias"]))
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ p["fc1.weight"].T + p["fc1.bias"])
    x = jax.nn.relu(x @ p["fc2.weight"].T + p["fc2.bias"])
    return x @ p["fc3.weight"].T + p["fc3.bias"]


def score(p, x, y):
    """Mean loss, and how many are right."""
    scores = forward(p, x)
    losses = -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1)
    return losses.mean(), (scores.argmax(1) == y).sum()


@jax.jit
def step(p, x, y, rate):
    (loss, correct), gradients = jax.value_and_grad(score, has_aux=True)(p, x, y)
    return jax.tree.map(lambda value, slope: value - rate * slope, p, gradients), loss, correct


score_once = jax.jit(score)


def measure(p, x, y):
    loss, correct = score_once(p, x, y)
    return {"loss": float(loss), "accuracy": float(correct) / len(y)}


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    task.local.only()
    x, y = context.data()
    p = {name: jnp.asarray(value) for name, value in parameters.items()}
    before = measure(p, x, y)
    batches = context.batches(len(y))
    for rows in batches:
        p, loss, correct = step(p, x[rows], y[rows], task.local.rate)
        batches.add(loss, correct)
    return muster.Update({name: np.asarray(value) for name, value in p.items()}, len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    x, y = context.data()
    return muster.Evaluation(len(y), measure(parameters, x, y))
