"""Follows each aircraft from flight to flight. The contract, byte for byte, is ../rotation/README.md.

This module is the logic and knows no WebAssembly: the component hands it the host, tests hand it a dictionary.
"""

import json
from typing import Any

from seriatim import Event, Host, Reject, Retry, subject_token

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
THRESHOLD_MAX = 24 * 60
FLIGHT = ("carrier", "flight", "origin", "dest")
TOTALS = ("alerts", "diversions", "flights", "inherited", "late_arrival", "late_departure", "minutes", "untimed")


def handle(event: Event, host: Host) -> None:
    """Handles one event of one aircraft."""
    limit = threshold(host.config_get("threshold-minutes"))
    if event.kind == "departure":
        departed(event, limit, host)
    elif event.kind in ("arrival", "diversion"):
        ended(event, host)
    else:
        raise Reject(f'kind "{event.kind}" is none of departure, arrival, diversion')


def departed(event: Event, limit: int, host: Host) -> None:
    payload = common(event)
    dep_delay = whole("payload", payload, "dep_delay", -(2**31), 2**31 - 1)
    aircraft = load(host)
    if aircraft["airborne"]:
        raise impossible(event, payload, aircraft["airborne"])
    previous, total = aircraft["previous"], aircraft["total"]
    late = max(dep_delay, 0)
    inherited = inherited_of(late, previous)
    add(total, "late_departure", late)
    add(total, "inherited", inherited or 0)
    flight = {name: payload[name] for name in FLIGHT}
    if late > limit:
        add(total, "alerts", 1)
        own = None if inherited is None else late - inherited
        alert = {"cause": cause(late, inherited), "dep_delay": dep_delay, "inherited": inherited, "own": own, "previous": previous}
        emit(host, "alert", event, flight | alert | {"tailnum": payload["tailnum"], "threshold": limit, "time": payload["time"]})
    aircraft["airborne"] = flight | {"dep_delay": dep_delay, "inherited": inherited}
    save(host, aircraft)


def ended(event: Event, host: Host) -> None:
    payload = common(event)
    arr_delay = air_time = None
    if event.kind == "arrival":
        arr_delay = whole("payload", payload, "arr_delay", -(2**31), 2**31 - 1, null=True)
        air_time = whole("payload", payload, "air_time", 0, U32_MAX, null=True)
    aircraft = load(host)
    airborne, total = aircraft["airborne"], aircraft["total"]
    flight = {name: payload[name] for name in FLIGHT}
    if not airborne or any(airborne[name] != flight[name] for name in FLIGHT):
        raise impossible(event, payload, airborne)
    add(total, "flights", 1)
    add(total, "diversions", int(event.kind == "diversion"))
    add(total, "late_arrival", max(arr_delay or 0, 0))
    add(total, "minutes", air_time or 0)
    add(total, "untimed", int(air_time is None))
    summary = {"air_time": air_time, "arr_delay": arr_delay, "outcome": event.kind, "total": total}
    emit(host, "summary", event, airborne | summary | {"tailnum": payload["tailnum"], "time": payload["time"]})
    aircraft["airborne"] = None
    aircraft["previous"] = flight | {"time": payload["time"], "arr_delay": arr_delay}
    save(host, aircraft)


def threshold(text: str | None) -> int:
    """How late a departure may be without an alert. A setting can be put right, so without a good one the event is tried again."""
    if text is None:
        raise Retry('config "threshold-minutes" is missing: how many minutes late a departure may be without an alert')
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > 4 or int(text) > THRESHOLD_MAX:
        raise Retry(f'config "threshold-minutes" is "{text}": not a whole number from 0 to {THRESHOLD_MAX}')
    return int(text)


def inherited_of(late: int, previous: dict | None) -> int | None:
    """How many of the minutes may have come from the late arrival before; None if nobody knows."""
    if late == 0:
        return 0
    if previous is None or previous["arr_delay"] is None:
        return None
    return min(late, max(previous["arr_delay"], 0))


