"""Readers: file formats that users have, one file each."""
