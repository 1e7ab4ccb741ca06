#!/usr/bin/env python3
"""Turn the commands that `make -nB V=1` prints into a compilation database for editors and clangd."""
import json
import os
import re
import sys

entries = []
for line in sys.stdin:
    match = re.search(r" -c -o (\S+) (\S+\.c)$", line.strip())
    if match:
        entries.append({"directory": os.getcwd(), "file": match[2], "output": match[1], "command": line.strip()})
json.dump(entries, sys.stdout, indent=1)
print()
