"""The component: joins the logic in echo.py to the world `seriatim:handler/handler`. componentize-py makes the module `wit_world`."""

import traceback

import echo
import wit_world
from componentize_py_types import Err
from wit_world.imports import config, log, output, state, types


class Host:
    def config_get(self, key):
        return config.get(key)

    def state_get(self, key):
        return state.get(key)

    def state_set(self, key, value):
        state.set(key, value)

    def emit(self, subject, headers, payload):
        output.emit(subject, [types.Header(name, value) for name, value in headers], payload)


class WitWorld(wit_world.WitWorld):
    def handle(self, event):
        try:
            echo.handle(event, Host())
        except echo.Retry as failure:
            raise Err(types.Failure_Retry(failure.reason)) from None
        except echo.Reject as failure:
            raise Err(types.Failure_Reject(failure.reason)) from None
        except Exception:
            # It stays a trap; without this line nobody would learn where.
            log.write(log.Level.ERROR, traceback.format_exc(), [])
            raise
