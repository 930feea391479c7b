"""Adapters: one file for each kind of model that people have."""
