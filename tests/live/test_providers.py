"""The conformance suite on real accounts, as far as a provider can be tried without its help."""

import pytest

from holdfast.providers.conformance.abilities import *  # noqa: F403
from holdfast.providers.conformance.launching import *  # noqa: F403
from holdfast.providers.conformance.living import *  # noqa: F403
from holdfast.providers.conformance.searching import *  # noqa: F403
from tests.live.lane import TEST_LIMIT

pytestmark = [pytest.mark.live, pytest.mark.timeout(TEST_LIMIT.total_seconds())]
