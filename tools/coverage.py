#!/usr/bin/env python3
"""Print the lines and branches that tests of a build with --coverage reached, by folder and, with --files, by file."""
import collections
import json
import os
import subprocess
import sys


def gcov(objects):
    """The JSON documents of gcov for some .gcda files. gcov writes them to stdout, one a line, because its output files
    are named after the sources without folders: core/cells/cell.c and config/keras/cell.c would have the same name."""
    out = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", *objects], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    for line in out.splitlines():
        if line.startswith(b"{"):
            yield json.loads(line)


def main():
    build = os.path.abspath(sys.argv[1])
    counts = [os.path.join(folder, name) for folder, _, names in os.walk(build) for name in names
              if name.endswith(".gcda") and "/tests/" not in folder + "/"]
    lines, branches = collections.defaultdict(dict), collections.defaultdict(dict)
    for document in gcov(counts):
        for file in document["files"]:
            path = os.path.normpath(file["file"])
            if path.startswith(("/", "tests/")):
                continue
            for line in file["lines"]:
                number = line["line_number"]
                lines[path][number] = lines[path].get(number, 0) + line["count"]
                for i, branch in enumerate(line["branches"]):
                    branches[path][number, i] = branches[path].get((number, i), 0) + branch["count"]

    def row(name, paths):
        hit = sum(1 for p in paths for n in lines[p].values() if n)
        total = sum(len(lines[p]) for p in paths)
        taken = sum(1 for p in paths for n in branches[p].values() if n)
        ways = sum(len(branches[p]) for p in paths)
        print(f"{name:<36} {hit:>6} of {total:>6} lines {100 * hit / max(total, 1):>6.1f} %"
              f" {taken:>6} of {ways:>6} branches {100 * taken / max(ways, 1):>6.1f} %")

    folders = collections.defaultdict(list)
    for path in sorted(lines):
        folders[os.path.dirname(path)].append(path)
    for folder in sorted(folders):
        row(folder, folders[folder])
        if "--files" in sys.argv:
            for path in folders[folder]:
                row("  " + os.path.basename(path), [path])
    row("all", list(lines))


main()
