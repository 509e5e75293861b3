"""What keeps the person safe: limits on what is sent, limits on what is measured, and a written state machine.

Nothing here trusts what it is given. Comparisons are written so that NaN breaks a limit, every wait has a deadline,
and time comes in as a number of a steady clock.
"""
