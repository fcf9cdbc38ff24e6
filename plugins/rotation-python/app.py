"""The component: what the host calls is the logic in rotation.py."""

from rotation import handle
from seriatim.component import component

WitWorld = component(handle)
