"""Finds plants by name in the entry-point group ``iiwa_bridge.plants``, so that no package imports another."""

from importlib.metadata import entry_points

from iiwa_bridge.errors import PlantError
from iiwa_bridge.types import Plant

GROUP = "iiwa_bridge.plants"


def make_plant(name: str) -> Plant:
    """Make the plant of this name.

    Raises:
        PlantError: there is none, or it cannot be made.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise PlantError(f'no plant "{name}"; installed are {", ".join(sorted(found)) or "none"}')
    try:
        plant: Plant = found[name].load()()
    except Exception as error:
        raise PlantError(f'plant "{name}" cannot be made: {error}') from error
    return plant
