"""Which files are a job's outputs."""

from holdfast.policy.job_files import chosen, missing

PATHS = ("train.py", "data/a.jsonl", "data/b/c.jsonl", "model/adapter.bin", "model/sub/config.json", "loss.csv")


def test_without_patterns_it_is_all_but_the_inputs():
    assert chosen(PATHS, (), ("data",)) == {"train.py", "model/adapter.bin", "model/sub/config.json", "loss.csv"}
    assert chosen(PATHS, (), ("dat",)) == set(PATHS)


def test_a_folder_stands_for_all_that_is_in_it():
    assert chosen(PATHS, ("model",), ()) == {"model/adapter.bin", "model/sub/config.json"}
    assert chosen(PATHS, ("model/",), ()) == {"model/adapter.bin", "model/sub/config.json"}
    assert chosen(PATHS, ("mod",), ()) == frozenset()


def test_a_star_stands_for_anything():
    assert chosen(PATHS, ("*.csv", "mod*"), ()) == {"loss.csv", "model/adapter.bin", "model/sub/config.json"}
    assert chosen(PATHS, ("*.json",), ()) == {"model/sub/config.json"}


def test_what_names_nothing_is_missing():
    assert missing(PATHS, ("model", "loss.csv", "plots", "*.png")) == ("plots", "*.png")
