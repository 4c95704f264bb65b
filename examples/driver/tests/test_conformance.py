"""The driver keeps the promises of `holdfast.providers.base`. The tests come from Holdfast."""

from holdfast.providers.conformance.abilities import *  # noqa: F403
from holdfast.providers.conformance.launching import *  # noqa: F403
from holdfast.providers.conformance.living import *  # noqa: F403
from holdfast.providers.conformance.searching import *  # noqa: F403
