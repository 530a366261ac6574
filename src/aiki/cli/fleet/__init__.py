"""`aiki workers` and `aiki workflows`: who is there, and what is served.

The rule: these commands only look; what they show is what the server has heard.
"""
