"""The program `ladnn`, also as `python -m ladnn`: loads the commands, and is quiet when stopped."""

import errno
import gc
import os
import signal
import sys
from threading import Timer, main_thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOPPED = 130
"""The exit code of a program that Ctrl-C ended, as shells have it."""

QUICK = "predict"
"""The command of which many wait at every start. It has nothing to end, and taking apart what it
loaded takes a tenth of the time of one image."""

COLLECTING = (50_000, 20, 100)
"""How seldom it looks for unreachable objects: while a program loads, nearly all objects stay."""


def main() -> None:
    """Run one command; loading them takes a moment in which Ctrl-C may come too."""
    quick = sys.argv[1:2] == [QUICK]
    if quick:
        gc.set_threshold(*COLLECTING)
        # its threads, which nothing here needs, would wait busily on the cores that compile
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.unraisablehook = _heed
    try:
        from ladnn.cli import main as run
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    try:
        run()
    except SystemExit as done:
        if quick and isinstance(done.code, int):
            _leave(done.code)
        raise


def _heed(lost: "UnraisableHookArgs") -> None:
    """Press Ctrl-C once more where Python dropped it, as it does in what a collection calls."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    # From another thread, for here it would be dropped again.
    again = Timer(0.05, signal.pthread_kill, (main_thread().ident, signal.SIGINT))
    again.daemon = True
    again.start()


def _leave(code: int) -> None:
    """End at once with what was printed; comes back where nobody takes it, which Python tells."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        code = STOPPED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return
        sys.stderr.write(f"ladnn: {os.strerror(error.errno).lower()}: make room on the disk\n")
        code = 1
    except (ValueError, AttributeError):
        return
    os._exit(code)


if __name__ == "__main__":
    main()
