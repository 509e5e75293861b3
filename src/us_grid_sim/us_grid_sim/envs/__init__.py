"""Gymnasium environments; importing this package registers them.

``import us_grid_sim.envs`` before ``gymnasium.make("us_grid_sim/SacrumNav-v0")``, or let gymnasium import it:
``gymnasium.make("us_grid_sim.envs:us_grid_sim/SacrumNav-v0")``.
"""

import gymnasium

_ENTRY_POINT = "us_grid_sim.envs.sacrum_nav:SacrumNavEnv"


def register_envs() -> None:
    """Make the environments known to gymnasium; a second call changes nothing."""
    for name, stop in (("us_grid_sim/SacrumNav-v0", True), ("us_grid_sim/SacrumNavNoStop-v0", False)):
        if name not in gymnasium.registry:
            gymnasium.register(id=name, entry_point=_ENTRY_POINT, kwargs={"stop": stop})


register_envs()
