"""Prints the table that RuleTests.swift holds: every rule on made-up updates in NumPy's float64, by the formulas of rules.py."""

import numpy as np

import rules

COUNT = 300
SAMPLES = [0, 1, 77, 150, 298, 299]
WEIGHTS = np.array([12, 7, 31, 5.5, 20, 1, 9])
LOSSES = np.array([0.5, 1, 1.5, 2, 2.5, 3, 3.5])

k = np.arange(COUNT, dtype=np.int64)
base = ((k * 5) % 127 - 63) / 32
updates = np.stack([((k * (2 * i + 3) + 17 * i) % 251 - 125) / 64 for i in range(7)])


def row(title, values):
    elements = ", ".join(repr(float(values[s])) for s in SAMPLES)
    print(f'    (#"{title}"#, [{elements}], {float(np.abs(values).sum())!r}),')


for title, name, parameters in [
    ('"mean"', "mean", {}), ('"uniform"', "uniform", {}), ('"median"', "median", {}), ('{"trimmedMean": 0.3}', "trimmedMean", {"beta": 0.3}),
    ('{"krum": 2}', "krum", {"f": 2}), ('{"multiKrum": 1}', "multiKrum", {"f": 1}),
    ('{"multiKrum": {"f": 2, "m": 3}}', "multiKrum", {"f": 2, "m": 3}), ('{"bulyan": 1}', "bulyan", {"f": 1}),
    ('"geometricMedian"', "geometricMedian", {}), ('{"qFedAvg": {"q": 1, "rate": 0.5}}', "qFedAvg", {"q": 1, "rate": 0.5}),
]:  # fmt: skip
    row(title, base + rules.COMBINERS[name](base, updates, weights=WEIGHTS, losses=LOSSES, **parameters))
for title, rows in [('{"clip": 10}', rules.clip(base, updates, 10)), ('{"outliers": 0.5}', updates[rules.outliers(base, updates, 0.5)])]:
    row(title, base + rules.uniform(base, rows))
for name, step in rules.OPTIMIZERS.items():
    state = {}
    second = step(step(base, rules.uniform(base, updates), state), rules.uniform(base, updates) / 2, state)
    row(f'"{name}"', second)
