"""What is a destination of the `sepa` rail: checked when a worker gives it."""

import pytest

from smallpeck.kernel.errors import Category, Invalid
from smallpeck.payouts.rails.iban import bank_account, canonical

GERMAN = "DE89370400440532013000"


def test_an_account_has_one_spelling_and_its_banks_bic() -> None:
    account = bank_account(" de89 3704 0044 0532 0130 00 ,  Zoë   O'Neil-Smith ")
    assert (account.iban, account.holder, account.bic) == (GERMAN, "Zoë O'Neil-Smith", "COBADEFFXXX")
    assert account.address == canonical(account.address) == f"{GERMAN}, Zoë O'Neil-Smith"


def test_letters_and_marks_that_look_the_same_are_the_same_name() -> None:
    assert canonical(f"{GERMAN}, Zoe\N{COMBINING DIAERESIS}") == canonical(f"{GERMAN}, Zoë")


@pytest.mark.parametrize(
    "iban",
    [
        "NL91ABNA0417164300",
        "FR1420041010050500013M02606",
        "CH9300762011623852957",
        "GB29NWBK60161331926819",
        "IT60X0542811101000000123456",
    ],
)
def test_accounts_of_the_sepa_zone_are_taken(iban: str) -> None:
    assert bank_account(f"{iban}, Ann Lee").iban == iban


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann@example.com",
        GERMAN,
        f"{GERMAN},",
        f"{GERMAN}, A",
        f"{GERMAN}, {'A' * 71}",
        f"{GERMAN}, <b>Ann</b>",
        f"{GERMAN}, Ann/Lee",
        f"{GERMAN}, Ann\nLee\x00",
        f"{GERMAN}, 12345",
        f"{GERMAN}, ...",
        "DE88370400440532013000, Ann Lee",
        "DE8937040044053201300, Ann Lee",
        "DE89370400440532013O00, Ann Lee",
        "BR1800360305000010009795493C1, Ann Lee",
        "SA0380000000608010167519, Ann Lee",
        "XX89370400440532013000, Ann Lee",
        "US, Ann Lee",
        "²²89370400440532013000, Ann Lee",
    ],
)
def test_whatever_no_transfer_could_reach_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(Invalid) as refused:
        bank_account(address)
    assert refused.value.category is Category.INVALID
    assert refused.value.code == "bad_destination"
    assert [problem.pointer for problem in refused.value.problems] == ["/address"]
    assert "Ann" not in str(refused.value) + refused.value.problems[0].detail
    assert "3704" not in str(refused.value) + refused.value.problems[0].detail


def test_an_account_shows_nowhere() -> None:
    shown = repr(bank_account(f"{GERMAN}, Ann Lee"))
    assert "Ann" not in shown
    assert "3704" not in shown
