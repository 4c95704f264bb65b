"""Reading price histories: what can be used, and each line that cannot, with its reason."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.contracts.machines import Terms
from holdfast.contracts.market import PriceSource
from holdfast.market.importing import NotReadable, Reading, read, written

NOW = datetime(2026, 9, 1, tzinfo=UTC)
HEADER = "time,gpu,provider,region,kind,price,offers"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Read = Callable[..., Reading]


@pytest.fixture
def reading(tmp_path: Path) -> Read:
    def from_lines(*lines: str, header: str = HEADER, name: str = "prices.csv") -> Reading:
        path = tmp_path / name
        text = "\n".join([header, *lines, ""])
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return read(path, now=NOW)

    return from_lines


def a_line(hour: int, price: str = "0.40", **changes: str) -> str:
    told = {"time": f"2026-05-01T{hour:02d}:10:00Z", "gpu": "rtx-4090", "provider": "Vast.ai", "region": "de"}
    told |= {"kind": "on-demand", "price": price, "offers": "3"} | changes
    return ",".join(told.values())


def refused(found: Reading) -> list[tuple[int, str]]:
    return [(each.line, each.kind) for each in found.refused]


def test_a_line_becomes_a_point_of_its_hour_with_names_as_surveys_spell_them(reading: Read) -> None:
    (point,) = reading(a_line(7)).points
    assert (point.at, point.span) == (datetime(2026, 5, 1, 7, tzinfo=UTC), HOUR)
    assert (point.gpu, point.provider, point.region) == ("RTX 4090", "vast", "DE")
    assert (point.kind, point.minimum, point.median, point.offers) == (
        Terms.ON_DEMAND,
        Decimal("0.40"),
        Decimal("0.40"),
        3,
    )
    assert point.source is PriceSource.IMPORT


@pytest.mark.parametrize("name", ["prices.csv", "prices.csv.gz"])
def test_a_packed_file_is_unpacked(reading: Read, name: str) -> None:
    assert len(reading(a_line(1), a_line(2), name=name).points) == 2


def test_of_one_hour_the_last_price_counts(reading: Read) -> None:
    found = reading(a_line(1, time="2026-05-01T01:10:00Z"), a_line(1, "0.45", time="2026-05-01T01:50:00Z"))
    assert [each.median for each in found.points] == [Decimal("0.45")]
    assert found.folded == 1 and found.refused == ()


def test_days_are_days(reading: Read) -> None:
    found = reading(*(a_line(0, time=f"2026-05-{day:02d}") for day in range(1, 5)))
    assert {each.span for each in found.points} == {DAY}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"price": ""}, "price '' is no price"),
        ({"price": "cheap"}, "price 'cheap' is no price"),
        ({"price": "-1"}, "price -1 is no price of one GPU for an hour"),
        ({"price": "0"}, "price 0 is no price of one GPU for an hour"),
        ({"price": "NaN"}, "price NaN is no price of one GPU for an hour"),
        ({"price": "1e50"}, "price 1e50 is no price of one GPU for an hour"),
        ({"time": "yesterday"}, "'yesterday' is no time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "'0001-01-01T00:00:00+14:00' is no time"),
        ({"time": "0001-01-01"}, "0001-01-01 is before there was such a market"),
        ({"gpu": ""}, "gpu is empty"),
        ({"provider": " "}, "provider is empty"),
        ({"kind": "perhaps"}, "'perhaps' is neither on_demand nor spot"),
        ({"offers": "many"}, "offers 'many' is no number"),
    ],
)
def test_a_broken_line_is_refused_with_its_number_and_the_others_stay(
    reading: Read, changes: dict[str, str], why: str
) -> None:
    found = reading(a_line(1), a_line(2, **changes), a_line(3))
    assert refused(found) == [(3, "broken")] and found.refused[0].reason == why
    assert len(found.points) == 2


def test_a_line_that_is_too_short_is_broken(reading: Read) -> None:
    found = reading(a_line(1), "2026-05-01T02:00:00Z,RTX 4090", a_line(3))
    assert refused(found) == [(3, "broken")] and len(found.points) == 2


def test_a_time_that_has_not_come_is_refused(reading: Read) -> None:
    found = reading(a_line(1), a_line(2, time="2031-05-01T02:00:00Z"), a_line(3))
    assert refused(found) == [(3, "future")]


def test_a_clock_that_jumps_loses_the_lines_of_the_jump_and_no_others(reading: Read) -> None:
    back = [a_line(hour) for hour in range(1, 9)]
    back[4] = a_line(5, time="2026-04-30T05:00:00Z")
    found = reading(*back)
    assert refused(found) == [(6, "clock jump")] and len(found.points) == 7
    ahead = [a_line(hour) for hour in range(1, 9)]
    ahead[4] = a_line(5, time="2026-08-30T05:00:00Z")
    assert refused(reading(*ahead)) == [(6, "clock jump")]


def test_a_file_with_the_newest_first_or_in_no_order_has_no_jumps(reading: Read) -> None:
    newest_first = reading(*(a_line(hour) for hour in range(20, 1, -1)))
    assert newest_first.refused == () and len(newest_first.points) == 19
    shuffled = reading(*(a_line(hour * 7 % 20) for hour in range(20)))
    assert shuffled.refused == () and len(shuffled.points) == 20
    assert [each.at for each in shuffled.points] == sorted(each.at for each in shuffled.points)


def test_the_same_twice_is_a_duplicate_and_another_price_a_contradiction(reading: Read) -> None:
    found = reading(a_line(1), a_line(1), a_line(1, "0.50"))
    assert refused(found) == [(3, "duplicate"), (4, "contradiction")]
    assert [each.median for each in found.points] == [Decimal("0.40")]
    assert found.refused[1].reason == "0.50, where line 2 says 0.40 for the same moment"


def test_what_is_written_is_read_back_as_it_was(reading: Read, tmp_path: Path) -> None:
    points = [
        replace(each, minimum=Decimal("0.1"), p10=Decimal("0.2"), p90=Decimal("0.9"))
        for each in reading(a_line(1), a_line(2, kind="spot", region="", offers="")).points
    ]
    path = tmp_path / "back.csv"
    path.write_text("\n".join(",".join(row) for row in written(points)))
    assert list(read(path, now=NOW).points) == points


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "has the columns of nothing"),
        (b"a,b,c\n1,2,3\n", "has the columns a, b, c"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be read"),
        (b"time,gpu\0provider\n", "is no text"),
    ],
)
def test_what_is_no_price_history_is_not_read(tmp_path: Path, text: bytes, why: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(text)
    with pytest.raises(NotReadable, match=why):
        read(path, now=NOW)


def test_a_file_that_is_not_there_or_is_not_packed_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(NotReadable, match="cannot be read"):
        read(tmp_path / "none.csv", now=NOW)
    (tmp_path / "plain.csv.gz").write_text(HEADER)
    with pytest.raises(NotReadable, match="cannot be read"):
        read(tmp_path / "plain.csv.gz", now=NOW)


def test_a_file_of_only_a_header_has_nothing(reading: Read) -> None:
    found = reading()
    assert (found.lines, found.points, found.refused) == (0, (), ())


# --- files of others -------------------------------------------------------------------------------------------------


def test_an_aggregated_file_has_variants_and_two_kinds(reading: Read) -> None:
    header = (
        "timestamp,provider,gpu,min_price_hr,median_price_hr,max_price_hr,on_demand_hr,spot_price_hr,num_offers,"
        "availability,top_regions"
    )
    found = reading(
        '2026-03-11 04:17:38,Vast.ai,H100,1.3289,1.7676,2.2689,,1.3289,8.0,Available,"US:2; NL:2"',
        "2026-03-11 04:17:38,RunPod,H100,2.0,2.5,2.99,2.5,1.5,,Unknown,",
        "2026-03-11 04:17:38,Lambda,B200,5.74,5.74,5.74,5.74,,0.0,Unavailable,",
        "2026-03-11 04:17:38,Lambda,B200,5.97,5.97,5.97,5.97,,1.0,Available,",
        header=header,
    )
    assert found.shape == "vast_runpod_lambda_hourly" and found.refused == ()
    told = {(each.provider, each.kind): (each.minimum, each.median, each.offers) for each in found.points}
    assert told["vast", Terms.ON_DEMAND] == (Decimal("1.3289"), Decimal("1.7676"), 8)
    assert told["runpod", Terms.INTERRUPTIBLE] == (Decimal("1.5"), Decimal("1.5"), None)
    assert told["lambda", Terms.ON_DEMAND] == (Decimal("5.74"), Decimal("5.74"), 1)


def test_statistics_of_a_marketplace_keep_their_quantiles(reading: Read) -> None:
    stem = "usd_gpu_hr_"
    header = ",".join(
        ["timestamp", "gpu", *(stem + each for each in ("min", "p10", "p25", "median", "p75", "p90")), "offers_total"]
    )
    (point,) = reading("2025-10-19T21:01:58,A100_80GB_SXM4,0.89,1.01,1.74,1.75,1.75,1.76,33", header=header).points
    assert (point.gpu, point.provider, point.offers) == ("A100 80GB SXM4", "primeintellect", 33)
    assert (point.minimum, point.p10, point.p90) == (Decimal("0.89"), Decimal("1.01"), Decimal("1.76"))


def test_what_is_no_machine_is_told_apart_from_broken_lines(reading: Read) -> None:
    header = "date,provider,gpu,vram_gb,usd_hr,kind,source_url,fetched_at"
    found = reading(
        "2026-07-05,runpod,mi300x,192,2.19,secure,https://x,",
        "2026-07-05,modal,h100,80,3.95,serverless,https://x,",
        header=header,
    )
    assert refused(found) == [(3, "no machine")] and found.points[0].span == DAY


def test_a_whole_machine_s_price_is_not_taken_for_one_gpu_s(reading: Read) -> None:
    header = (
        "date,provider,gpu_model,gpu_count,region,rental_type,price_min_usd,price_median_usd,price_max_usd,n_offers"
    )
    found = reading(
        "2026-02-11,acecloud,H100_SXM,1,global,on_demand,5.11,5.11,5.11,9",
        "2026-02-11,aws,H100_SXM,8,global,on_demand,55.04,55.04,55.04,9",
        "2026-02-11,azure,H100_SXM,8,global,on_demand,6.98,6.98,6.98,9",
        header=header,
    )
    assert refused(found) == [(3, "whole machine")]
    assert {each.provider for each in found.points} == {"acecloud", "azure"}
