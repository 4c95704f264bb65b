"""Reading the published formats, and refusing what is none of them."""

import gzip
import json
from pathlib import Path

import pytest

from holdfast.simcloud.studies.traces import TraceUnreadable, find, read

EXAMPLES = Path(__file__).parents[4] / "examples" / "traces"


def test_reads_availability_and_prices_from_json(tmp_path: Path) -> None:
    path = tmp_path / "zone-a_v100_1.json.gz"
    document = {"metadata": {"gap_seconds": 195}, "data": [1, 0, 16], "prices": [0.9, 0.9, 1.1]}
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    trace = read(path)
    assert (trace.zone, trace.origin, trace.tick) == ("zone-a_v100_1", tmp_path.name, 195)
    assert (list(trace.counts), list(trace.prices)) == ([1, 0, 16], [0.9, 0.9, 1.1])


def test_reads_a_fleet_that_joined_and_left(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("0,add,a\n0,add,b\n90000,remove,a\n180000,add,c\n180000,add,d\n")
    assert list(read(path).counts) == [2, 2, 1, 3]


def test_reads_sizes_by_millisecond_and_by_clock_even_where_they_overlap(tmp_path: Path) -> None:
    by_millisecond = tmp_path / "ms.csv"
    by_millisecond.write_text("0,5\n60000,4\n120000,6\n")
    assert list(read(by_millisecond).counts) == [5, 4, 6]
    by_clock = tmp_path / "clock.csv"
    by_clock.write_text("2021-12-10, 23:58:00, 8\n2021-12-11, 00:00:00, 7\n2021-12-10, 23:59:00, 6\n")
    assert list(read(by_clock).counts) == [8, 6, 7]


def test_the_examples_can_be_read() -> None:
    traces = [read(path) for path in find([EXAMPLES])]
    assert [trace.zone for trace in traces] == ["aws_p3_64node_events", "gcp_us-east1-c_v100_size"]
    assert [round(trace.hours) for trace in traces] == [11, 12]
    assert [max(trace.counts) for trace in traces] == [32, 80]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not a trace"),
        ("a.json", '{"data": [1, 2]}', "'metadata'"),
        ("a.json", '{"metadata": {"gap_seconds": 0}, "data": [1, 2]}', "2 samples, 0 s apart"),
        ("a.json", '{"metadata": {"gap_seconds": 5}, "data": [1, 2], "prices": [1]}', "1 prices for 2 samples"),
        ("a.json", '{"metadata": {"gap_seconds": 5}, "data": [1]}', "1 samples"),
        ("a.json", "[]", "is not a trace"),
        ("a.json.gz", "not packed", "is not a trace"),
        ("a.csv", "", "fewer than two rows"),
        ("a.csv", "1,2,3,4\n", "4 columns"),
        ("a.csv", "0,add,a\n1,2\n", "row 2 has 2 columns"),
        ("a.csv", "0,add,a\n9,drop,a\n", "not 'drop'"),
        ("a.csv", "time,size\n0,1\n", "is not a trace"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TraceUnreadable, match=said) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert refused.value.remedy


def test_finds_traces_once_in_a_fixed_order_and_leaves_results_aside(tmp_path: Path) -> None:
    for name in ("b.csv", "a.json", "reference/results.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [tmp_path / "a.json", tmp_path / "b.csv"]
    assert find([tmp_path]) == found
    assert find([tmp_path / "b.csv", tmp_path]) == [tmp_path / "b.csv", tmp_path / "a.json"]
    with pytest.raises(TraceUnreadable, match="holds no trace"):
        find([tmp_path / "reference"] if (tmp_path / "reference" / "results.csv").unlink() is None else [])
    with pytest.raises(TraceUnreadable, match="no file or folder"):
        find([tmp_path / "nowhere"])
