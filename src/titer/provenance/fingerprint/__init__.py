"""What names the content of one clinical object exactly: one file per kind of data."""
