"""A robot cell that is simulated: KUKA's own control in front of a plant, for the simulated controller to drive."""
