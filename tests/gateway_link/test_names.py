"""What names are compared by."""

import pytest

from gateway_link import names


@pytest.mark.parametrize(
    ("name", "key", "folded"),
    [
        ("Müller^Änne", "müller^änne", "muller^anne"),
        ("MU\u0308LLER^A\u0308NNE^^^", "müller^änne", "muller^anne"),
        ("Doe ^ Jane", "doe^jane", "doe^jane"),
        ("Strauß", "strauss", "strauss"),
        ("Łukasiewicz^Jan", "łukasiewicz^jan", "lukasiewicz^jan"),
        ("Sørensen", "sørensen", "sorensen"),
        ("Yamada^Tarou=山田^太郎=ガガ", "yamada^tarou=山田^太郎=ガガ", "yamada^tarou=山田^太郎=ガガ"),
        ("Doe==", "doe", "doe"),
        ("=山田", "=山田", "=山田"),
        ("", "", ""),
    ],
)
def test_it_drops_what_carries_no_meaning(name: str, key: str, folded: str) -> None:
    assert names.key(name) == key
    assert names.folded(name) == folded


def test_it_keeps_empty_components_between_others() -> None:
    assert names.join(["Doe", "", "Q", "", ""]) == "Doe^^Q"
