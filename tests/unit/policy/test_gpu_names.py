"""Many spellings, one card."""

import pytest

from holdfast.policy.gpu_names import card, same, tidied


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("H100 SXM", "h100-sxm"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("A100_80GB_SXM4", "a100-sxm-80"),
        ("A100 SXM4", "a100-sxm-40"),
        ("RTX 4090", "rtx-4090"),
        ("GeForce RTX 4090", "RTX_4090"),
        ("H100_80GB_SXM5", "H100 SXM"),
        ("GH200_96GB", "gh200"),
        ("Tesla T4", "T4"),
    ],
)
def test_the_same_card_is_known_in_other_words(one: str, other: str) -> None:
    assert same(one, other) and same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("H100 SXM", "H100 PCIE"),
        ("H100", "H200"),
        ("A100 40GB SXM4", "A100 80GB SXM4"),
        ("RTX 4090", "RTX 3090"),
        ("RTX 6000 Ada", "RTX A6000"),
        ("L4", "L40"),
        ("L40", "L40S"),
    ],
)
def test_another_card_is_another(one: str, other: str) -> None:
    assert not same(one, other)


def test_a_name_says_model_form_and_memory() -> None:
    found = card("a100-sxm-80")
    assert (found.model, found.form, found.memory_gb) == ("A100", "SXM", 80)
    assert card("RTX 4090").model == "RTX 4090"


@pytest.mark.parametrize(
    ("given", "spelt"),
    [("h100-sxm", "H100 SXM"), ("A100_80GB_SXM4", "A100 80GB SXM4"), ("RTX 6000Ada", "RTX 6000Ada"), (" L4 ", "L4")],
)
def test_a_name_from_a_file_is_spelt_as_offers_spell_it(given: str, spelt: str) -> None:
    assert tidied(given) == spelt
