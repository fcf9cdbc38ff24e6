"""A handler that remembers what it must not: see ../README.md."""

from itertools import count

from seriatim.component import component

remembered = bytearray()


def overdo(kind, host):
    """Reaches the limit that the event's type names."""
    kept = []
    while kind == "spin":
        pass
    while kind == "grow":
        kept.append(b"\1" * (1 << 20))
    if kind == "fill":
        for key in count():
            host.state_set(f"k{key}", bytes(1000))
    while kind == "chatter":
        host.log("info", "and on")


def handle(event, host):
    overdo(event.kind, host)
    host.emit("out.globals", [], bytes(remembered))
    remembered.extend(event.payload)
    host.state_delete("nothing")
    host.log("debug", "remembered")


WitWorld = component(handle)
