"""What requesters send and are told where they bring money in."""

from pydantic import Field

from smallpeck.runtime.schemas import AmountText, Body, CurrencyText, View


class CheckoutBody(Body):
    """How much to prepay."""

    amount: AmountText
    currency: CurrencyText = "USD"


class CheckoutView(View):
    """A deposit by checkout, and the page to pay it on."""

    deposit_id: str
    state: str = Field(description="created, paid, credited, charged_back or expired.")
    amount: str
    currency: str
    url: str | None = Field(description="Where to pay, while that is possible.")
    created_at: str
    expires_at: str
    credited_at: str | None
    disputed: str = Field(description="Of the amount: what is disputed, or was lost.")
    refunded: str = Field(description="Of the amount: what was sent back.")
    reason: str | None = Field(description="Why nothing came.")


class CheckoutList(View):
    """A requester's deposits by checkout, newest first."""

    checkouts: list[CheckoutView]
    next_cursor: str | None


class BankTransferBody(Body):
    """In which currency."""

    currency: CurrencyText = "EUR"


class BankTransferView(View):
    """Where to send money, and the reference by which it is yours. Good for any number of transfers."""

    reference: str = Field(description="An ISO 11649 creditor reference.")
    printed: str = Field(description="The same in groups of four.")
    currency: str
    holder: str
    iban: str
    bic: str


class FundsView(View):
    """What stands between a requester and spending."""

    currency: str
    available: str
    owed: str = Field(description="What comes in pays this first.")
    frozen: bool = Field(description="Whether nothing can be published, resumed or extended.")
    open_disputes: int
