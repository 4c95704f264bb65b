"""The one list of stores."""

from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.base import Store
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.settings import MirrorSettings, Settings


def open_store(settings: Settings) -> Store:
    """The store that the settings name. Nothing is contacted before the first use."""
    if settings.store.kind == "s3":
        return S3Store(settings.store)
    return FolderStore(settings.store_folder())


def open_mirror(name: str, settings: MirrorSettings) -> Mirror:
    """A further store. Nothing is contacted before the first use."""
    if settings.kind == "s3":
        return Mirror(name, S3Store(settings), settings.regions())
    assert settings.path is not None  # the settings see to it
    return Mirror(name, FolderStore(settings.path), settings.regions())
