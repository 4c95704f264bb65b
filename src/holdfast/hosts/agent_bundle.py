"""The agent packed into one file that any Python 3.8+ runs."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import resources

_PACKAGE = "holdfast_agent"
_MAIN = f"import sys\nfrom {_PACKAGE}.main import main\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip file knows: the same sources give the same bytes


@dataclass(frozen=True, kw_only=True)
class AgentBundle:
    """The packed agent; its file name carries its digest, so a changed agent never meets an older one's file."""

    data: bytes
    digest: str
    name: str


@cache
def agent_bundle() -> AgentBundle:
    """Pack the agent's modules. Deterministic; done once per process."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        folder = resources.files("holdfast.hosts.agent")
        for module in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if module.name.endswith(".py") and module.name != "bootstrap.py":
                _add(archive, f"{_PACKAGE}/{module.name}", module.read_bytes())
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    return AgentBundle(data=data, digest=digest, name=f"agent-{digest[:16]}.pyz")


def bootstrap_source() -> str:
    """The program that receives the bundle on the machine."""
    return resources.files("holdfast.hosts.agent").joinpath("bootstrap.py").read_text(encoding="utf-8")


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
