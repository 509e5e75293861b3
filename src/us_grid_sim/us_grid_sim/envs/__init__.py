"""Gymnasium environments; importing this package registers them.

``import us_grid_sim.envs`` before ``gymnasium.make("us_grid_sim/SacrumNav-v0")``, or let gymnasium import it:
``gymnasium.make("us_grid_sim.envs:us_grid_sim/SacrumNav-v0")``.
"""

import gymnasium

_GRID = "us_grid_sim.envs.sacrum_nav:SacrumNavEnv"
_ENVIRONMENTS = {
    "us_grid_sim/SacrumNav-v0": (_GRID, {"stop": True}),
    "us_grid_sim/SacrumNavNoStop-v0": (_GRID, {"stop": False}),
    "us_grid_sim/SacrumNavClosedLoop-v0": ("us_grid_sim.envs.closed_loop:SacrumNavClosedLoopEnv", {}),
}


def register_envs() -> None:
    """Make the environments known to gymnasium; a second call changes nothing."""
    for name, (entry_point, arguments) in _ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(id=name, entry_point=entry_point, kwargs=arguments)


register_envs()
