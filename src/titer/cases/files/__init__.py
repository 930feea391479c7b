"""Files of users as arrays: sizes are bounded, damaged files are refused, nothing is unpickled."""
