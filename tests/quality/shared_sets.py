"""The public sets that stand beside the checkout, and how to get at them."""

from pathlib import Path

DATASETS = Path(__file__).resolve().parents[3] / "shared" / "datasets"
CHOICE_SETS = ("rte", "dog", "d_product")


def files(name: str) -> tuple[Path, Path]:
    """The labels and the gold of a set; the test is skipped where the set is not on this machine."""
    labels, gold = DATASETS / name / "labels.csv", DATASETS / name / "gold.csv"
    if not labels.exists():
        import pytest

        pytest.skip(f"{labels} is not on this machine")
    return labels, gold
