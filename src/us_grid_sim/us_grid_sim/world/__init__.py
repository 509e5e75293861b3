"""Simulated arms over a virtual back. They satisfy ``iiwa_bridge.robot.ArmPlant`` by their shape."""
