"""Makes a function a component for the world `seriatim:handler/handler`: `WitWorld = component(handle)` in the module that componentize-py is given.

Only the component has this module: componentize-py makes `wit_world` and `componentize_py_types`.
"""

import traceback

import wit_world
from componentize_py_types import Err
from wit_world.imports import config, log, output, state, types

from seriatim import Event, Reject, Retry


class World:
    """The host, as `seriatim.Host` describes it."""

    def config_get(self, key):
        return config.get(key)

    def state_get(self, key):
        return state.get(key)

    def state_set(self, key, value):
        state.set(key, value)

    def state_delete(self, key):
        state.delete(key)

    def emit(self, subject, headers, payload):
        output.emit(subject, [types.Header(name, value) for name, value in headers], payload)

    def log(self, level, message):
        log.write(log.Level[level.upper()], message, [])


def component(handle):
    """The class that the host calls, for `handle(event, host)`."""

    class WitWorld(wit_world.WitWorld):
        def handle(self, event):
            headers = [(header.name, header.value) for header in event.headers]
            try:
                handle(Event(**{**vars(event), "headers": headers}), World())
            except Retry as failure:
                raise Err(types.Failure_Retry(failure.reason)) from None
            except Reject as failure:
                raise Err(types.Failure_Reject(failure.reason)) from None
            except Exception:
                # It stays a trap; without this line nobody would learn where.
                log.write(log.Level.ERROR, traceback.format_exc(), [])
                raise

    return WitWorld
