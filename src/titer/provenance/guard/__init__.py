"""Lets a model see only what can be tied to a fingerprint, or says loudly that it cannot."""
