"""Virtual lower backs, B-mode rendering, grids of frames, environments and image sources."""
