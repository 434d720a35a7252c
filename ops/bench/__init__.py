"""`./cdc bench`: what the running stack does, in figures, each with its method.

It measures on a way of its own beside the user's: tables, slot, connector, topics and ClickHouse
objects named `cdc_bench…`, made as the stack makes them and gone at the end.
"""
