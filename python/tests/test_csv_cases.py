"""Tests/Cases/csv: files, and the results that both readers must give. The built-in trainer's reader is tested with the same files."""

import json

import numpy
import pytest
from conftest import ROOT

from muster import TrainerError, data

FOLDER = ROOT / "Tests/Cases/csv"
CASES = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["about"])
def test_every_file_means_what_its_case_says(case):
    configuration = {**case["data"], "file": str(FOLDER / case["data"]["file"])}
    if "error" in case:
        with pytest.raises(TrainerError) as caught:
            data.load(configuration, case.get("classes"))
        assert str(caught.value) == f"{configuration['file']}: {case['error']}"
    else:
        x, y = data.load(configuration, case.get("classes"))
        expected = numpy.array(case["samples"], numpy.float32)
        assert x.dtype == numpy.float32 and x.shape == expected.shape and numpy.array_equal(x, expected)
        assert y.dtype == numpy.int64 and y.tolist() == case["labels"]


def test_the_cases_hold_every_file_that_lies_beside_them():
    assert {path.name for path in FOLDER.iterdir() if ".csv" in path.name} == {case["data"]["file"] for case in CASES}
