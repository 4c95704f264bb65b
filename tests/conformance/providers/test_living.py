"""Every driver against the market it is made for: the suite's part on living."""

from holdfast.providers.conformance.living import *  # noqa: F403 (the tests themselves)
