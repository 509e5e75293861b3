"""What the robot and its cell are: the arm and the probe as URDF, and where the patient lies."""
