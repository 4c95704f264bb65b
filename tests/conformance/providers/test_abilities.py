"""Every driver against the market it is made for: the suite's part on abilities."""

from holdfast.providers.conformance.abilities import *  # noqa: F403 (the tests themselves)
