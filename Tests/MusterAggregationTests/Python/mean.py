"""Prints the values that MeanTests.swift holds: means of made-up updates in NumPy's float64, rounded once to the model's dtype."""

import numpy as np

COUNT = 20_000
SAMPLES = [0, 1, 8191, 8192, 12345, 19999]
WEIGHTS = np.array([12, 7, 31, 5.5])

k = np.arange(COUNT, dtype=np.int64)
updates = np.stack([((k * (2 * i + 3) + 17 * i) % 251 - 125) / 64 for i in range(4)])


def bfloat16(values):
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return bits.astype(np.uint32).view(np.float32)


for name, shares in [("mean", WEIGHTS / WEIGHTS.sum()), ("uniform", np.full(4, 0.25))]:
    mean = (shares[:, None] * updates).sum(axis=0)
    rounded = {"f64": mean, "f32": mean.astype(np.float32), "f16": mean.astype(np.float16), "bf16": bfloat16(mean)}
    for dtype, values in rounded.items():
        print(name, dtype, [float(values[s]) for s in SAMPLES], float(np.abs(values.astype(np.float64)).sum()))
