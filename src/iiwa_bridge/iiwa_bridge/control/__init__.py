"""From what the probe feels to where it is sent: force along the beam, beam along the surface normal, steps, payload.

Everything is ``update(sample, dt)``: no clock, no thread, no robot model.
"""
