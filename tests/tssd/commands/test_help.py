"""What `--help` says: whole sentences in 80 columns, an example for every command; and how little
is loaded for it."""

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tssd.cli import cli
from tssd.commands.completing import CHIP, ENGINES
from tssd.commands.group import COMMANDS

HEAVY = ("torch", "numba", "h5py", "nir", "onnx", "onnxruntime", "snntorch", "scipy")


def test_no_summary_is_cut_short() -> None:
    said = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert "..." not in said.partition("Commands:")[2]
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_and_explains_each_option(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert not [option.name for option in options if not option.help]
    if not isinstance(command, click.Group) or command.epilog:
        assert str(command.epilog).startswith(f"Example: tssd {name}")


def loaded(script: str, **environment: str) -> tuple[str, list[str]]:
    """What *script* prints in a process of its own, and which heavy libraries it has loaded."""
    found = f"print([x for x in {HEAVY!r} if x in sys.modules], file=sys.stderr)"
    code = f"import sys\ntry:\n    {script}\nfinally:\n    {found}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    heavy: list[str] = [x for x in HEAVY if repr(x) in done.stderr.splitlines()[-1]]
    return done.stdout, heavy


def test_help_loads_no_heavy_library() -> None:
    said, heavy = loaded("from tssd.cli import main; main(['--help'])")
    assert "Commands:" in said
    assert not heavy


@pytest.mark.parametrize(("typed", "offered"), [("tssd si", "simulate"), ("tssd ver", "verify")])
def test_completing_a_command_loads_no_heavy_library(typed: str, offered: str) -> None:
    said, heavy = loaded("from tssd.cli import main; main([])", **asked(typed))
    assert f"plain,{offered}" in said.replace("\n", ",")
    assert not heavy


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tssd export --target loihi2-n", "loihi2-n3b,loihi2-n3c"),
        ("tssd simulate b --chip loihi1-d", "loihi1-davies2018"),
        ("tssd compare b --chip loihi2,loihi1-d", "loihi2,loihi1-davies2018"),
        ("tssd verify b --against gpu,on", "gpu,onnx"),
        ("tssd train --dataset fashion-m", "fashion-mnist"),
        ("tssd train --method tss", "tssd"),
        ("tssd train --model vgg-s", "vgg-small"),
    ],
)
def test_values_are_completed_without_a_heavy_library(typed: str, offered: str) -> None:
    said, heavy = loaded("from tssd.cli import main; main([])", **asked(typed))
    assert ",".join(line.removeprefix("plain,") for line in said.split()) == offered
    assert not heavy


def test_an_engine_is_not_offered_twice_and_a_file_stands_for_a_chip() -> None:
    context, option = click.Context(cli), click.Option(["--x"])
    offered = ENGINES.shell_complete(context, option, "gpu,onnx,")
    assert not {"gpu,onnx,gpu", "gpu,onnx,onnx"} & {item.value for item in offered}
    assert [item.type for item in CHIP.shell_complete(context, option, "./my_chip")] == ["file"]
    assert CHIP.shell_complete(context, option, "loihi2-p")[0].value == "loihi2-prior"


def asked(typed: str) -> dict[str, str]:
    """The environment in which bash asks for completions of the last word of *typed*."""
    words = str(len(typed.split()) - 1)
    return {"_TSSD_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": words}


def test_no_command_loads_a_heavy_library_before_it_runs() -> None:
    """Its help and the completion of its options read the module."""
    modules = [place.partition(":")[0] for place, _ in COMMANDS.values()]
    said, heavy = loaded(f"import {', '.join(modules)}; print('read')")
    assert said == "read\n"
    assert not heavy


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["verfy"], "No such command 'verfy'. Did you mean 'verify'?"),
        (["qqq"], "No such command 'qqq'. Commands: demo, doctor"),
        (["targets", "shw"], "No such command 'shw'. Did you mean 'show'?"),
        (["lava", "instal"], "No such command 'instal'. Did you mean 'install'?"),
    ],
)
def test_a_wrong_command_names_the_nearest(words: list[str], told: str) -> None:
    found = CliRunner().invoke(cli, words)
    assert found.exit_code == 2
    assert told in found.output


def test_doctor_verify_and_inspect_need_no_fcntl() -> None:
    """Windows has none; only building Lava's environment takes a lock."""
    modules = "tssd.checks.verification, tssd.inspecting.inspection, tssd.demo"
    said, _ = loaded(
        f"sys.modules['fcntl'] = None; import {modules}\n"
        "    from tssd.cli import main; main(['doctor'])"
    )
    assert "netx" in said
