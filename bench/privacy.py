"""What must not leave the machine, taken out of text: a record is one paste away from public."""

from __future__ import annotations

import getpass
import re
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..backends.neuron_environment import PROCESS_TAG

#: Variables that hold whatever a person calls a process.
_FREE_NAMES = frozenset({"NEURON_PROCESS_TAG"})
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|(?:^|_)KEY", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
# A run of characters with a separator in it: relative paths name people and projects too.
_PATH = re.compile(r"~?[^\s,;:=\"'<>()\[\]]*[/\\][^\s,;:=\"'<>()\[\]]*|~\w*")
_ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*"  # user@host
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])(?::\d+)?"  # IPv4
    r"|(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])"  # IPv6, MAC
    r"|\bip-\d+-\d+-\d+-\d+[\w.-]*"  # what EC2 calls its hosts
    r"|\bi-[0-9a-f]{8,17}\b"  # an EC2 instance
    r"|(?<!\d)\d{12}(?!\d)"  # an AWS account
    r"|(?<![\w.])(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?(?![\w.])",  # host.domain
    re.IGNORECASE,
)


def scrub_value(name: str, value: str) -> str:
    """The value of an environment variable, fit to be published.

    A value that holds a path, an address, or the name of the user or host is replaced as a
    whole by "<path>", "<address>" or "<name>"; in a list of flags (``--a=1 --b=/x``) only the
    value of that flag is. A variable with a secret's name keeps nothing, and so does one that holds
    a name of somebody's own choice.
    """
    if _SECRET_NAME.search(name):
        return "<secret>"
    if name in _FREE_NAMES and value not in {"", PROCESS_TAG}:
        return "<name>"
    if not value.startswith("-"):
        return _kind_of(value) or value
    flags = re.split(r"\s+(?=-)", value)
    return " ".join(_scrub_flag(flag) for flag in flags)


def scrub_text(text: str) -> str:
    """A message, such as an error's, with paths, addresses and names replaced where they stand.

    Tracebacks and compilers name files by absolute paths, which hold user names; a file's own
    name is kept ("<path>/matmul.py"), since the message would say little without it.
    """
    text = _URL.sub("<address>", text)
    text = _ABSOLUTE.sub(_keep_file_name, text)
    text = _IDENTIFIER.sub("<address>", text)
    for name in _own_names():
        text = name.sub("<name>", text)
    return text


#: Absolute paths only: messages are full of divisions, dtypes and alternatives with a slash.
_ABSOLUTE = re.compile(
    r"(?<![\w<>])(?:~\w*|[A-Za-z]:)?(?:[/\\][\w.@+\-]+)*[/\\](?P<last>[\w.@+\-]+)[/\\]?"
)
#: Of the addresses only those that no ordinary message holds by chance.
_IDENTIFIER = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])(?::\d+)?"
    r"|\bip-\d+-\d+-\d+-\d+[\w.-]*"
    r"|\bi-[0-9a-f]{8,17}\b"
)


def _keep_file_name(path: re.Match[str]) -> str:
    last = path.group("last")
    return f"<path>/{last}" if "." in last else "<path>"


def _scrub_flag(flag: str) -> str:
    head, separator, rest = re.fullmatch(r"(-[^\s=]*)([\s=]*)(.*)", flag, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{_kind_of(head) or head}{separator}{_kind_of(rest) or rest}"


def _kind_of(value: str) -> str | None:
    """What would give somebody away: "<path>", "<address>", "<name>"; or ``None``."""
    if _URL.search(value):
        return "<address>"
    if _PATH.search(value):
        return "<path>"
    if _ADDRESS.search(value):
        return "<address>"
    return "<name>" if any(name.search(value) for name in _own_names()) else None


@cache
def _own_names() -> tuple[re.Pattern[str], ...]:
    """The names of this host, this user and this home, as whole words."""
    host = socket.gethostname()
    names = {host, host.partition(".")[0], socket.getfqdn(host) if "." in host else host}
    # A container may run under a number that has no name: then there is none to hide.
    with suppress(KeyError, OSError, RuntimeError):
        names.add(getpass.getuser())
    with suppress(RuntimeError):
        names.add(Path.home().name)
    return tuple(
        re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", re.IGNORECASE)
        for name in sorted(names, key=len, reverse=True)
        if name
    )
