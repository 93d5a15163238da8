"""Programs on the stand-in, each in a process of its own, forked from one that has imported
torch: a second saved for each. Run as a program where the stand-in is installed.

Reads requests from standard input, one JSON object on a line (``program``: source text,
``settings``: environment variables, ``stdout`` and ``stderr``: files to write), and answers each
with the exit status on a line, negative for a signal. Nothing here may touch the device: its
settings are read when it starts, and a fork of a process that has started it is refused.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import torch

torch.ones(1, device="meta").add(1)  # loads PyTorch's meta kernels: it takes a second as well

LIMIT_S = 60


def serve():
    """In a child, the request that it is to carry out; ``None`` when there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(request):
    signal.alarm(LIMIT_S)
    for number, name in ((1, "stdout"), (2, "stderr")):
        opened = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.update(request["settings"])
    exec(compile(request["program"], "<program>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__" and (asked := serve()):
    become(asked)
