"""Constraints: what must stay true of a table row, whatever an attacker does to it."""
