"""The robot in PyBullet: rigid-body dynamics of the whole arm under joint torques, the skin as an explicit contact."""

import importlib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.arm import JOINT_DAMPING, TICK, ArmState, Array, check_speed, checked, pose_of, ticks_of
from us_grid_sim.world.contact import NOTHING, Contact, ContactLaw, Tool
from us_grid_sim.world.skin import Patient
from us_grid_sim.world.vectors import cross, plus, rotated, transposed
from us_grid_sim.world.viewer import require_display, show_patient

GRAVITY = 9.81
"""Along -z of ``world`` [m/s^2]."""
TOOL = "us_probe"
TABLE = 0.22
"""How far below the patient frame's origin the table lies on which the patient does, along its z [m]: about the depth
of a trunk."""
_TABLE_SIZE = (2.0, 0.7, 0.1)
"""Of its top along x, y and z of the patient frame [m]. A plane without end would be near every link in every tick."""


class PyBulletArm:
    """An arm whose base stands in ``world``, over a patient.

    Satisfies ``iiwa_bridge.robot.ArmPlant`` by its shape. The motors that PyBullet switches on by itself are off, and
    so is the damping that it gives to every body; what is left is JOINT_DAMPING. The URDF's inertias are taken as they
    are written, joint limits are those of the URDF, torques are not limited. PyBullet's own collision holds the links
    off the table under the patient and off nothing else: the skin meets the probe alone, through
    :class:`us_grid_sim.world.contact.Contact`.

    In a tick of 1 ms the contact that was found at its start acts throughout it; PyBullet then integrates the
    velocity, and with the new velocity the position (semi-implicit).

    Args:
        urdf: file of the arm, with a link ``us_probe``.
        patient: who lies under the probe.
        law: damping and friction of the skin.
        gui: open PyBullet's window, in which the skin is drawn too.

    Raises:
        UsGridSimError: PyBullet is not installed, or there is no display for its window, or the file is no arm with
            that link, or a link has no mass.
    """

    def __init__(self, urdf: Path, patient: Patient, law: ContactLaw | None = None, gui: bool = False) -> None:
        _check_links(urdf)
        self._bullet, self._contact = _pybullet(), Contact(patient, law if law is not None else ContactLaw())
        if gui:
            require_display()
        self._client = self._bullet.connect(self._bullet.GUI if gui else self._bullet.DIRECT)
        try:
            self._set_table(patient.pose)
            self._load(urdf)
            if gui:
                show_patient(self._bullet, self._client, patient)
        except Exception:
            self.close()
            raise
        self.reset(np.zeros(len(self._joints)))

    def _set_table(self, patient: Array) -> None:
        bullet, client = self._bullet, {"physicsClientId": self._client}
        bullet.setGravity(0.0, 0.0, -GRAVITY, **client)
        bullet.setTimeStep(TICK, **client)
        half = [size / 2 for size in _TABLE_SIZE]
        center = patient[:3, 3] + (TABLE + half[2]) * patient[:3, 2]
        top = bullet.createCollisionShape(bullet.GEOM_BOX, halfExtents=half, **client)
        bullet.createMultiBody(0.0, top, -1, center.tolist(), Rotation.from_matrix(patient[:3, :3]).as_quat(), **client)

    def _load(self, urdf: Path) -> None:
        """Load the arm and take away what PyBullet adds to it: motors and damping."""
        bullet, client = self._bullet, {"physicsClientId": self._client}
        try:
            self._arm = bullet.loadURDF(str(urdf), useFixedBase=True, flags=bullet.URDF_USE_INERTIA_FROM_FILE, **client)
        except bullet.error as error:
            raise UsGridSimError(f"{urdf}: PyBullet cannot load it ({error}); expected the URDF of an arm") from None
        infos = [bullet.getJointInfo(self._arm, i, **client) for i in range(bullet.getNumJoints(self._arm, **client))]
        links = {info[12].decode(): info[0] for info in infos}
        self._joints = [info[0] for info in infos if info[2] != bullet.JOINT_FIXED]
        self._link = links[TOOL]
        # The tool's origin as PyBullet's Jacobian wants it: seen from the link's centre of mass and its main axes.
        center, axes = bullet.getLinkState(self._arm, self._link, **client)[2:4]
        self._tool_point, _ = bullet.invertTransform(center, axes)
        for link in range(-1, len(infos)):
            bullet.changeDynamics(
                self._arm, link, linearDamping=0.0, angularDamping=0.0, jointDamping=JOINT_DAMPING, **client
            )
        none = [0.0] * len(self._joints)
        bullet.setJointMotorControlArray(self._arm, self._joints, bullet.VELOCITY_CONTROL, forces=none, **client)

    def reset(self, position: Array) -> ArmState:
        """Stand still at a joint position [rad], at time 0 of the patient's motion.

        Raises:
            UsGridSimError: the position does not fit the arm.
        """
        values = checked(position, len(self._joints), "position").tolist()
        for joint, value in zip(self._joints, values, strict=True):
            self._bullet.resetJointState(self._arm, joint, value, 0.0, physicsClientId=self._client)
        self._ticks = 0
        self._contact.reset()
        self._look()
        return self._state()

    def step(self, torque: Array, duration: float) -> ArmState:
        """Apply joint torques [N m], gravity not made up for, for ``duration`` [s], a multiple of TICK.

        Raises:
            UsGridSimError: the torques do not fit the arm, the duration is no such multiple, or the arm has run away.
        """
        forces = checked(torque, len(self._joints), "torque").tolist()
        bullet, arm, client = self._bullet, self._arm, self._client
        for _ in range(ticks_of(duration)):
            bullet.setJointMotorControlArray(
                arm, self._joints, bullet.TORQUE_CONTROL, forces=forces, physicsClientId=client
            )
            if self._touch is not NOTHING:
                force, place = self._touch.force, self._tool.origin
                bullet.applyExternalForce(arm, self._link, force, place, bullet.WORLD_FRAME, physicsClientId=client)
                bullet.applyExternalTorque(
                    arm, self._link, self._touch.torque, bullet.WORLD_FRAME, physicsClientId=client
                )
            bullet.stepSimulation(physicsClientId=client)
            self._ticks += 1
            self._look()
        return self._state()

    def close(self) -> None:
        """Disconnect from PyBullet; closed again, nothing happens."""
        if self._client >= 0:
            self._bullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def _look(self) -> None:
        """Find where the tool is and how it is touched."""
        center, _, _, _, origin, quaternion, velocity, spin = self._bullet.getLinkState(
            self._arm, self._link, True, True, physicsClientId=self._client
        )
        a = self._bullet.getMatrixFromQuaternion(quaternion)
        # PyBullet tells the velocity of the centre of mass.
        arm = (origin[0] - center[0], origin[1] - center[1], origin[2] - center[2])
        self._tool = Tool(origin, (a[0:3], a[3:6], a[6:9]), plus(velocity, cross(spin, arm)), spin)
        check_speed(self._tool.velocity + spin)
        self._touch = self._contact.touch(self._tool, self._ticks * TICK)

    def _state(self) -> ArmState:
        states = self._bullet.getJointStates(self._arm, self._joints, physicsClientId=self._client)
        position, velocity = [state[0] for state in states], [state[1] for state in states]
        on_patient = -np.array(rotated(transposed(self._tool.rotation), self._touch.force))
        contact_torque, tool, rise = self._contact_torque(position), pose_of(self._tool), self._contact.rise
        return ArmState(np.array(position), np.array(velocity), contact_torque, tool, on_patient, rise)

    def _contact_torque(self, position: list[float]) -> Array:
        """What the touch asks of the joints (n,) [N m]: the transposed Jacobian times its wrench."""
        none = [0.0] * len(self._joints)
        if self._touch is NOTHING:
            return np.array(none)
        linear, angular = self._bullet.calculateJacobian(
            self._arm, self._link, self._tool_point, position, none, none, physicsClientId=self._client
        )
        (fx, fy, fz), (mx, my, mz) = self._touch
        columns = zip(*linear, *angular, strict=True)
        return np.array([x * fx + y * fy + z * fz + a * mx + b * my + c * mz for x, y, z, a, b, c in columns])


