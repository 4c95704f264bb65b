"""The scheduled survey leaves most of what a provider allows to those who need a machine."""

from datetime import timedelta

from holdfast.providers.vast.endpoints import SEARCH
from holdfast.settings import MarketSettings
from holdfast.workers.standing import SURVEY_PAUSE


def test_a_survey_takes_no_more_than_a_quarter_of_the_searches_that_vast_allows() -> None:
    in_a_window = 2 * (SEARCH.pace.per / SURVEY_PAUSE)  # on demand and interruptible, for each GPU
    assert in_a_window <= SEARCH.pace.calls / 4


def test_the_gpus_that_are_watched_at_first_are_all_asked_for_within_a_third_of_the_hour() -> None:
    settings = MarketSettings()
    assert len(settings.watched()) * SURVEY_PAUSE <= settings.every / 3
    assert settings.every == timedelta(hours=1)
