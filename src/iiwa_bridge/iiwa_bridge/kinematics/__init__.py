"""Kinematics and dynamics of the arm with its probe; the only room that knows Pinocchio."""
