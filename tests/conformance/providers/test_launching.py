"""Every driver against the market it is made for: the suite's part on launching."""

from holdfast.providers.conformance.launching import *  # noqa: F403 (the tests themselves)
