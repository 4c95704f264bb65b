"""Verdicts: each rule by example, and the promises over every combination of evidence."""

from datetime import timedelta
from itertools import product

import pytest

from holdfast.contracts.incidents import Cause, Evidence, Judgement, Reach, Verdict
from holdfast.contracts.machines import InstanceState, Terms
from holdfast.policy.verdicts import judge

PATIENCE = timedelta(seconds=30)
SPANS = (timedelta(), PATIENCE - timedelta(seconds=1), PATIENCE, timedelta(days=3))
EVERY_EVIDENCE = [
    Evidence(
        reach=reach,
        silent_for=silent_for,
        state=state,
        state_detail=detail,
        provider_answers=answers,
        we_are_online=online,
        own_side_doubtful=doubtful,
        stop_requested=asked,
    )
    for reach, silent_for, state, detail, answers, online, doubtful, asked in product(
        Reach, SPANS, InstanceState, ("", "contract expired"), *((True, False),) * 4
    )
]
# What a provider may truly say of a machine that has ended. The rest is no word about its end.
ENDED = {
    InstanceState.GONE,
    InstanceState.FAILED,
    InstanceState.EXITED,
    InstanceState.INTERRUPTED,
    InstanceState.STOPPED,
    InstanceState.WAITING,
    InstanceState.OFFLINE,
}


def verdict_on(evidence: Evidence, terms: Terms = Terms.INTERRUPTIBLE) -> Judgement:
    return judge(evidence, silence=PATIENCE, terms=terms)


def outcome(terms: Terms = Terms.INTERRUPTIBLE, **facts: object) -> tuple[Verdict, Cause | None]:
    judged = verdict_on(Evidence(**facts), terms)  # type: ignore[arg-type]  # the facts are each test's own
    return judged.verdict, judged.cause


