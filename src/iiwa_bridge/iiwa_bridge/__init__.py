"""The bridge between steps on the parallel plane and the robot that holds the probe."""
