"""Records that a capture point signs, in an append-only tree that other parties witness."""
