"""The agent packed into one file that any Python 3.8+ runs."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from holdfast.hosts.packing import packed

_PACKAGE = "holdfast_agent"


@dataclass(frozen=True, kw_only=True)
class AgentBundle:
    """The packed agent; its file name carries its digest, so a changed agent never meets an older one's file."""

    data: bytes
    digest: str
    name: str


@cache
def agent_bundle() -> AgentBundle:
    """Pack the agent's modules. Deterministic; done once per process."""
    data = packed("holdfast.hosts.agent", as_package=_PACKAGE, left_out=("bootstrap.py",))
    digest = hashlib.sha256(data).hexdigest()
    return AgentBundle(data=data, digest=digest, name=f"agent-{digest[:16]}.pyz")


def bootstrap_source() -> str:
    """The program that receives the bundle on the machine."""
    return resources.files("holdfast.hosts.agent").joinpath("bootstrap.py").read_text(encoding="utf-8")