def _pybullet() -> Any:
    """The library, imported when it is first needed: it is large, and has no wheel for Python 3.12 and later."""
    try:
        return importlib.import_module("pybullet")
    except ModuleNotFoundError:
        raise UsGridSimError(
            "PyBullet is not installed; use Python 3.10 or 3.11 and `pip install pybullet`, or the plant RigidArm"
        ) from None


def _check_links(urdf: Path) -> None:
    """Refuse what PyBullet would load as another arm.

    Raises:
        UsGridSimError: the file cannot be read, has no tool, or a link that moves has no inertia.
    """
    try:
        root = ET.parse(urdf).getroot()
    except (OSError, ET.ParseError) as error:
        raise UsGridSimError(f"{urdf}: not readable as URDF ({error}); expected the URDF of an arm") from None
    links = {link.get("name"): link for link in root.iter("link")}
    if TOOL not in links:
        raise UsGridSimError(f"{urdf}: has the links {', '.join(map(str, links)) or 'none'}; expected one named {TOOL}")
    moving = [child.get("link") for child in root.iter("child")]
    bare = [str(name) for name in moving if name in links and links[name].find("inertial") is None]
    if bare:
        raise UsGridSimError(f"{urdf}: {', '.join(bare)} without <inertial>, to PyBullet 1 kg; expected one in each")
