"""Secrets that a spec names: looked up on the host worker at the last moment, never carried by Temporal."""

import os
from collections.abc import Mapping
from pathlib import Path

from temporalio.exceptions import ApplicationError

from holdfast.contracts.errors import ErrorType
from holdfast.contracts.spec import SecretRef

VARIABLE_PREFIX = "HOLDFAST_SECRET_"


class SecretSource:
    """A secret is a file named after it in `folder`, or else the variable `HOLDFAST_SECRET_<NAME>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resolve(self, environment: Mapping[str, str | SecretRef]) -> dict[str, str]:
        """The environment with every reference replaced by its value.

        Raises:
            ApplicationError: type `SecretMissing`; it names the secret and where it was looked for.
        """
        return {
            name: self._value(given) if isinstance(given, SecretRef) else given for name, given in environment.items()
        }

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def look_up(self, name: str) -> str | None:
        """The value, or None for a secret that is not there."""
        return self._find(name)

    def require(self, name: str) -> str:
        """The value. Raises as `resolve` does."""
        return self._value(SecretRef(secret=name))

    def _find(self, name: str) -> str | None:
        path = self._folder / name
        if path.is_file():
            return path.read_text().rstrip("\n")
        return os.environ.get(VARIABLE_PREFIX + name.upper())

    def _value(self, ref: SecretRef) -> str:
        value = self._find(ref.secret)
        if value is None:
            variable = VARIABLE_PREFIX + ref.secret.upper()
            message = f"secret {ref.secret!r} is neither a file in {self._folder} nor the variable {variable}"
            raise ApplicationError(message, type=ErrorType.SECRET_MISSING, non_retryable=True)
        return value
