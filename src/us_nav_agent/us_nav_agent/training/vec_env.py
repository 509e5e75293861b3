"""The vectorised grid environment as stable-baselines3 wants it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices
from us_grid_sim.envs.sacrum_nav import Observation
from us_grid_sim.envs.tables import Bools, Ints
from us_grid_sim.envs.vectorised import GridVectorEnv


class GridVecEnv(VecEnv):  # type: ignore[misc]
    """Environments that are stepped together, behind stable-baselines3's interface.

    The info of an environment whose episode ended in a step is its last information (``task``, ``state``,
    ``goal_distance``, ``correct``, ``is_success``), ``terminal_observation`` and ``TimeLimit.truncated``; those of the
    others are empty. Options of ``set_options`` are ``task`` and ``start``, of each environment its own.

    An observation of an agent that remembers no action has no ``actions``: stable-baselines3 takes no empty part.

    The environments have no parts of their own: an attribute that is read is that of all; none can be set or called.

    Args:
        environments: what is stepped.
    """

    def __init__(self, environments: GridVectorEnv) -> None:
        self.environments = environments
        whole = environments.single_observation_space
        assert isinstance(whole, spaces.Dict)
        self._parts = [name for name, part in whole.items() if math.prod(part.shape or ()) > 0]
        space = spaces.Dict({name: whole[name] for name in self._parts})
        super().__init__(environments.num_envs, space, environments.single_action_space)

    def reset(self) -> Observation:
        """Begin an episode everywhere, with the first of the seeds of ``seed`` and the options of ``set_options``.

        Raises:
            ValueError: an option is unknown or out of range, or some environments lack one that others have.
        """
        names = set().union(*self._options)
        if any(set(options) != names for options in self._options):
            raise ValueError(f"only some environments have the reset options {sorted(names)}; give them to all or none")
        options = {name: np.array([own[name] for own in self._options]) for name in names}
        observation, infos = self.environments.reset(seed=self._seeds[0], options=options)
        self.reset_infos = _rows(infos, np.arange(self.num_envs))
        self._reset_seeds()
        self._reset_options()
        return self._filled(observation)

    def step_async(self, actions: Ints) -> None:
        """Take the actions (n,) of the next step."""
        self._actions = actions

    def step_wait(self) -> tuple[Observation, npt.NDArray[np.float32], Bools, list[dict[str, Any]]]:
        """Carry them out: observation, rewards float32 (n,), dones (n,), infos."""
        observation, rewards, terminated, truncated, infos = self.environments.step(self._actions)
        all_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if "final_obs" in infos:
            ended = np.flatnonzero(infos["_final_obs"])
            for place, info in zip(ended, _rows(infos["final_info"], ended), strict=True):
                info["terminal_observation"] = {name: infos["final_obs"][name][place] for name in self._parts}
                info["TimeLimit.truncated"] = bool(truncated[place])
                all_infos[place] = info
        return self._filled(observation), rewards.astype(np.float32), terminated | truncated, all_infos

    def _filled(self, observation: Observation) -> Observation:
        """The parts that are not empty."""
        return {name: observation[name] for name in self._parts}

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of all environments, once for each of ``indices``."""
        return [getattr(self.environments, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refused.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"cannot set {attr_name}: the environments are stepped together and have no own parts"
        )

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Refused.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"cannot call {method_name}: the environments are stepped together and have no own parts"
        )

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """No environment is wrapped on its own."""
        return [False for _ in self._get_indices(indices)]


def _rows(infos: dict[str, Any], places: Ints) -> list[dict[str, Any]]:
    """Rows ``places`` of arrays by name, as dicts of Python's own numbers."""
    names = [name for name in infos if not name.startswith("_")]
    columns: Sequence[list[Any]] = [infos[name][places].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
