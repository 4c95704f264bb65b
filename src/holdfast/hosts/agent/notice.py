"""Whether its provider has told this machine that it is taken back soon.

Only Google does: the metadata server of a Spot machine answers TRUE to `instance/preempted`. The system is asked to
shut down after as much notice as was ordered for the machine, which is none by default: it says TRUE in that moment
(https://cloud.google.com/compute/docs/instances/create-use-spot, `preemptionNoticeDuration`). What is left from there
until it is switched off, up to 30 seconds, belongs to the system's own shutdown, which ends every login first.
"""

import http.client
import math
import os
import threading
import time
from typing import Any, Dict, Optional, Tuple

from .methods import Json

_ADDRESS_VARIABLE = "GCE_METADATA_HOST"  # where Google's own clients look for another address
_USUAL_HOST = "metadata.google.internal"
_PRODUCT = "/sys/class/dmi/id/product_name"
_PREEMPTED = "preempted?wait_for_change=true&timeout_sec=60&last_etag="
_ORDERED = "attributes/holdfast-notice"  # seconds, as written by whoever rented the machine; absent: none
_MOST_S = 3600.0
_PATIENCE = 90.0  # seconds for an answer that may take 60
_PAUSE, _AGAIN = 0.5, 2.0  # seconds between two questions, and after one that failed


class NoticeWatch:
    """Asks in a thread of its own, from `begin` until there is a notice."""

    def __init__(self) -> None:
        self._notice: Optional[Dict[str, Any]] = None

    def begin(self) -> None:
        """Ask from now on, where there is somebody to ask."""
        address = _address()
        if address is not None:
            threading.Thread(target=self._watch, args=address, name="notice", daemon=True).start()

    def view(self) -> Json:
        """When the notice was seen, and how long the machine has from there; None before."""
        return {"notice": self._notice}

    def _watch(self, host: str, port: int) -> None:
        etag = "0"  # which no answer has: the first one comes at once
        while self._notice is None:
            try:
                word, etag = _ask(host, port, _PREEMPTED + etag)
            except (OSError, http.client.HTTPException):
                time.sleep(_AGAIN)
                continue
            if word == "TRUE":
                self._notice = {"at": time.time(), "for_s": _seconds_ordered(host, port)}
            # An answer that says nothing comes without waiting, and so does each of a server that cannot wait.
            time.sleep(_PAUSE if word == "FALSE" else _AGAIN)


def _seconds_ordered(host: str, port: int) -> float:
    try:
        seconds = float(_ask(host, port, _ORDERED)[0] or 0)
    except (OSError, http.client.HTTPException, ValueError):
        return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), _MOST_S)


def _ask(host: str, port: int, what: str) -> Tuple[str, str]:
    """The answer and what to know it by; without a proxy, which could not reach this address."""
    link = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        link.request("GET", f"/computeMetadata/v1/instance/{what}", headers={"Metadata-Flavor": "Google"})
        reply = link.getresponse()
        said = reply.read(64).decode("ascii", "replace").strip()
        return (said if reply.status == 200 else ""), reply.getheader("ETag") or "0"
    finally:
        link.close()


def _address() -> Optional[Tuple[str, int]]:
    """Of the metadata server; None on a machine that is not Google's, where the name could be anybody's."""
    host, _, port = os.environ.get(_ADDRESS_VARIABLE, "").partition(":")
    if host:
        return host, int(port) if port.isdigit() else 80
    return (_USUAL_HOST, 80) if _is_google() else None


def _is_google() -> bool:
    try:
        with open(_PRODUCT, encoding="ascii", errors="replace") as file:
            return "Google" in file.read(100)
    except OSError:
        return False
