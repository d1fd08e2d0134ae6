"""``muster-trainer``: runs a trainer under the contract, for one job or resident."""

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
        description="Does jobs under Muster's trainer contract with a function of your own.",
        epilog="muster-trainer check MODULE:FUNCTION tries a trainer against a made-up job and says what is wrong.",
    )
    parser.add_argument("--resident", action="store_true", help='read {"job":"FOLDER"} lines from standard input, answer each')
    parser.add_argument("trainer", metavar="MODULE:FUNCTION", help="its train function; FILE.py:FUNCTION works too")
    parser.add_argument("folder", nargs="?", metavar="JOBFOLDER", help="the job to do (not with --resident)")
    options = parser.parse_args(arguments)
    if options.resident == (options.folder is not None):
        parser.error("give either a job folder or --resident")

    # Before user code and its frameworks are imported: they print, start threads and read their settings then.
    limit()
    from .protocol import Protocol
    from .runner import CANCELLED, Runner

    runner = Runner(options.trainer, Protocol())
    status = runner.resident() if options.resident else runner.once(options.folder)
    if status == CANCELLED:
        # At once: to take a large framework apart in good order takes seconds.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
