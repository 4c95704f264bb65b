"""Every driver against the market it is made for: the suite's part on searching."""

from holdfast.providers.conformance.searching import *  # noqa: F403 (the tests themselves)
