"""How long attacks take, beside the peers and beside the passes that they need."""
