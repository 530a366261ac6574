"""`aiki web`: the dashboard for a server elsewhere.

The rule: it has no powers of its own; what may be done is the server's to say.
"""
