"""The command line: lazily loaded commands, and the one place where errors are printed."""

import errno
import os
import signal
import sys
import traceback
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from tssd import __version__
from tssd.commands.group import LazyGroup
from tssd.errors import TssdError
from tssd.interrupts import Interrupted, handled
from tssd.optional import not_installed

BAD_INPUT, FAULT = 2, 70  # 70: EX_SOFTWARE of sysexits.h
NOTHING_KEPT = "what was not whole is not kept"
COMPLETE = "_TSSD_COMPLETE"  # set by the shell when it asks for completions
EXPECTED = (
    *(TssdError, click.ClickException, click.Abort, click.exceptions.Exit),
    *(OSError, MemoryError, RecursionError),
)
HINTS = {
    errno.ENOSPC: "make room on the disk; what was there before is still whole",
    errno.EDQUOT: "make room in your quota; what was there before is still whole",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose a place that is yours, or ask for the right to it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "one of the folders of this path is a file",
}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tssd")
def cli() -> None:
    """From a self-distilled spiking network to a neuromorphic chip."""


def main(
    arguments: list[str] | None = None, program: click.Command = cli, name: str = "tssd"
) -> NoReturn:
    """Run the command line; every ending is one message and the exit code that it has here."""
    with handled():
        code = _run(sys.argv[1:] if arguments is None else arguments, program, name)
    sys.exit(code)


def _run(arguments: list[str], program: click.Command, name: str) -> int:
    """The exit code; 1 is left to failed contracts (and answers of ``check`` and ``diff``)."""
    try:
        with faults_are_ours():
            _invoke(arguments, program, name)
            sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except TssdError as error:
        return _told(f"error: {error}", error.exit_code)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort) as stop:  # a prompt turns Ctrl-C into Abort
        known = stop if isinstance(stop, Interrupted) else Interrupted(signal.SIGINT)
        return _told(f"interrupted: {known.note or NOTHING_KEPT}", known.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains too
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _told(f"error: {of_the_system(error)}", BAD_INPUT)
    except MemoryError as error:
        return _told(f"error: {out_of_memory(error)}", BAD_INPUT)
    except ModuleNotFoundError as error:
        return _told(f"error: {not_installed(error)}", BAD_INPUT)
    except RecursionError:
        found = TssdError("the input", found="something nested too deep to be read")
        return _told(f"error: {found}", BAD_INPUT)
    return 0


def _invoke(arguments: list[str], program: click.Command, name: str) -> None:
    """As click's own ``main``, which has another opinion of exit codes."""
    if asked := os.environ.get(COMPLETE):
        raise click.exceptions.Exit(shell_complete(program, {}, name, COMPLETE, asked))
    with program.make_context(name, list(arguments)) as context:
        program.invoke(context)


def _told(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code


def of_the_system(error: OSError) -> TssdError:
    """What the system refused, by path and reason."""
    where = error.filename if error.filename is not None else "a file"
    return TssdError(
        os.fsdecode(where) if isinstance(where, bytes) else str(where),
        found=error.strerror or str(error) or type(error).__name__,
        hint=HINTS.get(error.errno or 0),
    )


def out_of_memory(error: MemoryError) -> TssdError:
    """Python does not say for what; numpy does."""
    return TssdError(
        "the memory of this machine",
        found=f"too little ({error})" if str(error) else "too little",
        hint="fewer samples, a smaller batch, or a smaller network",
    )


class faults_are_ours:
    """An exception that no input should cause shows its traceback and ends with its own code."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and not_installed(error):
            return
        if isinstance(error, Exception) and not isinstance(error, EXPECTED):
            traceback.print_exception(error)
            click.echo("this is a fault of tssd, not of your input: please report it", err=True)
            raise SystemExit(FAULT) from None
