"""Build file of us_nav_agent: an ament_python package that also installs with pip."""

from setuptools import find_packages, setup

setup(
    name="us_nav_agent",
    version="0.1.0",
    description="Navigation agents, the policy node, bags and the usnav command line.",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["us_nav_agent", "us_nav_agent.*"]),
    package_data={"us_nav_agent": ["py.typed", "config/experiments/*.yaml", "console/static/*", "console/static/*/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/us_nav_agent"]),
        ("share/us_nav_agent", ["package.xml"]),
    ],
    entry_points={
        "console_scripts": [
            "usnav = us_nav_agent.cli.main:main",
            "policy_node = us_nav_agent.ros.policy_node:main",
            "navigate_node = us_nav_agent.ros.navigate_node:main",
            "recorder_node = us_nav_agent.ros.recorder_node:main",
        ],
    },
    zip_safe=False,
)
