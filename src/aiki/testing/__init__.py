"""For those who test code written with Aiki.

The real engine, store and worker on a clock that is moved by hand: nothing in this room imitates another.
"""