@pytest.mark.parametrize("terms", Terms)
class TestOverEveryCombination:
    def test_a_machine_that_answers_is_alive(self, terms: Terms) -> None:
        answering = [each for each in EVERY_EVIDENCE if each.reach is Reach.ANSWERS]
        assert {verdict_on(each, terms).verdict for each in answering} == {Verdict.ALIVE}

    def test_a_provider_that_does_not_answer_is_not_quoted(self, terms: Terms) -> None:
        for each in EVERY_EVIDENCE:
            if not each.provider_answers:
                unsaid = Evidence(
                    reach=each.reach,
                    silent_for=each.silent_for,
                    we_are_online=each.we_are_online,
                    own_side_doubtful=each.own_side_doubtful,
                    stop_requested=each.stop_requested,
                )
                judged, blank = verdict_on(each, terms), verdict_on(unsaid, terms)
                assert (judged.verdict, judged.cause) == (blank.verdict, blank.cause), each

    def test_an_api_outage_alone_never_loses_a_machine(self, terms: Terms) -> None:
        outage = [each for each in EVERY_EVIDENCE if not each.provider_answers and not each.we_are_online]
        assert outage
        assert Verdict.LOST not in {verdict_on(each, terms).verdict for each in outage}

    def test_a_worker_that_is_ill_alone_never_loses_a_machine(self, terms: Terms) -> None:
        """No other machine answers it either, or its key is wrong; no provider says that this machine has ended."""
        ill = [
            each
            for each in EVERY_EVIDENCE
            if each.own_side_doubtful
            and not each.we_are_online
            and each.reach in (Reach.SILENT, Reach.REFUSES, Reach.NOT_TRIED)
            and not (each.provider_answers and each.state in ENDED)
        ]
        assert ill
        assert {verdict_on(each, terms).verdict for each in ill} <= {Verdict.UNKNOWN, Verdict.SUSPECT}

    def test_an_api_that_is_ill_alone_never_loses_a_machine(self, terms: Terms) -> None:
        """It answers nothing, or has lost sight of a machine that answers us."""
        ill = [
            each
            for each in EVERY_EVIDENCE
            if each.reach in (Reach.ANSWERS, Reach.NO_AGENT)
            and (not each.provider_answers or each.state in (InstanceState.OFFLINE, InstanceState.UNKNOWN))
        ]
        assert ill
        assert Verdict.LOST not in {verdict_on(each, terms).verdict for each in ill}

    def test_silence_loses_a_machine_only_after_a_try_beyond_patience_on_a_healthy_line(self, terms: Terms) -> None:
        for each in EVERY_EVIDENCE:
            judged = verdict_on(each, terms)
            ending = {*ENDED - {InstanceState.OFFLINE}}
            if each.reach is Reach.NO_AGENT:  # it shuts down, and only its SSH server is left
                ending.add(InstanceState.STOPPING)
            unsaid = not (each.provider_answers and each.state in ending)
            if judged.verdict is Verdict.LOST and unsaid:
                assert each.reach in (Reach.SILENT, Reach.REFUSES), each
                assert each.silent_for >= PATIENCE, each
                assert each.we_are_online or each.provider_answers, each
                assert not each.stop_requested, each
                if each.own_side_doubtful and not each.we_are_online:
                    assert each.state is InstanceState.OFFLINE, each  # two sides that see the same

    def test_a_stop_that_we_asked_for_loses_nothing_but_a_machine_that_is_gone(self, terms: Terms) -> None:
        for each in EVERY_EVIDENCE:
            if each.stop_requested and verdict_on(each, terms).verdict is Verdict.LOST:
                assert each.state in (InstanceState.GONE, InstanceState.FAILED), each

    def test_each_verdict_that_asks_for_action_names_its_cause_and_every_one_its_reason(self, terms: Terms) -> None:
        for each in EVERY_EVIDENCE:
            judged = verdict_on(each, terms)
            assert (judged.cause is not None) == (judged.verdict in (Verdict.LOST, Verdict.STALLED)), each
            assert judged.reason

    def test_more_silence_never_brings_a_machine_back(self, terms: Terms) -> None:
        for each in EVERY_EVIDENCE:
            if each.silent_for == PATIENCE and verdict_on(each, terms).verdict is Verdict.LOST:
                longer = Evidence(**{**each.__dict__, "silent_for": timedelta(days=3)})
                assert verdict_on(longer, terms).verdict is Verdict.LOST, each


class TestTheProvidersWord:
    def test_gone_is_lost_even_when_nobody_tried_to_reach_it(self) -> None:
        assert outcome(state=InstanceState.GONE, provider_answers=True) == (Verdict.LOST, Cause.GONE)

    def test_gone_from_a_provider_that_did_not_answer_just_now_is_nothing(self) -> None:
        assert outcome(state=InstanceState.GONE) == (Verdict.UNKNOWN, None)

    @pytest.mark.parametrize("state", [InstanceState.INTERRUPTED, InstanceState.STOPPED, InstanceState.WAITING])
    def test_an_interruptible_machine_that_stops_unasked_was_outbid(self, state: InstanceState) -> None:
        assert outcome(state=state, provider_answers=True) == (Verdict.LOST, Cause.OUTBID)

    def test_an_on_demand_machine_that_stops_unasked_has_exited(self) -> None:
        facts = {"state": InstanceState.STOPPED, "provider_answers": True}
        assert outcome(Terms.ON_DEMAND, **facts) == (Verdict.LOST, Cause.EXITED)

    @pytest.mark.parametrize("terms", Terms)
    def test_a_contract_that_ended_is_told_apart_from_a_higher_bid(self, terms: Terms) -> None:
        facts = {"state": InstanceState.STOPPED, "state_detail": "Contract has ended", "provider_answers": True}
        assert outcome(terms, **facts) == (Verdict.LOST, Cause.CONTRACT_ENDED)

    @pytest.mark.parametrize("state", [InstanceState.EXITED, InstanceState.FAILED])
    def test_a_container_that_ended_is_lost(self, state: InstanceState) -> None:
        assert outcome(state=state, provider_answers=True) == (Verdict.LOST, Cause.EXITED)

    def test_offline_needs_our_own_tries_beyond_patience(self) -> None:
        facts = {"state": InstanceState.OFFLINE, "provider_answers": True}
        assert outcome(**facts, silent_for=PATIENCE) == (Verdict.SUSPECT, None)
        assert outcome(**facts, reach=Reach.SILENT) == (Verdict.SUSPECT, None)
        assert outcome(**facts, reach=Reach.SILENT, silent_for=PATIENCE) == (Verdict.LOST, Cause.HOST_OFFLINE)

    @pytest.mark.parametrize("reach", [Reach.SILENT, Reach.REFUSES])
    def test_a_provider_that_agrees_with_our_own_tries_outweighs_the_doubt_of_our_side(self, reach: Reach) -> None:
        facts = {"state": InstanceState.OFFLINE, "provider_answers": True, "own_side_doubtful": True}
        assert outcome(**facts, reach=reach, silent_for=PATIENCE) == (Verdict.LOST, Cause.HOST_OFFLINE)

    def test_the_reason_quotes_the_provider(self) -> None:
        facts = Evidence(state=InstanceState.EXITED, state_detail="OCI runtime error", provider_answers=True)
        assert "OCI runtime error" in verdict_on(facts).reason


