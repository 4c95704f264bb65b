"""`holdfast pool` against the real stack: what it says, its documents and its exit codes."""

from .embedded import Stack, until

POOL = "name: spare\nprice: {max_hourly: 0.90}\ntarget: 0\nmaximum: 1\n"


def test_a_pool_is_created_shown_resized_and_removed(stack: Stack) -> None:
    assert "there is no pool" in stack("pool", "ls").err
    path = stack.home.parent / "pool.yaml"
    path.write_text(POOL)
    created = stack("pool", "create", str(path), "--json")
    assert created.code == 0 and created.document["name"] == "spare", created.err
    assert stack("pool", "create", str(path)).code == 12
    until(lambda: stack("pool", "show", "spare", "--json").document["phase"] == "drained")
    refused = stack("pool", "resize", "spare", "2")
    assert refused.code == 10 and "not between 0 and 1" in refused.err
    assert stack("pool", "resize", "spare", "1", "--json").document["target"] == 1
    until(lambda: len(stack("pool", "show", "spare", "--json").document["standbys"]) == 1)
    assert "1/1" in stack("pool", "ls").out
    assert "pool--spare.e1" in stack("pool", "show", "spare").out
    assert stack("pool", "drain", "spare").code == 0
    assert stack("pool", "rm", "spare").code == 0
    until(lambda: stack("pool", "show", "spare", "--json").document["phase"] == "ended")
    assert stack("pool", "resize", "spare", "1").code == 10


def test_what_is_no_pool_is_refused(stack: Stack) -> None:
    assert stack("pool", "show", "nobody").code == 4
    assert stack("pool", "create", "nowhere.yaml").code == 2
    path = stack.home.parent / "wrong.yaml"
    path.write_text(POOL + "commmand: x\n")
    wrong = stack("pool", "create", str(path))
    assert wrong.code == 3 and "commmand" in wrong.err
