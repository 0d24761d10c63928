"""The planted bugs: what is broken, the flow that shows it, the patches, and those that turn the other layers off."""

from collections.abc import Mapping, Sequence

from tests.sim.breaking import Patch

Facts = tuple[str, str, Sequence[Patch]] | tuple[str, str, Sequence[Patch], Sequence[Patch]]
Mutations = Mapping[str, Facts]
