"""Compares `muster aggregate` on models with buffers (batch normalization's running statistics) with NumPy's float64.

    buffers.py PATH-OF-MUSTER

The parameters follow the rule, computed by rules.py from the parameters alone. A buffer is the mean of the updates' values, with the rule's own
choice or shares; it is never stepped, clipped or counted in a norm.
"""

import itertools
import json
import sys
import tempfile

import numpy as np
import rules
from safetensors.numpy import load_file, save_file

SHAPES = {"bn.running_mean": (5,), "bn.running_var": (5,), "counter": (3,), "fc.weight": (5, 37)}
COUNT = "bn.num_batches_tracked"
BUFFERS = ["bn.running_mean", "bn.running_var", "counter"]
PARAMETERS = 5 * 37
STATE = 13
checks = 0
failures = []


def shares(updates, weights, nu=1e-6):
    """The shares of the geometric median, computed from the parameters alone."""
    part = weights / weights.sum()
    z = part @ updates
    for _ in range(1000):
        pull = part / np.maximum(nu, np.sqrt(rules.squared(updates - z)))
        z = pull / pull.sum() @ updates
    return pull / pull.sum()


def order(updates, f):
    scores = rules.krum_scores(rules.distances(updates), list(range(len(updates))), f)
    return np.argsort(scores, kind="stable")


def bulyan(updates, said, f):
    gaps, left, chosen = rules.distances(updates), list(range(len(updates))), []
    while len(chosen) < len(updates) - 2 * f:
        chosen.append(left.pop(int(np.argmin(rules.krum_scores(gaps, left, f)))))
    ordered = np.sort(said[sorted(chosen)], axis=0)
    nearest = np.argsort(np.abs(ordered - np.median(ordered, axis=0)), axis=0, kind="stable")[: len(updates) - 4 * f]
    return np.take_along_axis(ordered, nearest, axis=0).mean(axis=0)


def buffers(name, updates, said, weights, beta=0.1, f=1, m=None, **_):
    """The next model's buffers. `said` holds the buffers of each update as a row, `updates` the parameters."""
    n = len(said)
    if name == "mean":
        return weights / weights.sum() @ said
    if name in ("uniform", "qFedAvg"):
        return said.mean(axis=0)
    if name == "median":
        return np.median(said, axis=0)
    if name == "trimmedMean":
        drop = int(np.floor(round(beta * n, 9)))
        return np.sort(said, axis=0)[drop : n - drop].mean(axis=0)
    if name == "krum":
        return said[order(updates, f)[0]]
    if name == "multiKrum":
        return said[order(updates, f)[: n - f if m is None else m]].mean(axis=0)
    if name == "bulyan":
        return bulyan(updates, said, f)
    return shares(updates, weights) @ said


def unpack(parameters, state, batches):
    return {
        "bn.running_mean": state[:5].astype(np.float32),
        "bn.running_var": state[5:10].astype(np.float32),
        "counter": state[10:].astype(np.float32),
        "fc.weight": parameters.reshape(5, 37).astype(np.float32),
        COUNT: np.array(batches, dtype=np.int64),
    }


def check(label, base, updates, state, said, weights, combiner, *, filters=(), optimizer=("replace", {}), delta=False, rounds=3):
    global checks
    checks += 1
    label = f"{label} {rules.specification(filters, combiner, optimizer)}{' deltas' if delta else ''}"
    losses = 0.5 + np.arange(len(updates)) % 3
    base, state = (row.astype(np.float32).astype(np.float64) for row in (base, state))
    metadata = {"muster.buffers": json.dumps(BUFFERS + [COUNT])}
    with tempfile.TemporaryDirectory() as folder:
        memory, states = {}, (None, "state-0")
        for number in range(rounds):
            save_file(unpack(base, state, 5), f"{folder}/global.safetensors", metadata=metadata)
            moved = (updates + number * 0.25 * (updates[::-1] - base)).astype(np.float32).astype(np.float64)
            exact = said.astype(np.float32).astype(np.float64)
            # The update holds the difference rounded to float32.
            told = (exact - state).astype(np.float32).astype(np.float64) + state if delta else exact
            names = []
            for index, weight in enumerate(weights):
                header = {"muster.content": "delta" if delta else "parameters", "muster.metrics": json.dumps({"initialLoss": losses[index]})}
                sent = unpack(moved[index] - base if delta else moved[index], exact[index] - state if delta else exact[index], 12)
                save_file(sent, f"{folder}/u{index:03}", metadata=header)
                names.append(f"u{index:03}:{float(weight)!r}")
            rows = (moved - base).astype(np.float32).astype(np.float64) + base if delta else moved
            counted, heard, parts, fates = rows, told, np.array(weights, dtype=np.float64), losses
            for name, parameters in filters:
                if name == "clip":
                    counted = rules.clip(base, counted, **parameters)
                else:
                    stays = rules.outliers(base, counted, **parameters)
                    counted, heard, parts, fates = counted[stays], heard[stays], parts[stays], fates[stays]
            difference = rules.COMBINERS[combiner[0]](base, counted, weights=parts, losses=fates, **combiner[1])
            expected = rules.OPTIMIZERS[optimizer[0]](base, difference, memory, **optimizer[1])
            expected_state = buffers(combiner[0], counted, heard, parts, **combiner[1])
            with_state = states if optimizer[0] != "replace" else None
            answer = rules.run(folder, rules.specification(filters, combiner, optimizer), names, with_state)
            states = (states[1], f"state-{number + 1}")
            if answer.returncode != 0:
                return failures.append(f"{label}: {answer.stderr.strip()}")
            got = load_file(f"{folder}/out.safetensors")
            flat = np.concatenate([got[name].astype(np.float64).ravel() for name in BUFFERS])
            for what, own, right in (("parameters", got["fc.weight"].astype(np.float64).ravel(), expected), ("buffers", flat, expected_state)):
                off = np.abs(own - right) / np.maximum(1e-3, np.abs(right))
                if not off.max() <= 2e-6:
                    return failures.append(f"{label}: {what} off by {off.max():.2e} in round {number + 1}")
            if (flat[5:10] < heard[:, 5:10].min(axis=0)).any():
                return failures.append(f"{label}: a variance is below what every update says, in round {number + 1}")
            if got[COUNT] != 5:
                return failures.append(f"{label}: the integer buffer is {got[COUNT]}, not the base's")
            if with_state and any("bn." in name or "counter" in name for name in load_file(f"{folder}/{states[0]}")):
                return failures.append(f"{label}: the optimizer remembers a buffer")
            base, state = got["fc.weight"].astype(np.float64).ravel(), flat
    return None


