"""Reads an export as CSV back and compares it with the same export as JSON lines.

usage: compare_exports.py CSV NDJSON
Both of one log with `index_to`, so that they cover the same entries.
"""

import csv
import json
import sys
import unicodedata

TEXT = ["action", "outcome", "user_id", "resource", "source_ip", "tenant", "id", "timestamp",
        "received_at", "key_id", "signature", "verification_error"]
FORMULA = set("=+-@\u2212")


def value(cell):
    """What the server was given: without the apostrophe that guards a cell."""
    return cell[1:] if cell.startswith("'") else cell


def starts_a_formula(cell):
    plain = cell.lstrip().lstrip("\ufeff\u200b").lstrip()
    first = unicodedata.normalize("NFKC", plain[:1])
    return first in FORMULA or cell[:1] in ("\t", "\r", "\n")


def result(row):
    """The row as JSON lines have it."""
    entry = {name: value(row[name]) for name in TEXT if row[name]}
    entry["index"] = int(row["index"])
    entry["verified"] = {"true": True, "false": False}[row["verified"]]
    if row["details"]:
        entry["details"] = json.loads(value(row["details"]))
    by = {part: value(row["submitted_by." + part]) for part in ("iss", "sub")}
    by = {part: text for part, text in by.items() if text}
    if by:
        entry["submitted_by"] = by
    return entry


def main(csv_path, lines_path):
    raw = open(csv_path, "rb").read()
    assert raw.endswith(b"\r\n"), "the last row ends with CRLF"
    with open(csv_path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    for row in rows:
        assert None not in row and None not in row.values(), f"not 17 cells: {row}"
        for name, cell in row.items():
            assert not starts_a_formula(cell), f"{name} starts a formula: {cell!r}"
    results = [result(row) for row in rows]
    lines = [json.loads(line) for line in open(lines_path, encoding="utf-8", newline="\n")]
    assert len(results) == len(lines), f"{len(results)} rows, {len(lines)} lines"
    for row, line in zip(results, lines):
        assert row == line, f"\n{row}\n{line}"
    guarded = sum(cell.startswith("'") for row in rows for cell in row.values())
    print(f"{len(lines)} entries are equal, {guarded} cells guarded")


main(*sys.argv[1:])
