"""Attacks: searches for a change that fools a model. One file each; the engine judges."""
