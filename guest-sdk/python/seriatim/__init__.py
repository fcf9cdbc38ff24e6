"""The world `seriatim:handler/handler@0.1.0` for Python: what most handlers use of it. `wit/handler.wit` says what each item means.

Nothing here knows WebAssembly: a handler is a function of an event and a host, and its tests hand it a host of their own. `seriatim.component` makes it
a component.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass
class Event:
    """One message of the stream, decoded and in its turn."""

    entity: str
    sequence: int = 1
    payload: bytes = b""
    kind: str = ""
    id: str = ""
    subject: str = ""
    #: In milliseconds since 1970.
    time: int = 0
    epoch: int = 0
    stream_sequence: int = 1
    pipeline: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


class Host(Protocol):
    """What a handler may ask of its host."""

    def config_get(self, key: str) -> str | None: ...
    def state_get(self, key: str) -> bytes | None: ...
    def state_set(self, key: str, value: bytes) -> None: ...
    def state_delete(self, key: str) -> None: ...
    def emit(self, subject: str, headers: list[tuple[str, str]], payload: bytes) -> None: ...
    def log(self, level: str, message: str) -> None: ...


@dataclass
class Retry(Exception):
    """It may work later: try again by the pipeline's policy."""

    reason: str


@dataclass
class Reject(Exception):
    """It can never work: give the event up."""

    reason: str


def subject_token(entity: str) -> str:
    """An entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX."""
    safe = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    return "".join(chr(byte) if byte in safe else f"={byte:02X}" for byte in entity.encode())
