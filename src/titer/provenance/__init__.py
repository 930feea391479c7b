"""Evidence: fingerprints at capture, a ledger nobody can rewrite unnoticed, and a guard before the model."""
