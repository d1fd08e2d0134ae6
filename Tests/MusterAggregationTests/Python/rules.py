"""Compares `muster aggregate` with every rule computed independently, in NumPy's float64, straight from the formulas.

    rules.py PATH-OF-MUSTER

Inputs are random, tied, single, tiny, huge and adversarial. A result may be 1e-6 off, relative to the largest of the number, the base's and
the third largest of the updates' (two may be hostile).
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

MUSTER = sys.argv[1] if len(sys.argv) > 1 else "muster"
SHAPES = {"conv.weight": (3, 2, 5, 5), "fc.bias": (11,), "fc.weight": (11, 307)}
SIZE = sum(int(np.prod(shape)) for shape in SHAPES.values())
checks = 0
failures = []


# The rules. `base` is w, `updates` holds the rows w_i in the order of their names, `weights` the n_i and `losses` the F_i.


def squared(matrix):
    return (matrix * matrix).sum(axis=-1)


def mean(base, updates, weights, **_):
    return weights / weights.sum() @ (updates - base)


def uniform(base, updates, **_):
    return (updates - base).mean(axis=0)


def median(base, updates, **_):
    return np.median(updates, axis=0) - base


def trimmed_mean(base, updates, beta, **_):
    drop = int(np.floor(round(beta * len(updates), 9)))
    return np.sort(updates, axis=0)[drop : len(updates) - drop].mean(axis=0) - base


def distances(updates):
    return np.array([squared(updates - row) for row in updates])


def krum_scores(gaps, left, f):
    inner = gaps[np.ix_(left, left)]
    return [np.sort(np.delete(row, i))[: max(0, len(left) - f - 2)].sum() for i, row in enumerate(inner)]


def multi_krum(base, updates, f, m=None, **_):
    n = len(updates)
    scores = krum_scores(distances(updates), list(range(n)), f)
    chosen = np.argsort(scores, kind="stable")[: n - f if m is None else m]
    return uniform(base, updates[chosen])


def krum(base, updates, f, **_):
    return multi_krum(base, updates, f, m=1)


def bulyan(base, updates, f, **_):
    n = len(updates)
    gaps, left, chosen = distances(updates), list(range(n)), []
    while len(chosen) < n - 2 * f:
        chosen.append(left.pop(int(np.argmin(krum_scores(gaps, left, f)))))
    picked = updates[sorted(chosen)]
    ordered = np.sort(picked, axis=0)
    nearest = np.argsort(np.abs(ordered - np.median(picked, axis=0)), axis=0, kind="stable")[: n - 4 * f]
    return np.take_along_axis(ordered, nearest, axis=0).mean(axis=0) - base


def geometric_median(base, updates, weights, nu=1e-6, **_):
    shares = weights / weights.sum()
    z = shares @ updates
    for _ in range(1000):
        pull = shares / np.maximum(nu, np.sqrt(squared(updates - z)))
        z = pull / pull.sum() @ updates
    return z - base


def q_fedavg(base, updates, losses, q=0.2, rate=0.1, **_):
    big = 1 / rate * (base - updates)
    scale = q * losses ** (q - 1) * squared(big) + 1 / rate * losses**q
    return -(losses**q @ big) / scale.sum()


def clip(base, updates, norm):
    differences = updates - base
    norms = np.sqrt(squared(differences))
    return base + differences * np.minimum(1, norm / np.where(norms > 0, norms, 1))[:, None]


def outliers(base, updates, k):
    norms = np.sqrt(squared(updates - base))
    gaps = np.abs(norms - np.median(norms))
    return gaps <= k * np.median(gaps) + 1e-12 * np.median(norms)


def replace(base, difference, state):
    return base + difference


def momentum(base, difference, state, rate=1, beta=0.9):
    state["v"] = beta * state.get("v", 0) + difference
    return base + rate * state["v"]


def adaptive(rule):
    def step(base, difference, state, rate=None, beta1=None, beta2=0.99, tau=1e-3):
        rate = (0.1 if rule == "adagrad" else 0.01) if rate is None else rate
        beta1 = (0 if rule == "adagrad" else 0.9) if beta1 is None else beta1
        v, square = state.get("v", np.zeros_like(base)), difference**2
        state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * difference
        if rule == "adagrad":
            v = v + square
        elif rule == "yogi":
            v = v - (1 - beta2) * square * np.sign(v - square)
        else:
            v = beta2 * v + (1 - beta2) * square
        state["v"] = v
        return base + rate * state["m"] / (np.sqrt(v) + tau)

    return step


COMBINERS = {
    "mean": mean, "uniform": uniform, "median": median, "trimmedMean": trimmed_mean, "krum": krum, "multiKrum": multi_krum,
    "bulyan": bulyan, "geometricMedian": geometric_median, "qFedAvg": q_fedavg,
}  # fmt: skip
OPTIMIZERS = {"replace": replace, "momentum": momentum} | {name: adaptive(name) for name in ("adagrad", "yogi", "adam")}


# The same rules, computed by the program from files.


def unpack(flat, dtype=np.float32):
    tensors, start = {}, 0
    for name, shape in SHAPES.items():
        tensors[name] = flat[start : start + int(np.prod(shape))].reshape(shape).astype(dtype)
        start += tensors[name].size
    return tensors


def pack(tensors):
    return np.concatenate([np.asarray(tensors[name], dtype=np.float64).ravel() for name in SHAPES])


def specification(filters, combiner, optimizer):
    def step(name, parameters):
        return {name: parameters} if parameters else name

    return json.dumps({"filters": [step(*f) for f in filters], "combiner": step(*combiner), "optimizer": step(*optimizer)})


def run(folder, strategy, updates, state=None):
    command = [MUSTER, "aggregate", "--strategy", strategy, "--global", "global.safetensors", "--out", "out.safetensors"]
    command += ["--output", "json", "--update", *updates]
    if state:
        command += ["--state-in", state[0]] if state[0] else []
        command += ["--state-out", state[1]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def check(label, base, updates, weights, combiner, *, filters=(), optimizer=("replace", {}), delta=False, dtype=np.float32, rounds=1):
    """Computes the whole strategy with NumPy and with `muster aggregate`, and compares the next models."""
    global checks
    checks += 1
    label = f"{label} {specification(filters, combiner, optimizer)}{' deltas' if delta else ''}{f' {rounds} rounds' if rounds > 1 else ''}"
    losses = 0.5 + np.arange(len(updates)) % 3
    base = base.astype(np.float32).astype(np.float64)
    with tempfile.TemporaryDirectory() as folder:
        state, states = {}, (None, "state-0")
        for number in range(rounds):
            save_file(unpack(base), f"{folder}/global.safetensors")
            moved = (updates + number * 0.25 * (updates[::-1] - base) if number else updates).astype(np.float32).astype(dtype)
            sent = (moved.astype(np.float64) - base).astype(np.float32) if delta else moved
            names = []
            for index, (row, weight) in enumerate(zip(sent, weights)):
                metadata = {"muster.content": "delta" if delta else "parameters", "muster.metrics": json.dumps({"initialLoss": losses[index]})}
                save_file(unpack(row, sent.dtype), f"{folder}/u{index:03}", metadata=metadata)
                names.append(f"u{index:03}:{float(weight)!r}")
            rows = sent.astype(np.float64) + base if delta else sent.astype(np.float64)
            counted, shares, fates = rows, np.array(weights, dtype=np.float64), losses
            for name, parameters in filters:
                if name == "clip":
                    counted = clip(base, counted, **parameters)
                else:
                    stays = outliers(base, counted, **parameters)
                    counted, shares, fates = counted[stays], shares[stays], fates[stays]
            difference = COMBINERS[combiner[0]](base, counted, weights=shares, losses=fates, **combiner[1])
            expected = OPTIMIZERS[optimizer[0]](base, difference, state, **optimizer[1])
            with_state = states if optimizer[0] != "replace" else None
            answer = run(folder, specification(filters, combiner, optimizer), reversed(names), with_state)
            states = (states[1], f"state-{number + 1}")
            if answer.returncode != 0:
                return failures.append(f"{label}: {answer.stderr.strip()}")
            got = pack(load_file(f"{folder}/out.safetensors"))
            scale = np.maximum(np.maximum(np.abs(expected), np.abs(base)), np.sort(np.abs(rows), axis=0)[-3:][0])
            off = np.abs(got - expected) / np.maximum(scale, 1e-38)
            if not off.max() <= 1e-6:
                return failures.append(f"{label}: off by {off.max():.2e} at {int(off.argmax())}, round {number + 1}")
            base = got


def rules(n):
    """Every combiner that can work with n updates, with some of its parameters."""
    yield ("mean", {})
    yield ("uniform", {})
    yield ("median", {})
    yield ("geometricMedian", {})
    for q, rate in ((0.0, 0.1), (1.0, 0.5), (2.5, 0.01)):
        yield ("qFedAvg", {"q": q, "rate": rate})
    for beta in (0.0, 0.1, 0.29, 0.45):
        if 2 * int(np.floor(round(beta * n, 9))) < n:
            yield ("trimmedMean", {"beta": beta})
    for f in (0, 1, 2, 3):
        if n >= 2 * f + 3:
            yield ("krum", {"f": f})
            yield ("multiKrum", {"f": f})
            yield ("multiKrum", {"f": f, "m": max(1, n // 3)})
        if n >= 4 * f + 3:
            yield ("bulyan", {"f": f})


# A combiner that rules(n) does not yield would not be compared.
assert {name for name, _ in rules(20)} == set(COMBINERS), set(COMBINERS) ^ {name for name, _ in rules(20)}


def main():
    random = np.random.default_rng(7)

    def cohort(n, spread=0.1, scale=1.0):
        base = random.normal(size=SIZE) * scale
        return base, base + random.normal(size=(n, SIZE)) * spread * scale, random.integers(1, 500, size=n).astype(float)

    for n in (1, 2, 3, 5, 8, 11, 20):
        base, updates, weights = cohort(n)
        for combiner in rules(n):
            check(f"random {n}", base, updates, weights, combiner)
    for n in (7, 12):
        base, updates, weights = cohort(n)
        for combiner in rules(n):
            check(f"random {n}", base, updates, weights, combiner, delta=True)
            check(f"half {n}", base, updates, weights, combiner, dtype=np.float16)
        # Whole numbers, many of them equal, and some equal updates, so that distances tie exactly.
        updates = base.round() + random.integers(-2, 3, size=(n, SIZE))
        updates[1] = updates[0]
        updates[5] = updates[4] = updates[3]
        for combiner in rules(n):
            check(f"tied {n}", base.round(), updates, np.full(n, 10.0), combiner)
            check(f"equal {n}", base, np.repeat(base[None] + 0.5, n, axis=0), weights, combiner)
            check(f"unmoved {n}", base, np.repeat(base[None], n, axis=0), weights, combiner)
        for scale in (1e-30, 1e12, 1e30) if n == 7 else ():
            base, updates, weights = cohort(n, scale=scale)
            for combiner in rules(n):
                check(f"scale {scale:g} {n}", base, updates, weights, combiner)
        # The first and the last update are hostile, the others take tiny steps.
        base, updates, weights = cohort(n, spread=1e-3)
        for name, factor in (("flipped", -10.0), ("far", 1e8), ("huge", 1e30)):
            hostile = updates.copy()
            hostile[[0, n - 1]] = base + factor * (updates[[0, n - 1]] - base)
            for combiner in rules(n):
                check(f"{name} {n}", base, hostile, weights, combiner)
        uneven = np.full(n, 1e-6)
        uneven[2] = 1e9
        for combiner in (("mean", {}), ("geometricMedian", {})):
            check(f"uneven weights {n}", base, updates, uneven, combiner)

    base, updates, weights = cohort(9)
    updates[3] = base + 30 * (updates[3] - base)
    norm = float(np.sqrt(squared(updates[0] - base)))
    filters = [[("clip", {"norm": norm / 2})], [("clip", {"norm": norm * 10})], [("outliers", {"k": 3.0})]]
    filters += [[("outliers", {"k": 2.0}), ("clip", {"norm": norm})], [("clip", {"norm": norm}), ("outliers", {"k": 4.0})]]
    for chain, name in itertools.product(filters, ("mean", "median", "trimmedMean", "krum", "geometricMedian", "qFedAvg")):
        parameters = {"trimmedMean": {"beta": 0.2}, "krum": {"f": 1}}.get(name, {})
        check("filtered", base, updates, weights, (name, parameters), filters=chain)
        check("filtered", base, updates, weights, (name, parameters), filters=chain, delta=True)

    steps = [("momentum", {}), ("momentum", {"rate": 0.5, "beta": 0.0}), ("adam", {"tau": 1e-8, "rate": 0.1}), ("yogi", {"beta1": 0.5})]
    steps += [(name, {}) for name in ("adagrad", "yogi", "adam")]
    for optimizer, combiner in itertools.product(steps, (("mean", {}), ("median", {}), ("krum", {"f": 1}))):
        check("optimizer", base, updates, weights, combiner, optimizer=optimizer, rounds=4)

    print(f"{checks} comparisons, {len(failures)} wrong")
    for failure in failures[:40]:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
