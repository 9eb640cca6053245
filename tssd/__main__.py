"""``tssd`` and ``python -m tssd``: the process around the command line."""

import signal
from typing import NoReturn


def entry() -> NoReturn:
    """The program. Ctrl-C while it loads, or when its work is done, ends it without a traceback,
    as SIGTERM does; between, ``main`` says what is kept. Where it is ignored it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tssd.cli import main

    main()


if __name__ == "__main__":
    entry()