def cause(late: int, inherited: int | None) -> str:
    if inherited is None:
        return "unknown"
    return "late-aircraft" if 2 * inherited >= late else "other"


def impossible(event: Event, payload: dict, airborne: dict | None) -> Reject:
    place = f"airborne with {name_of(airborne)}" if airborne else "on the ground"
    return Reject(f"{event.kind} of {name_of(payload)} while {place}: impossible in true order")


def name_of(flight: dict) -> str:
    return f"{flight['carrier']}{flight['flight']} {flight['origin']}-{flight['dest']}"


def add(total: dict, name: str, amount: int) -> None:
    total[name] += amount
    if total[name] > U64_MAX:
        raise Reject("a total of the aircraft would be too large")


# JSON: what is read must be exactly as the contract says, what is written is the same bytes for the same value.


def common(event: Event) -> dict:
    """What every payload has; it must be about the event's aircraft."""
    payload = decode("payload", event.payload)
    flight_of("payload", payload)
    for name in ("tailnum", "time"):
        text("payload", payload, name)
    if payload["tailnum"] != event.entity:
        raise Reject(f'the payload\'s tailnum is "{payload["tailnum"]}", the entity is "{event.entity}"')
    return payload


def load(host: Host) -> dict:
    """The aircraft as it was left; a new one is on the ground and has flown nothing."""
    value = host.state_get("aircraft")
    if value is None:
        return {"airborne": None, "previous": None, "total": dict.fromkeys(TOTALS, 0)}
    what = "state `aircraft`"
    aircraft = decode(what, value)
    if airborne := member(what, aircraft, "airborne", dict, null=True):
        flight_of(what, airborne)
        whole(what, airborne, "dep_delay", -(2**31), 2**31 - 1)
        whole(what, airborne, "inherited", 0, U32_MAX, null=True)
    if previous := member(what, aircraft, "previous", dict, null=True):
        flight_of(what, previous)
        text(what, previous, "time")
        whole(what, previous, "arr_delay", -(2**31), 2**31 - 1, null=True)
    total = member(what, aircraft, "total", dict)
    for name in TOTALS:
        whole(what, total, name, 0, U64_MAX)
    return aircraft


def save(host: Host, aircraft: dict) -> None:
    host.state_set("aircraft", encode(aircraft))


def emit(host: Host, what: str, event: Event, message: dict) -> None:
    host.emit(f"rotation.{what}.{subject_token(event.entity)}", [], encode(message))


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def decode(what: str, value: bytes) -> dict:
    def refuse(constant: str):
        raise ValueError(f"{constant} is no number")

    try:
        # A whole number is written without fraction and exponent, and zero without a sign.
        decoded = json.loads(value.decode(), parse_constant=refuse, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))
        # Half of a surrogate pair is no text.
        json.dumps(decoded, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Reject(f"{what} is not the expected JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise wrong(what, "not an object")
    return decoded


def flight_of(what: str, value: dict) -> None:
    for name in ("carrier", "origin", "dest"):
        text(what, value, name)
    whole(what, value, "flight", 0, U32_MAX)


def text(what: str, value: dict, name: str) -> str:
    return member(what, value, name, str)


def whole(what: str, value: dict, name: str, low: int, high: int, null: bool = False) -> int | None:
    number = member(what, value, name, int, null)
    # True and False are ints to Python.
    if number is not None and (isinstance(number, bool) or not low <= number <= high):
        raise wrong(what, f"`{name}` is not a whole number from {low} to {high}")
    return number


def member(what: str, value: dict, name: str, kind: type, null: bool = False) -> Any:
    if name not in value:
        raise wrong(what, f"`{name}` is missing")
    found = value[name]
    if not isinstance(found, kind) and not (null and found is None):
        raise wrong(what, f"`{name}` is of another type")
    return found


def wrong(what: str, why: str) -> Reject:
    return Reject(f"{what} is not the expected JSON: {why}")
