"""Run a command and report its time and memory on the last line of stderr, as JSON.

A process of its own, and a small one: the largest memory that Linux reports of a process begins
with that of the process which started it, and the benches themselves hold torch.
"""

import json
import os
import sys
import time


def main() -> int:
    """Run `sys.argv[1:]`; return its exit code."""
    start = time.perf_counter()
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - start
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss, to MB
    cpu = used.ru_utime + used.ru_stime
    report = {"wall": wall, "cpu": cpu, "memory": used.ru_maxrss / unit}
    sys.stderr.write("\n" + json.dumps(report) + "\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
