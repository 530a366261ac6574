"""What people type about schedules: `aiki schedules`.

A command only words what `client.schedules` can do.
"""
