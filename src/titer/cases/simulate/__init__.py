"""Procedural cases: what the twins share. Every case has its own random stream and keeps its ground truth."""
