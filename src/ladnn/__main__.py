"""The program `ladnn`, also as `python -m ladnn`: loads the commands, and is quiet when stopped."""

import sys

STOPPED = 130
"""The exit code of a program that Ctrl-C ended, as shells have it."""


def main() -> None:
    """Run one command; loading them takes a moment in which Ctrl-C may come too."""
    try:
        from ladnn.cli import main as run
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    run()


if __name__ == "__main__":
    main()
