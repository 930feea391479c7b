"""Threats: what an attacker may change, know and want."""
