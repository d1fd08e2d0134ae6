"""Ten devices learn the digits; three of them are hostile. Nothing but `muster-train` and `muster aggregate`, and Python's own library.

A hostile device trains like the others and sends w − 10 (w_i − w) in place of w_i: its step, backwards and ten times as long.
"""

import argparse
import array
import json
import os
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parent / "digits" / "data"
MODEL = {"type": "lenet5", "input": [1, 8, 8], "classes": 10}
DEVICES = 10
HOSTILE = (1, 4, 8)
RUNS = [
    ("clean mean", "fedavg", False, "#1a7f37"),
    ("mean", "fedavg", True, "#cf222e"),
    ("Multi-Krum, f = 3", "{combiner: {multiKrum: {f: 3}}}", True, "#0969da"),
    ("trimmed mean, β = 0.3", "{combiner: {trimmedMean: 0.3}}", True, "#8250df"),
    ("median", "median", True, "#bf8700"),
    ("geometric median", "geometricMedian", True, "#6e7781"),
]


def read_floats(path):
    """A safetensors file of F32 tensors: its first part (length, header) as bytes, and all numbers."""
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    assert all(t["dtype"] == "F32" for name, t in json.loads(data[8:start]).items() if name != "__metadata__")
    return data[:start], array.array("f", data[start:])


def flip(base, update):
    head, values = read_floats(update)
    _, start = read_floats(base)
    for index, w in enumerate(start):
        values[index] = w - 10 * (values[index] - w)
    # Not in place: the program that wrote it may still have it mapped.
    update.unlink()
    update.write_bytes(head + values.tobytes())


