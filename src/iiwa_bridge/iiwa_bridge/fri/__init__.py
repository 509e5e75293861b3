"""KUKA's Fast Robot Interface 1.15: messages, the client's side and a simulated controller (docs/fri.md)."""
