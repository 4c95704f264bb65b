"""Logs are cut into pages by bytes; their readers see whole characters."""

from holdfast.activities.checkpoints import whole_characters
from holdfast.checkpoints.logs import LogPage


def page(data: bytes, offset: int) -> LogPage:
    return LogPage(data=data, cursor=f"3:{offset + len(data)}", epoch=3)


def test_a_character_that_a_page_cuts_is_left_to_the_next_page():
    whole = "é日本".encode()
    text, cursor = whole_characters(page(whole[:4], 0))
    assert (text, cursor) == ("é", "3:2")
    text, cursor = whole_characters(page(whole[2:], 2))
    assert (text, cursor) == ("日本", "3:8")


def test_bytes_that_are_no_character_do_not_stop_the_reader():
    text, cursor = whole_characters(page(b"\xe6", 10))
    assert (text, cursor) == ("�", "3:11")
