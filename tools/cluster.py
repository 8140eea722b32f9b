#!/usr/bin/env python3
"""Runs a whole cluster of Narvi on this machine and tests it: tools/cluster/README.md tells of the commands."""
import sys

sys.dont_write_bytecode = True

from cluster.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