class TestOurOwnTry:
    def test_a_machine_that_shuts_down_unasked_is_being_taken_back(self) -> None:
        facts = {"state": InstanceState.STOPPING, "provider_answers": True}
        assert outcome(**facts, reach=Reach.NO_AGENT) == (Verdict.LOST, Cause.OUTBID)
        assert outcome(**facts, reach=Reach.ANSWERS) == (Verdict.ALIVE, None)
        assert outcome(**facts, reach=Reach.NO_AGENT, terms=Terms.ON_DEMAND) == (Verdict.STALLED, Cause.REBOOTED)
        assert outcome(**facts, reach=Reach.NO_AGENT, stop_requested=True)[0] is Verdict.UNKNOWN

    def test_ssh_without_an_agent_is_a_reboot(self) -> None:
        assert outcome(reach=Reach.NO_AGENT) == (Verdict.STALLED, Cause.REBOOTED)

    def test_silence_within_patience_is_suspect(self) -> None:
        facts = {"reach": Reach.SILENT, "silent_for": timedelta(seconds=29), "we_are_online": True}
        assert outcome(**facts) == (Verdict.SUSPECT, None)

    @pytest.mark.parametrize("proof", ["we_are_online", "provider_answers"])
    def test_silence_beyond_patience_is_lost_when_our_side_is_healthy(self, proof: str) -> None:
        facts = {"reach": Reach.SILENT, "silent_for": PATIENCE, "state": InstanceState.RUNNING, proof: True}
        assert outcome(**facts) == (Verdict.LOST, Cause.SILENT)

    @pytest.mark.parametrize("reach", [Reach.SILENT, Reach.REFUSES])
    def test_an_api_that_answers_proves_nothing_for_a_worker_that_is_in_doubt(self, reach: Reach) -> None:
        facts = {"reach": reach, "silent_for": PATIENCE, "provider_answers": True, "own_side_doubtful": True}
        assert outcome(**facts) == (Verdict.UNKNOWN, None)

    def test_a_login_refused_beyond_patience_has_its_own_cause(self) -> None:
        facts = {"reach": Reach.REFUSES, "silent_for": PATIENCE, "we_are_online": True}
        assert outcome(**facts) == (Verdict.LOST, Cause.REFUSED)

    def test_silence_without_a_try_is_only_suspect(self) -> None:
        facts = {"silent_for": timedelta(days=1), "provider_answers": True, "state": InstanceState.RUNNING}
        assert outcome(**facts) == (Verdict.SUSPECT, None)
