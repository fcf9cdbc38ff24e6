"""The smallest handler: sends every event on, with its sequence and a counter.

This module is the logic and knows no WebAssembly: the component hands it the host, tests hand it a dictionary.
"""

from seriatim import Event, Host, Reject, Retry, subject_token


def handle(event: Event, host: Host) -> None:
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
