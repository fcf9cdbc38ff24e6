"""A handler that remembers what it must not: see ../README.md."""

from seriatim.component import component

remembered = bytearray()


def handle(event, host):
    host.emit("out.globals", [], bytes(remembered))
    remembered.extend(event.payload)
    host.state_delete("nothing")
    host.log("debug", "remembered")


WitWorld = component(handle)