def defaults():
    """Without a declaration, the frameworks' names of buffers are used; `[]` declares that there are no buffers."""
    global checks
    one = {"bn.running_var": np.ones(1, np.float32), "bn/moving_variance": np.ones(1, np.float32), "w": np.ones(1, np.float32)}
    said = {name: np.full(1, 0.25, np.float32) for name in one}
    for metadata, kept in (({}, ["w"]), ({"muster.buffers": "[]"}, list(one)), ({"muster.buffers": '["w"]'}, ["bn.running_var", "bn/moving_variance"])):
        checks += 1
        with tempfile.TemporaryDirectory() as folder:
            save_file(one, f"{folder}/global.safetensors", metadata=metadata)
            save_file(said, f"{folder}/u")
            answer = rules.run(folder, '{"combiner": "mean", "optimizer": {"momentum": {"rate": 0.5}}}', ["u:1"], (None, "state"))
            if answer.returncode != 0:
                failures.append(f"defaults {metadata}: {answer.stderr.strip()}")
                continue
            got = load_file(f"{folder}/out.safetensors")
            right = {name: 1 + 0.5 * (0.25 - 1) if name in kept else 0.25 for name in one}
            if any(got[name] != np.float32(right[name]) for name in one):
                failures.append(f"defaults {metadata}: {got}, not {right}")


def main():
    random = np.random.default_rng(11)
    n = 9
    base, state = random.normal(size=PARAMETERS), np.abs(random.normal(size=STATE)) + 1
    updates = base + random.normal(size=(n, PARAMETERS)) * 0.1
    # Far from the base and from each other: if they counted in a distance or a norm, they would dominate it.
    said = np.abs(state * random.uniform(1e-6, 1e-2, size=(n, STATE)))
    said[4] *= 1e5
    weights = random.integers(1, 500, size=n).astype(float)
    norm = float(np.sqrt(rules.squared(updates[0] - base)))
    combiners = [("mean", {}), ("uniform", {}), ("median", {}), ("trimmedMean", {"beta": 0.2}), ("krum", {"f": 2}), ("multiKrum", {"f": 2})]
    combiners += [("bulyan", {"f": 1}), ("geometricMedian", {}), ("qFedAvg", {"q": 1.0, "rate": 0.5})]
    optimizers = [("replace", {}), ("momentum", {}), ("adagrad", {}), ("adam", {"rate": 0.1}), ("yogi", {"rate": 0.1})]
    for combiner, optimizer, delta in itertools.product(combiners, optimizers, (False, True)):
        check("buffers", base, updates, state, said, weights, combiner, optimizer=optimizer, delta=delta)
    for filters in ([("clip", {"norm": norm / 2})], [("outliers", {"k": 3.0})], [("clip", {"norm": norm / 2}), ("outliers", {"k": 4.0})]):
        for combiner in [*combiners[:4], ("krum", {"f": 1}), *combiners[7:]]:
            check("filtered", base, updates, state, said, weights, combiner, filters=filters, optimizer=("adam", {"rate": 0.1}))
    defaults()
    print(f"{checks} comparisons, {len(failures)} wrong")
    for failure in failures[:40]:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
