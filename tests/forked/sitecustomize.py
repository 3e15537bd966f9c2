"""Read by each Python that starts with this folder on its path: what would load torch or the
command line has a process do it that was forked where they are loaded already (`tests.forking`).

It remains as the process that was started: signals go on to the forked one, and it ends as that
does. What has a terminal isn't forked: it would be in no session of it.
"""

import os
import sys

MODULES = ("tui.cli", "engine.service.worker")


def _open_files() -> list[int]:
    numbers = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib takes long to load
        try:
            os.fstat(int(name))
        except OSError:
            continue  # that of the listing itself
        numbers.append(int(name))
    return numbers


def _become(module: str, arguments: list[str], server: str) -> None:
    """Wait for the process that is forked in this one's stead, and end as it does."""
    import json
    import signal
    import socket

    files = _open_files()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server)
    umask = os.umask(0o077)
    os.umask(umask)
    job = {
        "pid": os.getpid(),
        "module": module,
        "arguments": arguments,
        "files": files,
        "umask": umask,
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "leads": os.getsid(0) == os.getpid(),
        "ignored": [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN],
    }
    data = json.dumps(job).encode()
    socket.send_fds(connection, [len(data).to_bytes(4, "big")], files)
    connection.sendall(data)
    answers = connection.makefile("rb")
    pid = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(answers.readline())
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _main() -> None:
    server, words = os.environ.get("LSTM_TUI_FORKING"), sys.orig_argv
    if not server or sys.platform != "linux" or any(map(os.isatty, range(3))):
        return
    if "-m" in words:
        module, *arguments = words[words.index("-m") + 1 :]
        if module in MODULES:
            _become(module, arguments, server)


_main()
