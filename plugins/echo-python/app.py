"""The component: what the host calls is the logic in echo.py."""

from echo import handle
from seriatim.component import component

WitWorld = component(handle)
