"""Packages of ours that run elsewhere, each packed into one file that Python runs."""

import io
import zipfile
from collections.abc import Sequence
from importlib import resources

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip file knows: the same sources give the same bytes


def packed(package: str, *, as_package: str, left_out: Sequence[str] = ()) -> bytes:
    """The modules of a package under another name, begun by the function `main` of its module `main`.

    Deterministic: the same sources give the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", f"import sys\nfrom {as_package}.main import main\nsys.exit(main())\n".encode())
        for module in sorted(resources.files(package).iterdir(), key=lambda entry: entry.name):
            if module.name.endswith(".py") and module.name not in left_out:
                _add(archive, f"{as_package}/{module.name}", module.read_bytes())
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
