"""Detectors of suspicious inputs: one file each, called after the verdict, able only to make it more cautious."""
