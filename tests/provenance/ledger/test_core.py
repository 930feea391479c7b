"""Corners of the trust core that no other test asks about: each was found by a change that no test noticed."""
