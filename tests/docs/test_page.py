from pathlib import Path

import pytest

from docs.output import first_missing_line, is_shown
from docs.page import PageError, RunCommand, WriteFile, read_steps
from docs.shell import Shell

_PAGE = """\
# Title

<!-- setup: mkdir data -->
<!-- setup:
printf 1 > a
printf 2 > b
-->
<!-- any other comment -->
Text.

<!-- file: my/part.py -->
```python
VALUE = 1
```

1. In a list:

   ```console
   $ first --flag \\
         more
   shown

   too
   $ second
   ```

<!-- exit code: 2 -->
```console
$ third
error: …
```

<!-- not run: needs a network -->
```console
$ pip install expt
```

```yaml
any: thing
```
"""


def _write(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_steps_are_in_the_order_of_the_page(tmp_path: Path) -> None:
    assert read_steps(_write(tmp_path, _PAGE)) == [
        RunCommand(3, "mkdir data"),
        RunCommand(4, "printf 1 > a\nprintf 2 > b"),
        WriteFile(12, "my/part.py", "VALUE = 1\n"),
        RunCommand(19, "first --flag more", ("shown", "", "too")),
        RunCommand(24, "second"),
        RunCommand(29, "third", ("error: …",), 2),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\nls\n```", "line 1: a block of bash; commands are in blocks of console"),
        ("```python\n1\n```", "line 1: Python that no test runs"),
        ("\n<!-- not run: -->\n```console\n$ x\n```", "line 2: not run: expected something"),
        ("<!-- file: x.py -->\nText.", "line 2: expected a block after <!-- file -->"),
        ("```console\nls\n```", "line 2: expected a command"),
        ("```console\n```", "line 1: a block of console without a command"),
    ],
)
def test_a_page_that_breaks_the_rules(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=message):
        read_steps(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a", "b"], "\na  \nb\n\n", True),
        (["95 %"], "95\N{NO-BREAK SPACE}%", True),
        (["a"], "a\nb\n", False),
        (["a", "…"], "a\nb\nc\n", True),
        (["…", "c"], "a\nb\nc\n", True),
        (["…", "a"], "a\n", True),
        (["a … c"], "a b c\n", True),
        (["a … c"], "a b\n", False),
        (["in …s"], "in 1.5s\n", True),
        (["a  b"], "a     b\n", True),
        (["a  b"], "ab\n", False),
        (["a.c"], "abc\n", False),
        (["a", "…", "c"], "a\nc\n", True),
        (["a", "", "b"], "a\n\nb\n", True),
        (["a", "b"], "b\na\n", False),
        (["a"], "loading data …\nstarting TensorFlow … 2 s\na\n", True),
        (["a"], "E0000 00:00:1795795495.870777    6630 cuda.cc:52] failed call\na\n", True),
    ],
)
def test_what_is_shown_is_compared(shown: list[str], printed: str, expected: bool) -> None:
    assert is_shown(shown, printed) is expected


def test_the_line_that_is_missing_is_named() -> None:
    assert first_missing_line(["a", "…", "x"], "a\nb\n") == "x"
    assert first_missing_line(["a"], "a\nb\n") == "the end of the output"


def test_a_shell_keeps_its_folder_and_variables(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "inner").mkdir()
    assert shell.run("cd inner").code == 0
    assert shell.run("export ANY=thing OTHER='two words'").code == 0
    assert shell.run("echo $ANY > file").code == 0
    assert (tmp_path / "inner/file").read_text() == "thing\n"
    script = "import os, sys; print(os.environ['OTHER'], file=sys.stderr); sys.exit(3)"
    done = shell.run(f'python -c "{script}"')
    assert (done.code, done.text) == (3, "two words\n")
    assert shell.run("cd nowhere").code == 1


def test_commands_of_expt_start_by_both_names(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for name in ("expt", "python -m expt"):
        assert shell.run(f"{name} --help").text.startswith(f"usage: {name} COMMAND")
    assert shell.run("python -m expt.run seed=x").code == 2
