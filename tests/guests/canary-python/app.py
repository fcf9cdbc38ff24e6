"""A handler that remembers what it must not: see ../README.md."""

import wit_world
from wit_world.imports import output

remembered = bytearray()


class WitWorld(wit_world.WitWorld):
    def handle(self, event):
        output.emit("out.globals", [], bytes(remembered))
        remembered.extend(event.payload)
