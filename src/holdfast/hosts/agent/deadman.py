"""The dead-man lease: work that nobody asks for any more is stopped, and a machine that can end itself does.

Two moments. At the deadline the work is told to end, unless it may finish alone. Some time later, when it has ended,
the machine ends itself, if its provider lets it: until then whoever comes back finds the disk as it was. Both count in
the machine's time since boot, so that neither a new daemon nor a corrected clock moves them; after a boot the whole
lease begins anew.
"""

import json
import os
import sys
import threading
import time
import urllib.request
from typing import Any, Callable, Dict, Optional

from .failures import AgentFailure
from .home import Home
from .processes import boot_id, environment_of

_FILE = "lease.json"
_GLANCE = 0.5  # seconds between two looks at the deadline
_LONGEST_ANSWER = 65_536
_RETRY = 30.0  # seconds between two tries to end the machine
_OLDER_LEASE = 900.0  # seconds, of a lease whose length an older agent did not write down


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class DeadMan:
    """Keep the deadline; when it passes, call `stop` and, later, the machine's own end."""

    def __init__(self, home: Home, stop: Callable[[float], Any], works: Callable[[], bool]) -> None:
        self._home = home
        self._stop = stop
        self._works = works
        self._changing = threading.Lock()
        self._trouble = ""  # with the last look at the deadline
        self._lease: Optional[Dict[str, Any]] = home.read(_FILE)
        threading.Thread(target=self._watch, name="deadman", daemon=True).start()

    def lease(self, seconds: float, grace: float, terms: Dict[str, Any]) -> Dict[str, Any]:
        """Set a new lease, replacing any.

        Of `terms`, each may be missing: `self_destruct` (url, method and token_env, whose value is the token),
        `end_after_s` (from the end of the work, no earlier than the deadline, to the end of the machine), and
        `finish_alone` (the work is not stopped at the deadline).
        """
        kept = {
            "for_s": seconds,
            "grace_s": grace,
            "self_destruct": terms.get("self_destruct"),
            "end_after_s": float(terms.get("end_after_s") or 0),
            "finish_alone": bool(terms.get("finish_alone")),
            "fired_at": None,
        }
        with self._changing:
            self._keep({**kept, **_deadline(seconds)})
        return self.view()

    def renew(self, seconds: float) -> Dict[str, Any]:
        """Move the deadline. Refused with kind `deadman` when it has passed: the work is no more."""
        with self._changing:
            lease = self._lease
            if lease is None:
                raise AgentFailure("bad_request", "there is no lease to renew")
            if lease["fired_at"] is not None:
                raise AgentFailure("deadman", "the lease ran out and the work was stopped")
            self._keep({**lease, "for_s": seconds, **_deadline(seconds)})
        return self.view()

    def view(self) -> Dict[str, Any]:
        """Seconds left, or None without a lease; and when the dead man's switch fired, or None."""
        lease = self._lease
        if lease is None:
            return {"lease_left_s": None, "deadman_at": None}
        return {"lease_left_s": round(lease["deadline"] - _now(), 1), "deadman_at": lease["fired_at"]}

    def _keep(self, lease: Dict[str, Any]) -> None:
        self._lease = lease  # first: a full disk must not keep the lease from being renewed, or from running out
        self._home.write(_FILE, lease)

    def _watch(self) -> None:
        lease = self._lease  # read once: whoever sets another one meanwhile does not want that one fired
        if lease is not None and lease["fired_at"] is not None:
            self._fire(lease)  # an earlier daemon may have been killed in the middle of it
        while True:
            time.sleep(_GLANCE)
            due = self._look()
            if due is not None:
                self._fire(due)

    def _look(self) -> Optional[Dict[str, Any]]:
        """As `_due`. A look that fails is taken again: the thread must outlive it, or no lease would ever run out."""
        try:
            with self._changing:
                due = self._due()
            self._trouble = ""
        except Exception as error:
            if str(error) != self._trouble:  # said once: the log lies on a disk that may be small
                self._trouble = str(error)
                print(f"cannot look at the lease: {error}", file=sys.stderr, flush=True)
            return None
        return due

    def _due(self) -> Optional[Dict[str, Any]]:
        """The lease that has just run out, marked as fired unless it stops nothing; else None."""
        lease = self._lease
        if lease is None or lease["fired_at"] is not None:
            return None
        if lease["boot"] != boot_id():  # its deadline means nothing here, and whoever is gone must not be waited for
            self._keep({**lease, **_deadline(lease.get("for_s", _OLDER_LEASE))})
            return None
        if _now() < lease["deadline"]:
            return None
        if lease.get("finish_alone"):
            return None if lease["self_destruct"] is None or self._works() else lease
        try:
            self._keep({**lease, "fired_at": time.time()})
        except OSError as error:
            print(f"cannot record that the lease ran out: {error}", file=sys.stderr, flush=True)
        return self._lease

    def _fire(self, lease: Dict[str, Any]) -> None:
        """Until both is done, whatever happens to either, or until somebody renews the lease or sets a new one.

        A provider that agreed is asked again for as long as we are here to ask: the machine has not ended.
        """
        print("nobody renewed the lease: the work ends, then the machine", file=sys.stderr, flush=True)
        stopped = bool(lease.get("finish_alone"))
        hook = lease["self_destruct"]
        end_at = _now() + lease.get("end_after_s", 0.0)
        while self._lease is lease:
            stopped = stopped or self._try_to_stop(lease["grace_s"])
            if hook is None and stopped:
                return
            if hook is not None and _now() >= end_at:
                _end_machine(hook)
            self._wait(lease, min(_RETRY, end_at - _now()) if stopped and end_at > _now() else _RETRY)

    def _wait(self, lease: Dict[str, Any], seconds: float) -> None:
        """No longer than the lease stays as it is."""
        until = _now() + seconds
        while self._lease is lease and _now() < until:
            time.sleep(min(_GLANCE, max(until - _now(), 0.0)))

    def _try_to_stop(self, grace: float) -> bool:
        try:
            self._stop(grace)
        except Exception as error:  # the thread must outlive it, or no lease would ever run out again
            print(f"cannot stop the work: {error}", file=sys.stderr, flush=True)
            return False
        return True


def _deadline(seconds: float) -> Dict[str, Any]:
    return {"boot": boot_id(), "deadline": _now() + seconds}


def _end_machine(hook: Dict[str, str]) -> None:
    """Ask the provider to end this machine."""
    try:
        request = urllib.request.Request(hook["url"], method=hook["method"], data=json.dumps({}).encode())
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {_machine_variable(hook['token_env'])}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            agreed = answer.status < 300 and not _says_no(answer.read(_LONGEST_ANSWER))
            print(f"the provider {'agreed' if agreed else 'refused'} to end this machine", file=sys.stderr, flush=True)
    except Exception as error:  # an odd answer raises what is no OSError, as does an address of no use
        print(f"cannot end this machine: {error}", file=sys.stderr, flush=True)


def _says_no(answer: bytes) -> bool:
    """Some providers refuse with status 200 and `"success": false`."""
    try:
        said = json.loads(answer)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("success") is False


def _machine_variable(name: str) -> str:
    """A variable of ours, or of the machine's first process: logins do not always inherit those."""
    if name in os.environ:
        return os.environ[name]
    try:
        return environment_of(1).get(name, "")
    except OSError:
        return ""
