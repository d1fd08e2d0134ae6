"""``muster-trainer``: runs a trainer under the contract, for one job or as a resident process."""

from __future__ import annotations

import argparse
import os
import sys

from .budget import limit


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["check"]:
        from .check import main as check

        return check(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="muster-trainer",
        description="Run jobs under Muster's trainer contract with your own function.",
        usage="%(prog)s [-h] [--resident] (MODULE:FUNCTION | flower APPDIR) [JOBFOLDER]",
        epilog="muster-trainer check MODULE:FUNCTION runs a trainer on a generated job and reports errors.",
    )
    parser.add_argument("--resident", action="store_true", help='read {"job":"FOLDER"} lines from standard input, and answer each')
    parser.add_argument("trainer", metavar="MODULE:FUNCTION", help="the trainer's train function; FILE.py:FUNCTION also works")
    parser.add_argument("rest", nargs="*", metavar="JOBFOLDER", help="the job to do (not with --resident)")
    parser.add_argument_group("or: flower APPDIR", "a Flower app, given by the folder with its pyproject.toml")
    options = parser.parse_intermixed_args(arguments)
    rest: list[str] = options.rest
    if options.trainer == "flower" and not rest:
        parser.error("flower needs the folder of a Flower app")
    app = rest.pop(0) if options.trainer == "flower" else None
    if len(rest) != (0 if options.resident else 1):
        parser.error("give either a job folder or --resident")

    # Before user code and its frameworks are imported: they print, start threads and read their settings then.
    limit()
    from .protocol import Protocol
    from .runner import CANCELLED, Runner, Trainer

    runner = Runner(lambda: Trainer.flower(app) if app is not None else Trainer.named(options.trainer), Protocol())
    status = runner.resident() if options.resident else runner.once(rest[0])
    if status == CANCELLED:
        # At once: to take a large framework apart in good order takes seconds.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
