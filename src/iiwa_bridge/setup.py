"""Build file of iiwa_bridge: an ament_python package that also installs with pip."""

from setuptools import find_packages, setup

setup(
    name="iiwa_bridge",
    version="0.1.0",
    description="Force-controlled bridge from /probe/step to a KUKA LBR iiwa, or to a simulated one.",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["iiwa_bridge", "iiwa_bridge.*"]),
    package_data={"iiwa_bridge": ["py.typed", "description/*.urdf", "description/*.yaml", "fri/*.proto"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/iiwa_bridge"]),
        ("share/iiwa_bridge", ["package.xml"]),
    ],
    entry_points={
        "console_scripts": [
            "bridge_node = iiwa_bridge.ros.bridge_node:main",
            "robot_simulation = iiwa_bridge.ros.simulation_node:main",
        ],
        "us_grid_sim.robots": ["iiwa_bridge = iiwa_bridge.lockstep_robot:LockStepRobot"],
    },
    zip_safe=False,
)
