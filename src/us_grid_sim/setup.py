"""Build file of us_grid_sim: an ament_python package that also installs with pip."""

from setuptools import find_packages, setup

setup(
    name="us_grid_sim",
    version="0.1.0",
    description="Virtual lower backs, B-mode rendering, grids of frames, environments and image sources.",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["us_grid_sim", "us_grid_sim.*"]),
    package_data={"us_grid_sim": ["py.typed", "ros/fastdds.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/us_grid_sim"]),
        ("share/us_grid_sim", ["package.xml"]),
    ],
    entry_points={
        "console_scripts": [
            "image_source_node = us_grid_sim.ros.image_source_node:main",
            "grid_replay_node = us_grid_sim.ros.grid_replay_node:main",
        ],
        "iiwa_bridge.arms": [
            "mock = us_grid_sim.world.arms:make_mock",
            "pybullet = us_grid_sim.world.arms:make_pybullet",
        ],
    },
    zip_safe=False,
)
