"""What a method of the agent looks like. Which ones there are is said in `registry.py` and `daemon.py`.

Each is called with its parameters, `ask` (put a question to the control side and wait for its answer) and `note` (tell
the control side how far it is). Both raise AgentFailure when nobody listens any more, which ends the method.
"""

import threading
from typing import Any, Callable, Dict

from .failures import AgentFailure

Json = Dict[str, Any]
Ask = Callable[[str, Json], Json]
Note = Callable[[Json], None]
Method = Callable[[Json, Ask, Note], Json]


class OneAtATime:
    """Let one transfer run at a time: two saves of one workspace would only slow and confuse each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def wrap(self, method: Method) -> Method:
        """The same method, refused with kind `busy` while another wrapped one runs."""

        def guarded(params: Json, ask: Ask, note: Note) -> Json:
            if not self._lock.acquire(blocking=False):
                raise AgentFailure("busy", "another save or restore runs on this machine")
            try:
                return method(params, ask, note)
            finally:
                self._lock.release()

        return guarded
