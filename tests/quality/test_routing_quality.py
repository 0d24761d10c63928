"""Routing by expected change costs no right result more answers than the order of the file does."""

from tests.quality.routing import compared


def test_a_right_result_takes_no_more_answers_than_in_the_order_of_the_file() -> None:
    routed, plain = compared(tasks=150, seeds=3)
    assert routed.right >= 0.99 * plain.right
    assert routed.answers / routed.right <= 1.02 * plain.answers / plain.right
