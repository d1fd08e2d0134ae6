"""scripts/check-docs: which outputs it accepts, and which problems it finds. CI runs it on the pages themselves."""

import importlib.util
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts/docs"))


def module(name):
    specification = importlib.util.spec_from_file_location(name, ROOT / f"scripts/docs/{name}.py")
    loaded = importlib.util.module_from_spec(specification)
    sys.modules[name] = loaded
    specification.loader.exec_module(loaded)
    return loaded


blocks, compare = module("blocks"), module("compare").compare


@pytest.mark.parametrize(
    "shown, said, words",
    [
        (["a  b"], ["a     b"], []),
        (["11:08:23  loss 0.8022"], ["23:59:59  loss 1.1"], []),
        (["sha256:9f2c…  2 of 2"], ["sha256:00ff00ff  2 of 2"], []),
        (["NODE", "…", "pi-8"], ["NODE", "pi-1", "pi-2", "pi-8"], []),
        (["round 6 closed"], ["round 11 closed"], ["like"]),
        (["first", "last"], ["first", "more", "last", "and more"], ["some"]),
        (["known are a, …, z"], ["known are a, b, c, z"], []),
    ],
)
def test_what_is_the_same_but_for_figures_is_the_same(shown, said, words):
    assert compare(shown, said, words) is None


@pytest.mark.parametrize(
    "shown, said, words",
    [
        (['unknown strategy "fedadam"'], ['unknown strategy "fedbest"'], []),
        (["round 6 closed"], ["round 7 closed"], []),
        (["one"], ["one", "two"], []),
        (["one", "two"], ["one"], []),
        (["last", "first"], ["first", "last"], ["some"]),
        (["a.b"], ["axb"], []),
    ],
)
def test_what_differs_is_found(shown, said, words):
    assert compare(shown, said, words) is not None


PAGE = """\
# A page

<!-- check: run fleet like
cd somewhere
-->
```console
$ one \\
    --flag
said
$ two
```

  ```json
  {"a": 1}
  ```
"""


def test_a_block_knows_its_comment_its_commands_and_their_output():
    first, second = blocks.parse("page.md", PAGE)
    assert (first.words, first.setup, first.place) == (["run", "fleet", "like"], "cd somewhere", "page.md:6")
    one, two = blocks.commands(first)
    assert one.text == "one \\\n    --flag" and one.output == ["said"] and two.text == "two" and two.output == []
    assert (second.language, second.words, second.text) == ("json", [], '{"a": 1}')
