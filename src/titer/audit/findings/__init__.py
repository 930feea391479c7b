"""Questions asked across cells, one file each."""
