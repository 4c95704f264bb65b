"""Verdicts over time: a world in which only the API or our own side is ill, and one in which the machine is gone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from holdfast.contracts.incidents import Evidence, Reach, Verdict
from holdfast.contracts.machines import InstanceState, Terms
from holdfast.policy.verdicts import judge
from holdfast.workflows.weighing import FIRST_LOOK_AGAIN, longest_wait

PATIENCE = timedelta(seconds=30)
STORIES = range(300)
# Whatever an API may say of a machine that runs when it is ill: nothing, something odd, or that it cannot see it.
NO_WORD_OF_AN_END = (InstanceState.RUNNING, InstanceState.STARTING, InstanceState.UNKNOWN)


def looks(dice: random.Random, *, for_: timedelta) -> Iterator[timedelta]:
    """When a suspicion looks again, as the workflow does; each look itself takes a while."""
    at, wait = timedelta(), FIRST_LOOK_AGAIN
    while at < for_:
        at += wait + timedelta(seconds=dice.uniform(0.05, 20))
        yield at
        wait = min(wait * 2, longest_wait(at))


@dataclass
class Illness:
    """What is ill at one moment, drawn anew at each look. The machine is fine all the time."""

    network: bool  # of the worker that looks
    api: bool
    alone: bool  # no other machine of ours is there to compare with

    def evidence(self, dice: random.Random, silent_for: timedelta) -> Evidence:
        reach = Reach.ANSWERS
        if self.network:
            reach = dice.choice([Reach.SILENT, Reach.NOT_TRIED])
        # One worker looks at both, or two do that share the network: what ails one side ails the other.
        api_answers = not self.api and not (self.network and self.alone)
        return Evidence(
            reach=reach,
            silent_for=timedelta() if reach is Reach.ANSWERS else silent_for,
            state=dice.choice(NO_WORD_OF_AN_END) if api_answers else dice.choice(list(InstanceState)),
            provider_answers=api_answers,
            we_are_online=not self.network and not self.alone,
            own_side_doubtful=self.network and not self.alone,
        )


@pytest.mark.parametrize("terms", Terms)
def test_while_only_the_api_or_our_own_side_is_ill_nothing_is_ever_lost(terms: Terms) -> None:
    for seed in STORIES:
        dice = random.Random(seed)
        alone = dice.random() < 0.5
        last_heard = timedelta()
        for at in looks(dice, for_=timedelta(hours=6)):
            ill = Illness(network=dice.random() < 0.7, api=dice.random() < 0.7, alone=alone)
            evidence = ill.evidence(dice, at - last_heard)
            if evidence.reach is Reach.ANSWERS:
                last_heard = at
            said = judge(evidence, silence=PATIENCE, terms=terms)
            assert said.verdict is not Verdict.LOST, (seed, at, evidence, said)


@pytest.mark.parametrize("terms", Terms)
@pytest.mark.parametrize("silence", [timedelta(seconds=2), PATIENCE, timedelta(minutes=10)])
def test_a_machine_that_is_gone_is_found_within_the_patience_and_one_look(silence: timedelta, terms: Terms) -> None:
    """Looks are at most a minute apart, and one takes 20 s at most; some proof of our own side must stand."""
    bound = silence + timedelta(minutes=1, seconds=20)
    for seed in STORIES:
        dice = random.Random(seed)
        others = dice.random() < 0.5
        for at in looks(dice, for_=timedelta(hours=6)):
            evidence = Evidence(
                reach=Reach.SILENT,
                silent_for=at,
                state=dice.choice([*NO_WORD_OF_AN_END, InstanceState.OFFLINE]),
                provider_answers=not others or dice.random() < 0.5,
                we_are_online=others,
            )
            if judge(evidence, silence=silence, terms=terms).verdict is Verdict.LOST:
                assert silence <= at <= bound, (seed, at)
                break
        else:
            raise AssertionError(f"never found: {seed}")


def test_a_machine_of_which_its_provider_says_that_it_is_gone_is_found_at_the_first_look() -> None:
    evidence = Evidence(reach=Reach.SILENT, state=InstanceState.GONE, provider_answers=True)
    assert judge(evidence, silence=timedelta(days=1), terms=Terms.ON_DEMAND).verdict is Verdict.LOST


def test_twenty_five_time_outs_of_a_status_call_in_nineteen_hours_lose_nothing() -> None:
    """As in a public incident, in which each of 24 of them destroyed a healthy job."""
    for seed in STORIES:
        dice = random.Random(seed)
        time_outs = sorted(dice.uniform(0, 19 * 3600) for _ in range(25))
        for _ in time_outs:
            # The agent answers; or it is not even asked, because the look was for the provider's word alone.
            for reach in (Reach.ANSWERS, Reach.NOT_TRIED):
                stale = dice.choice(list(InstanceState))
                evidence = Evidence(reach=reach, state=stale, provider_answers=False)
                said = judge(evidence, silence=PATIENCE, terms=dice.choice(list(Terms)))
                assert said.verdict in (Verdict.ALIVE, Verdict.UNKNOWN)


def test_the_verdict_does_not_flap_while_signals_alternate_within_the_patience() -> None:
    """A machine that answers every now and then, less than the patience apart, is never given up between."""
    for seed in STORIES:
        dice = random.Random(seed)
        silent_for = timedelta()
        for _ in range(200):
            silent_for += timedelta(seconds=dice.uniform(0.5, 10))
            answers = silent_for > PATIENCE - timedelta(seconds=10)
            evidence = Evidence(
                reach=Reach.ANSWERS if answers else Reach.SILENT,
                silent_for=silent_for,
                state=dice.choice([*NO_WORD_OF_AN_END, InstanceState.OFFLINE]),
                provider_answers=dice.random() < 0.7,
                we_are_online=dice.random() < 0.5,
            )
            assert judge(evidence, silence=PATIENCE, terms=Terms.INTERRUPTIBLE).verdict is not Verdict.LOST
            silent_for = timedelta() if answers else silent_for
