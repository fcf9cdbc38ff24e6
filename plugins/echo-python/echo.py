"""The smallest handler: sends every event on, with its sequence and a counter.

This module is the logic and knows no WebAssembly: `app.py` hands it the host, tests hand it a dictionary.
"""

from dataclasses import dataclass
from typing import Protocol


class Host(Protocol):
    """What a handler may ask of its host; `wit/handler.wit` describes each item."""

    def config_get(self, key: str) -> str | None: ...
    def state_get(self, key: str) -> bytes | None: ...
    def state_set(self, key: str, value: bytes) -> None: ...
    def emit(self, subject: str, headers: list[tuple[str, str]], payload: bytes) -> None: ...


@dataclass
class Retry(Exception):
    """It may work later: try again by the pipeline's policy."""

    reason: str


@dataclass
class Reject(Exception):
    """It can never work: give the event up."""

    reason: str


def handle(event, host: Host) -> None:
    """Handles one event: counts it and sends its payload on."""
    to = host.config_get("to")
    if to is None:
        raise Retry("the handler's config has no `to`")
    count = stored_count(host.state_get("count")) + 1
    host.state_set("count", str(count).encode())
    headers = [("Echo-Sequence", str(event.sequence)), ("Echo-Count", str(count))]
    host.emit(f"{to}.{subject_token(event.entity)}", headers, event.payload)


def stored_count(value: bytes | None) -> int:
    """The counter as it was left; none begins at 0."""
    if value is None:
        return 0
    if not value.isdigit():
        raise Reject("state `count` is not the expected JSON: not a whole number")
    return int(value)


def subject_token(entity: str) -> str:
    """An entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX."""
    safe = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    return "".join(chr(byte) if byte in safe else f"={byte:02X}" for byte in entity.encode())
