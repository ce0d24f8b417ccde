"""What `audittrail verify` finds in evidence that was changed; carried out where it is built."""
import json
import os

from .cases import equal, expect
from .commands import talks_to, tampered
from .pending import optional

SECTION = "From the command line: "


def evidence(world, server=None, **parameters):
    """The lines of a range as they are sent, and the log's key."""
    server = server or world.known
    given = {"format": "evidence", "index_to": "9"} | parameters
    lines = server.get("/logs/export/", **given).ok().body.decode().splitlines()
    key = world.run("keys", "--data", server.data).stdout.strip()
    return [json.loads(line) for line in lines], key


def checks(world, lines, key, code, *more):
    """The checks that did not hold, of a file with these lines."""
    path = os.path.join(world.directory(), "evidence")
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    run = world.run("verify", path, "--key", key, "--json", *more)
    equal(run.returncode, code, run.stdout, run.stderr)
    report = json.loads(run.stdout)
    equal(report["verified"], code == 0)
    return {finding["check"] for finding in report["findings"]}


def first(lines, **changes):
    return [lines[0] | changes, *lines[1:]]


def at(lines, number, **changes):
    return [line | changes if position == number else line for position, line in enumerate(lines)]


def without(line, *names):
    return {name: value for name, value in line.items() if name not in names}


def flipped(text):
    return ("B" if text[0] == "A" else "A") + text[1:]


# Row: how the lines are changed; each name in the row is one of its checks.
CHANGES = {
    "header, line": lambda lines: first(lines, evidence=2),
    "origin, header-key": lambda lines: first(lines, origin="log.test/other"),
    "leaf": lambda lines: at(lines, 3, leaf=lines[3]["leaf"] + " "),
    "inclusion": lambda lines: at(
        lines, 1, proof=[flipped(lines[1]["proof"][0]), *lines[1]["proof"][1:]]),
    "commitment": lambda lines: at(lines, 3, salt=flipped(lines[3]["salt"])),
    "erasure": lambda lines: [without(line, "sealed", "salt") if number == 3 else line
                              for number, line in enumerate(lines)],
    "order, duplicate": lambda lines: [*lines[:2], *lines[1:]],
    "complete": lambda lines: [*lines[:-2], lines[-1] | {"count": lines[-1]["count"] - 1}],
    "count, end": lambda lines: [*lines[:-1], lines[-1] | {"count": 17}],
}


def both(row, changed):
    """Good: evidence as it is sent, in which the check holds. Bad: what was changed is found."""
    names = set(row.split(", "))

    def found(world):
        expect(changed(world) & names, row, "is not found")
    optional(SECTION + row, False)(found)

    @optional(SECTION + row, True)
    def holds(world):
        lines, key = evidence(world)
        equal(len(lines), 12, "lines of ten entries")
        equal(checks(world, lines, key, 0), set())


def after(change):
    def changed(world):
        lines, key = evidence(world)
        return checks(world, change(lines), key, 1)
    return changed


def another_key(world):
    key = world.run("keys", "new", "--origin", "log.test/other").stderr.split(": ")[1].strip()
    return checks(world, evidence(world)[0], key, 1)


def another_signing_key(world):
    lines, key = evidence(world)
    path = os.path.join(world.directory(), "key")
    with open(path, "w", encoding="utf-8") as file:
        file.write("another key of thirty-two bytes or more")
    return checks(world, lines, key, 1, "--signing-key", path)


def failed_on_the_server(world):
    lines, key = evidence(world, world.shared("changed", tampered), index_to="2")
    return checks(world, lines, key, 1)


for each, change in CHANGES.items():
    both(each, after(change))
both("checkpoint", another_key)
both("signature", another_signing_key)
both("server", failed_on_the_server)
DAMAGED = "Errors: damaged"


@optional(DAMAGED, True)
def the_others_have_proofs(world):
    server = world.shared("changed", tampered)
    server.get(f"/logs/{server.ids[0]}/proof/").ok()


@optional(DAMAGED, False)
def no_proof_of_what_was_changed(world):
    server = world.shared("changed", tampered)
    answer = server.get(f"/logs/{server.ids[1]}/proof/").problem(500, "damaged")
    equal(answer.json()["indices"], [1])
    run = world.run("prove", server.ids[1], **talks_to(server))
    expect(run.returncode in (1, 3) and not run.stdout, run.returncode, run.stdout)
