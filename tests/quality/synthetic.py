"""Batches with known properties: skewed classes, many classes, few answers, confusable tasks, careless workers."""

from dataclasses import dataclass

import numpy as np

from smallpeck.consensus.evaluate import Label


@dataclass(frozen=True)
class Recipe:
    """What a batch is like. `skew`: how much commoner each option is than the next; `hard`: the share of tasks on
    which everybody is drawn to the same wrong option; `careless`: the share of workers who answer at random.
    """

    name: str
    options: int = 2
    answers: int = 5
    workers: int = 100
    tasks: int = 600
    skew: float = 1.0
    good: float = 0.75
    spread: float = 0.12
    by_class: float = 0.1
    hard: float = 0.2
    careless: float = 0.05


RECIPES = (
    Recipe("skewed, three answers", answers=3, workers=150, tasks=1200, skew=6, good=0.8),
    Recipe("two options, ten answers", answers=10, workers=150, good=0.72, spread=0.15),
    Recipe("few answers a worker", answers=5, workers=400, tasks=1000, skew=2, good=0.68),
    Recipe("twenty answers", answers=20, workers=80, tasks=300, good=0.78, skew=1.5),
    Recipe("two answers", answers=2, workers=200, tasks=1000),
    Recipe("four options, ten answers", options=4, answers=10, good=0.66),
    Recipe("careless workers", options=4, answers=5, workers=300, tasks=1000, good=0.6, careless=0.3),
    Recipe("skewed, four options", options=4, answers=9, workers=200, tasks=800, skew=2.5, good=0.6, hard=0.3),
    Recipe("ten options, three answers", options=10, answers=3, workers=150, tasks=800, good=0.65),
    Recipe("confusable", options=8, answers=7, workers=60, good=0.7, hard=0.35),
)

STOPPING_RECIPES = (
    *RECIPES,
    Recipe("two options, twenty answers", answers=20, workers=85, tasks=500, good=0.8, spread=0.15, hard=0.1),
    Recipe("five options, six answers", 5, 6, 177, 1200, skew=1.3, good=0.62, spread=0.2, hard=0.3, careless=0.1),
    Recipe("poor workers", 4, 5, 300, 2000, skew=1.5, good=0.5, spread=0.15, hard=0.3, careless=0.15),
    Recipe("five options, twenty answers", 5, 20, 110, 300, skew=1.4, good=0.72, hard=0.25),
    Recipe("good workers, five answers", answers=5, workers=203, tasks=2000, good=0.85, spread=0.1, hard=0.1),
    Recipe("few workers", 4, 9, 27, 584, good=0.6, hard=0.4),
)
"""For when to stop: more of the shapes that batches come in, from few answers by poor workers to many by good ones."""


def made(recipe: Recipe, seed: int) -> tuple[list[Label], dict[str, str]]:
    """The labels and the gold of a batch."""
    draw = np.random.default_rng(seed)
    size = recipe.options
    common = recipe.skew ** -np.arange(size, dtype=float)
    gold = draw.choice(size, recipe.tasks, p=common / common.sum())
    errors = draw.dirichlet(np.full(size, 0.8), size)
    np.fill_diagonal(errors, 0)
    errors = (errors + 1e-9 * (1 - np.eye(size))) / (errors + 1e-9 * (1 - np.eye(size))).sum(axis=1, keepdims=True)
    right = np.clip(
        recipe.good
        + draw.normal(0, recipe.spread, (recipe.workers, 1))
        + draw.normal(0, recipe.by_class, (recipe.workers, size))
        + draw.normal(0, recipe.by_class, size),
        0.6 / size,
        0.99,
    )
    confusion = (1 - right)[:, :, None] * errors[None]
    confusion[:, np.arange(size), np.arange(size)] = right
    confusion[draw.random(recipe.workers) < recipe.careless] = 1 / size
    activity = draw.permutation(1 / np.arange(1, recipe.workers + 1) + 0.02)
    activity /= activity.sum()
    lure = np.where(draw.random(recipe.tasks) < recipe.hard, 0.7 * draw.beta(3, 2, recipe.tasks), 0.0)
    labels = []
    for task, truth in enumerate(gold):
        drawn_to = draw.choice(size, p=errors[truth])
        for worker in draw.choice(recipe.workers, min(recipe.answers, recipe.workers), replace=False, p=activity):
            lured = 0.25 * confusion[worker, truth] + 0.25 / size
            lured[drawn_to] += 0.5
            chances = (1 - lure[task]) * confusion[worker, truth] + lure[task] * lured
            answer = draw.choice(size, p=chances / chances.sum())
            labels.append(Label(str(task), f"w{worker}", str(answer)))
    return labels, {str(task): str(truth) for task, truth in enumerate(gold)}
