"""What may happen: every rule of the platform, as functions from a working set, a command and a moment.

No input or output, no clock, no chance: equal arguments give equal decisions, whoever asks and on whatever store.

    decide      the one door                        starts      how runs begin
    commands    what can be asked, and answered     commits     how a turn is made durable
    keys        which rows that may touch           retrying    what another attempt of a run keeps
    dispatch    how ready runs reach workers        ending      how a run ends, and who hears of it
    invariants  what holds after each transaction   requests    what people and other runs ask
    moves       statuses and the one alarm          alarms      what happens because time has passed
    inbox       messages, numbered and delivered    sessions    leases, polls, lost workers
    problems    refusals and ends, as data          retention   what is deleted, long after its end
"""
