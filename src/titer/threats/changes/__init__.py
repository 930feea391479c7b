"""Changes: what an attacker may do to a case. One file each."""
