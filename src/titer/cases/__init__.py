"""Cases: what is examined, and where it comes from."""