class Fleet:
    """The devices' job folders."""

    def __init__(self, programs, folder, rounds, seed):
        self.programs, self.folder, self.rounds, self.seed = programs, folder, rounds, seed

    def job(self, folder, kind, round_number, data, base=None, may_fail=False):
        """The job's metrics; nothing if the job failed and was allowed to fail, because the model can no longer be trained or tested."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("metrics.json", "update.safetensors", "global.safetensors"):
            (folder / name).unlink(missing_ok=True)
        if base:
            os.symlink(base, folder / "global.safetensors")
        local = {"epochs": 2, "batch": 16, "rate": 0.1, "momentum": 0, "weightDecay": 0, "proximal": 0, "seed": 1}
        task = {"contract": 1, "job": kind, "task": "byzantine", "round": round_number, "model": MODEL, "local": local}
        task |= {"seed": self.seed if kind == "initialize" else self.seed * 1000 + round_number}
        (folder / "task.json").write_text(json.dumps(task | ({"data": data} if data else {})))
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run([self.programs / "muster-train", folder], capture_output=True, text=True, env=environment)
        if done.returncode:
            if may_fail:
                return None
            sys.exit(f"muster-train: {done.stderr}")
        return json.loads((folder / "metrics.json").read_text())

    def data(self, part, device=None):
        files = {"format": "idx", "images": f"{DIGITS}/{part}-images-idx3-ubyte.gz", "labels": f"{DIGITS}/{part}-labels-idx1-ubyte.gz"}
        return files if device is None else files | {"partition": {"iid": {"of": DEVICES, "index": device, "seed": 1}}}

    def initial(self):
        self.job(self.folder / "initial", "initialize", 0, None)
        return self.folder / "initial" / "global.safetensors"

    def run(self, name, strategy, attacked, pool):
        """Accuracy on the test digits after each round."""
        accuracies, base = [], self.initial()
        for number in range(1, self.rounds + 1):
            folders = [self.folder / name / f"device-{device}" for device in range(DEVICES)]
            jobs = [pool.submit(self.job, f, "train", number, self.data("train", d), base, attacked) for d, f in enumerate(folders)]
            answers = [job.result() for job in jobs]
            for device in HOSTILE if attacked else ():
                if answers[device]:
                    flip(base, folders[device] / "update.safetensors")
            updates = [f"{f / 'update.safetensors'}:{answer['samples']}" for f, answer in zip(folders, answers) if answer]
            if not updates:
                print(f"{name}, round {number}: no device can train this model any more", file=sys.stderr)
                return accuracies + accuracies[-1:] * (self.rounds - len(accuracies))
            out = self.folder / name / f"round-{number}.safetensors"
            command = [self.programs / "muster", "aggregate", "--strategy", strategy, "--global", base, "--out", out, "--update"]
            done = subprocess.run(command + updates, capture_output=True, text=True)
            if done.returncode:
                # The attack drove the numbers out of range: the model stays what it was.
                print(f"{name}, round {number}: {done.stderr.strip()}", file=sys.stderr)
                return accuracies + accuracies[-1:] * (self.rounds - len(accuracies))
            base = out
            tested = self.job(self.folder / name / "test", "evaluate", number, self.data("t10k"), base, attacked)
            # A model whose answers are not numbers is as good as a guess.
            accuracies.append(tested["metrics"]["accuracy"] if tested else 1 / MODEL["classes"])
        return accuracies


def settled(accuracies):
    """One round more or less moves the accuracy by a point or two: the test set has 360 images."""
    last = accuracies[-5:]
    return sum(last) / len(last)


def plot(results, rounds):
    """An SVG: accuracy against rounds, the same scale for all."""
    width, height, left, top, right, bottom = 760, 420, 60, 40, 200, 50
    x = lambda number: left + (width - left - right) * (number - 1) / max(1, rounds - 1)
    y = lambda accuracy: height - bottom - (height - top - bottom) * accuracy
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="22" font-size="15">Accuracy on the test digits: 3 of {DEVICES} devices send sign-flipped updates, ten times as long</text>',
    ]
    for tick in range(0, 11, 2):
        lines.append(f'<path d="M{left} {y(tick / 10):.1f}H{width - right}" stroke="#d0d7de"/>')
        lines.append(f'<text x="{left - 8}" y="{y(tick / 10) + 4:.1f}" text-anchor="end">{tick * 10} %</text>')
    for number in sorted({1, rounds, *range(5, rounds, 5)}):
        lines.append(f'<text x="{x(number):.1f}" y="{height - bottom + 20}" text-anchor="middle">{number}</text>')
    lines.append(f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">round</text>')
    places = sorted(range(len(results)), key=lambda i: -results[i][1][-1])
    labels, last = {}, -100.0
    for i in places:
        labels[i] = last = max(y(results[i][1][-1]) + 4, last + 17)
    for i, (name, accuracies, colour) in enumerate(results):
        path = "L".join(f"{x(n + 1):.1f} {y(a):.1f}" for n, a in enumerate(accuracies))
        dash = ' stroke-dasharray="6 4"' if i == 0 else ""
        lines.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        lines.append(f'<text x="{width - right + 10}" y="{labels[i]:.1f}" fill="{colour}">{name}</text>')
    return "\n".join(lines + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=Path, required=True, help="the folder of muster and muster-train")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE, help="the folder for results.md and results.svg")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        fleet = Fleet(arguments.programs.resolve(), Path(folder), arguments.rounds, arguments.seed)
        for name, strategy, attacked, colour in RUNS:
            results.append((name, fleet.run(name, strategy, attacked, pool), colour))
            print(f"{name}: {settled(results[-1][1]):.1%}", file=sys.stderr)
    clean = settled(results[0][1])
    table = ["| combiner | hostile devices | accuracy, mean of the last five rounds | against the clean run |", "| --- | --- | --- | --- |"]
    for (name, accuracies, _), (_, _, attacked, _) in zip(results, RUNS):
        gap = f"{(settled(accuracies) - clean) * 100:+.1f} points" if attacked else ""
        table.append(f"| {name} | {len(HOSTILE) if attacked else 0} of {DEVICES} | {settled(accuracies):.1%} | {gap} |")
    print("\n".join(table))
    (arguments.out / "results.md").write_text("\n".join(table) + "\n")
    (arguments.out / "results.svg").write_text(plot(results, arguments.rounds))
    loss = {name: clean - settled(accuracies) for name, accuracies, _ in results[1:]}
    held = loss.pop("mean") > 0.5 and loss.pop("Multi-Krum, f = 3") < 0.02 and max(loss.values()) < 0.05
    print("the mean collapsed, the robust rules held" if held else "unexpected: the mean held, or a robust rule did not", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
