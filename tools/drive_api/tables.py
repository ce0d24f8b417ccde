"""The tables of docs/api.md: their rows are what has to be covered."""
import re


def rows(text):
    """`Section: first cell` of each row of each table, in order; backticks are left out."""
    section, found, lines, fenced = "", [], text.split("\n"), False
    for number, line in enumerate(lines):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            continue
        elif heading := re.match(r"#+ (.*)", line):
            section = heading[1]
        elif line.startswith("|"):
            ruled = number + 1 < len(lines) and re.fullmatch(r"\|(-+\|)+", lines[number + 1])
            if not ruled and not re.fullmatch(r"\|(-+\|)+", line):
                found.append(f"{section}: {cells(line)[0]}")
    twice = {row for row in found if found.count(row) > 1}
    if twice:
        raise SystemExit(f"docs/api.md has rows that cannot be told apart: {sorted(twice)}")
    return found


def cells(line):
    """The cells of a row; `\\|` is a bar within one."""
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [part.replace("\\|", "|").replace("`", "").strip() for part in parts]


def column(text, section, number):
    """A column of the tables in a section."""
    part = re.split(r"^#+ ", text, flags=re.M)
    part = next(one for one in part if one.startswith(section + "\n"))
    lines = [line for line in part.split("\n") if line.startswith("| ")]
    return {cells(line)[0]: cells(line)[number] for line in lines}
