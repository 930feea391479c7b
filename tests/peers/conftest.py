"""Files that run in the environment of the peers are no tests."""

collect_ignore_glob = ["peer_*.py"]
