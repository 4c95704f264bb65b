import gzip
from pathlib import Path

import pytest

from holdfast.market.datasets import read
from holdfast.market.errors import BadHistory, NoHistory
from tests.unit.market.examples import REAL

HEAD = "time,gpu,provider,region,kind,price,offers\n"


def written(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_reads_what_holdfast_writes(tmp_path: Path) -> None:
    path = written(
        tmp_path, HEAD + "2026-01-01T10:00:00+01:00,H100,vast,DE,spot,2.5,7\n2026-01-01T11:00,H100,vast,DE,spot,2,\n"
    )
    (found,) = read(path)
    assert (found.key.gpu, found.key.provider, found.key.region, found.key.kind) == ("H100", "vast", "DE", "spot")
    assert found.group == "vast"
    assert (found.prices[0], found.prices[-1]) == (2.5, 2.0)
    assert len(found.prices) == 3


def test_reads_a_folder_and_names_the_files_that_it_does_not_know(tmp_path: Path) -> None:
    written(tmp_path, HEAD + "2026-01-01,H100,vast,,spot,2,1\n", "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((HEAD + "2026-01-01,L40S,vast,,spot,1,1\n").encode()))
    written(tmp_path, "colour,size\nred,1\n", "c.csv")
    strange: list[Path] = []
    found = read(tmp_path, unknown=strange.append)
    assert [each.key.gpu for each in found] == ["H100", "L40S"]
    assert [each.name for each in strange] == ["c.csv"]


def test_tells_marketplaces_from_posted_prices() -> None:
    groups = {(each.key.provider, each.key.measure): each.group for each in read(REAL)}
    assert groups[("Vast.ai", "median")] == "vast"
    assert groups[("RunPod", "min")] == "posted"


def test_events_hold_and_old_ones_are_an_auction(tmp_path: Path) -> None:
    head = "zone,instance_type,timestamp,usd_hr\n"
    written(tmp_path, head + "a,g2,2015-03-01T00:00:00,1\na,g2,2015-03-01T05:00:00,2\n", "old.csv")
    written(tmp_path, head + "a,g4,2020-03-01T00:00:00,1\n", "new.csv")
    new, old = read(tmp_path)
    assert (new.group, old.group) == ("aws", "auction")
    assert old.prices.tolist() == [1, 1, 1, 1, 1, 2]


def test_whole_machines_are_left_out_of_daily_lists(tmp_path: Path) -> None:
    head = "date,provider,gpu_model,gpu_count,region,rental_type,price_min_usd\n"
    path = written(
        tmp_path, head + "2026-03-01,aws,H100,1,us,on_demand,6.88\n2026-03-01,aws,H100,8,us,on_demand,55.04\n"
    )
    (found,) = read(path)
    assert found.prices.tolist() == [6.88]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-01-01,H100,vast,,spot,cheap,1\n", "line 2: price is no number: 'cheap'"),
        ("2026-01-01,H100,vast,,spot,-2,1\n", "line 2: price is -2"),
        ("2026-01-01,H100,vast,,spot,nan,1\n", "line 2: price is nan"),
        ("yesterday,H100,vast,,spot,2,1\n", "line 2: Invalid isoformat string: 'yesterday'"),
        ("2026-01-01,,vast,,spot,2,1\n", "line 2: gpu is empty"),
        ("2026-01-01,H100\n", "line 2: it has fewer columns than the first line"),
        ('2026-01-01,"H100,vast,,spot,2,1\n', "line 1: unexpected end of data"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadHistory) as raised:
        read(written(tmp_path, HEAD + text))
    assert told in str(raised.value)


def test_duplicates_and_clock_jumps(tmp_path: Path) -> None:
    twice = "2026-01-01T00:00,H100,vast,,spot,2,1\n" * 2
    (found,) = read(written(tmp_path, HEAD + twice))
    assert found.prices.tolist() == [2.0]
    with pytest.raises(BadHistory, match="1970-01-01"):
        read(written(tmp_path, HEAD + twice + "1970-01-01T00:00,H100,vast,,spot,2,1\n"))


def test_an_empty_file_a_missing_one_and_a_strange_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NoHistory, match="no price history"):
        read(written(tmp_path, HEAD))
    with pytest.raises(BadHistory, match="of no kind"):
        read(written(tmp_path, ""))
    with pytest.raises(NoHistory, match="no file"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "torn.csv.gz").write_bytes(b"\x1f\x8b\x08broken")
    with pytest.raises(BadHistory, match="cannot be read"):
        read(tmp_path / "torn.csv.gz")
