"""What each reader needs to know, one file per reader."""
