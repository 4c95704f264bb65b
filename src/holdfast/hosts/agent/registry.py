"""The methods that move workspaces: the part of the agent that also runs in-process for a local folder."""

from typing import Dict

from .methods import Method

TRANSFERS: Dict[str, Method] = {}
