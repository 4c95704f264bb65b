"""The methods that move workspaces: the part of the agent that also runs in-process for a local folder."""

from typing import Dict

from .methods import Method
from .restore import restore
from .scan import scan
from .upload import upload

TRANSFERS: Dict[str, Method] = {"scan": scan, "upload": upload, "restore": restore}
