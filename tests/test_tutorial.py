"""The tutorial's outputs are those of its commands, and nothing else of the page is touched."""

from pathlib import Path

from benchmarks.tutorial_lava import PAGE, rewritten, told

TEXT = """# A page

```
$ first --here
old output
$ second
```

```python
$ no = session
```
words
"""


def test_outputs_are_replaced_and_nothing_else() -> None:
    ran: list[str] = []

    def run(line: str) -> str:
        ran.append(line)
        return f"told {len(ran)}\n"

    made = rewritten(TEXT, run)
    assert ran == ["first --here", "second"]
    assert made == TEXT.replace("old output", "told 1").replace("$ second\n", "$ second\ntold 2\n")


def test_every_command_of_the_page_would_run() -> None:
    ran: list[str] = []

    def run(line: str) -> str:
        ran.append(line)
        return ""

    rewritten(PAGE.read_text(encoding="utf-8"), run)
    assert len(ran) == 11
    assert {line.split()[0] for line in ran} == {"tssd", "python3.10", "cat"}


def test_the_home_of_a_machine_is_not_told(tmp_path: Path) -> None:
    assert told("echo; echo $HOME/x; echo oops >&2", tmp_path, tmp_path) == "~/x\noops\n"
