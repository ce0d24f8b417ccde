"""The command line: what each command prints, where, and how it ends."""
import base64
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess

from .cases import add, bad, equal, expect, good
from .lists import change

SECTION = "From the command line: "
SERVE = SECTION + "audittrail serve"
TOKEN = SECTION + "audittrail token --sub NAME --role ROLE [--tenant T] [--ttl 1h]"
KEYS = SECTION + "audittrail keys [show|new]"
IMPORT = SECTION + "audittrail import FILE|- [--batch N] [--reject FILE]"
EXPORT = SECTION + "audittrail export [--format F] [--out FILE] [--filter KEY=VALUE]…"
HEALTH = SECTION + "audittrail health [--live] [--url URL] [--timeout SECONDS]"
FSCK = SECTION + "audittrail fsck [--since CHECKPOINT] [--key VKEY]…"
COMPLETIONS = SECTION + "audittrail completions SHELL"
MAN = SECTION + "audittrail man [COMMAND | --dir DIR]"


def ends(world, code, *arguments, says="", **options):
    """Runs a command that ends so; with 2 and 3 it prints nothing but to standard error."""
    run = world.run(*arguments, **options)
    expect(run.returncode == code, arguments, "ends with", run.returncode, run.stdout, run.stderr)
    if code in (2, 3):
        equal(run.stdout, "", arguments)
    expect(says in run.stdout + run.stderr, "it does not say", says, ":", run.stderr)
    return run


def usage(row, *arguments, says=""):
    add(row, False, " ".join(arguments), lambda world: ends(world, 2, *arguments, says=says))


def talks_to(server, **claims):
    return {"settings": {"AUDITTRAIL_URL": server.url, "AUDITTRAIL_TOKEN": server.token(**claims)}}


@good(SERVE)
def says_where_and_how(world):
    server = world.server()
    rest = server.process.stdout.readline()
    expect(f"audittrail token --sub admin --role admin --data {server.data}" in rest, rest)
    server.process.send_signal(signal.SIGINT)
    equal(server.process.wait(60), 0, "the exit code after SIGINT")
    world.servers.remove(server)


@good(SERVE)
def on_a_terminal_a_token_and_a_command_that_works(world):
    """What it prints is run as it stands, in a shell with curl."""
    main, terminal = os.openpty()
    home = world.directory()
    process = subprocess.Popen(
        [world.binary, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none"], cwd=home,
        stdout=terminal, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "AUDITTRAIL_LOG": "off"})
    os.close(terminal)
    try:
        shown = ""
        while "/logs/list/" not in shown:
            shown += os.read(main, 1 << 16).decode().replace("\r\n", "\n")
        script = shown[shown.index("  export"):].replace(
            "Send an entry, then list what is there:", "").replace("curl", "\ncurl -sS")
        run = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60,
                             check=False)
        equal(run.returncode, 0, run.stderr, script)
        receipt, rest = json.JSONDecoder().raw_decode(run.stdout)
        equal(json.loads(run.stdout[rest:])["results"][0]["id"], receipt["id"])
    finally:
        process.terminate()
        process.wait(60)
        os.close(main)


usage(SERVE, "serve", "--nonsense", says="--nonsense")
usage(SERVE, "serve", "extra")
usage(SERVE, "--listen", "127.0.0.1:0")
usage(SERVE, "serv")


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@good(TOKEN)
def what_it_makes(world):
    server = world.plain
    for role in ["user", "writer", "reader", "auditor", "admin"]:
        run = ends(world, 0, "token", "--sub", "eve", "--role", role, "--tenant", "acme",
                   "--ttl", "2d", "--data", server.data)
        token = run.stdout.strip()
        equal(run.stdout, token + "\n")
        claims = claims_of(token)
        equal((claims["sub"], claims["roles"], claims["tenant"]), ("eve", [role], "acme"))
        equal(claims["exp"] - claims["iat"], 2 * 86_400)
        answer = server.get("/logs/list/", token)
        equal(answer.status, 403 if role == "writer" else 200, role)
    default = ends(world, 0, "token", "--sub", "e", "--role", "user", "--data", server.data).stdout
    claims = claims_of(default)
    equal((claims["exp"] - claims["iat"], "tenant" in claims), (3_600, False))


for arguments in [("--sub", "a"), ("--role", "user"), ("--sub", "a", "--role", "root"),
                  ("--sub", "a", "--role", "user", "--ttl", "1w"),
                  ("--sub", "a", "--role", "user", "--ttl", "0s")]:
    add(TOKEN, False, " ".join(arguments), lambda world, arguments=arguments: ends(
        world, 2, "token", *arguments, "--data", world.plain.data))


@bad(TOKEN)
def there_is_no_secret(world):
    home = world.directory()
    ends(world, 3, "token", "--sub", "a", "--role", "user", cwd=home, says="AUDITTRAIL_JWT_SECRET")
    equal(os.listdir(home), [], "what it leaves")


@good(KEYS)
def show_and_new(world):
    shown = [ends(world, 0, "keys", *more, "--data", world.plain.data).stdout
             for more in [(), ("show",)]]
    equal(shown[0], shown[1])
    name, number, key = shown[0].strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    # C2SP signed-note: 1 is Ed25519, and the number is of the name and the key.
    equal((key[0], len(key)), (1, 33))
    equal(number, hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8])
    first, second = (ends(world, 0, "keys", "new", "--origin", "log.test") for _ in range(2))
    expect(first.stdout != second.stdout, "the same key twice")
    expect(first.stderr.startswith("verifier key: log.test+"), first.stderr)


@bad(KEYS)
def there_is_no_log(world):
    home = world.directory()
    ends(world, 3, "keys", "show", cwd=home)
    ends(world, 2, "keys", "old", cwd=home)
    ends(world, 2, "keys", "new", "--origin", "a b", cwd=home)
    equal(os.listdir(home), [], "what it leaves")


def written(home, name, text):
    path = os.path.join(home, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


@good(IMPORT)
def again_is_harmless(world):
    server, home = world.server(), world.directory()
    lines = [json.dumps({"action": "import.tried", "resource": str(number)}) for number in range(25)]
    path = written(home, "events.ndjson", "\n".join(lines[:5] + [""] + lines[5:]) + "\n")
    options = talks_to(server, roles="writer")
    for _ in range(2):
        ends(world, 0, "import", path, "--batch", "7", **options)
        equal(server.size(), 25, "entries in the log")
    results = server.list(order="index", page_size="25")["results"]
    equal([one["resource"] for one in results], [str(number) for number in range(25)])
    # From standard input it is another source.
    for _ in range(2):
        ends(world, 0, "import", "-", text="\n".join(lines[:3]), **options)
        equal(server.size(), 28)
    world.discard(server)


@bad(IMPORT)
def refused_lines(world):
    server, home = world.plain, world.directory()
    lines = ['{"action":"import.good"}', '{"action":""}', 'x', '{"action":"import.good"}',
             '{"action":"a","id":"1"}', '{"action":"%s"}' % ("a" * (4 << 20))]
    path, reject = written(home, "some.ndjson", "\n".join(lines)), os.path.join(home, "reject")
    before = server.size()
    ends(world, 1, "import", path, "--reject", reject, **talks_to(server))
    equal(server.size(), before + 2)
    with open(reject, encoding="utf-8") as file:
        refused = [json.loads(line) for line in file]
    refused.sort(key=lambda one: one["line"])
    equal([one["line"] for one in refused], [2, 3, 5, 6])
    equal([one["entry"] for one in refused], [lines[1], lines[2], lines[4], ""])
    expect(all(one["reason"] for one in refused), refused)
    run = ends(world, 1, "import", path, **talks_to(server))
    expect("line 2" in run.stderr, run.stderr)
    ends(world, 2, "import", path, "--reject", path, **talks_to(server))
    ends(world, 2, "import", path + ".none", **talks_to(server))
    for number in ["0", "10001", "x"]:
        ends(world, 2, "import", path, "--batch", number, **talks_to(server))
    ends(world, 3, "import", path, **talks_to(server, roles="reader"))
    equal(server.size(), before + 2)


@good(EXPORT)
def to_a_file_and_to_standard_output(world):
    server, home = world.known, world.directory()
    for name in ["json", "ndjson", "csv"]:
        path = written(home, f"out.{name}", "what was there")
        filters = ["--filter", "outcome=denied", "--filter", "action__in=door.open,a\\,b",
                   "--format", name]
        run = ends(world, 0, "export", *filters, "--out", path, **talks_to(server))
        expect(path in run.stdout, run.stdout)
        with open(path, encoding="utf-8", newline="") as file:
            kept = file.read()
        page = server.list(outcome="denied", action__in="door.open,a\\,b", page_size="1000",
                           order="index")
        wanted = [one["index"] for one in page["results"]]
        if name == "csv":
            found = [int(row["index"]) for row in csv.DictReader(kept.splitlines())]
        else:
            found = [one["index"] for one in
                     (json.loads(kept) if name == "json" else map(json.loads, kept.splitlines()))]
        equal(found, wanted, name)
        for dash in [(), ("--out", "-")]:
            shown = ends(world, 0, "export", *filters, *dash, **talks_to(server)).stdout
            equal(shown.split(), kept.split())
    equal(sorted(os.listdir(home)), ["out.csv", "out.json", "out.ndjson"], "files that are left")


@bad(EXPORT)
def no_file_is_left(world):
    server, home = world.plain, world.directory()
    path = os.path.join(home, "out")
    for arguments in [("--format", "xml"), ("--filter", "action"), ("--filter", "colour=red"),
                      ("--filter", "format=csv"), ("--filter", "action=")]:
        ends(world, 2, "export", *arguments, "--out", path, **talks_to(server))
    ends(world, 3, "export", "--out", path, **talks_to(server, roles="reader"))
    ends(world, 3, "export", "--out", path, settings={"AUDITTRAIL_URL": "http://127.0.0.1:1",
                                                      "AUDITTRAIL_TOKEN": "x"})
    ends(world, 2, "export", "--out", home + "/none/out", **talks_to(server))
    equal(os.listdir(home), [], "files that are left")


def tampered(world):
    """A server, one of whose three entries was changed on disk."""
    server = world.server()
    server.ids = [server.post({"action": "disk.tried", "resource": resource},
                              ack="published").ok(201).json()["id"]
                  for resource in ["first", "second", "third"]]
    server.stop()
    change(server, b'"resource":"second"', b'"resource":"sEcond"')
    server.start()
    return server


@bad(EXPORT)
def entries_that_do_not_verify(world):
    """The export is whole, and says so; it ends with 1."""
    server = world.shared("changed", tampered)
    path = os.path.join(world.directory(), "out")
    run = ends(world, 1, "export", "--out", path, "--format", "ndjson", "--filter",
               "index_to=2", **talks_to(server))
    with open(path, encoding="utf-8") as file:
        verified = [json.loads(line)["verified"] for line in file]
    equal(verified, [True, False, True])
    expect("1 of 3" in run.stderr, run.stderr)


@good(HEALTH)
def ready_and_live(world):
    server = world.plain
    for arguments, said in [(("--url", server.url), "ready\n"),
                            (("--url", server.url, "--live"), "live\n"),
                            (("--listen", server.address, "--timeout", "60"), "ready\n")]:
        equal(ends(world, 0, "health", *arguments).stdout, said)
    # `serve` and `health` with the same settings mean the same address.
    equal(ends(world, 0, "health", settings={"AUDITTRAIL_LISTEN": server.address}).stdout, "ready\n")


@bad(HEALTH)
def no_answer(world):
    ends(world, 3, "health", "--url", "http://127.0.0.1:1")
    ends(world, 2, "health", "--url", "127.0.0.1")
    ends(world, 2, "health", "--listen", "127.0.0.1:0", says="--url")
    for seconds in ["0", "301", "x"]:
        ends(world, 2, "health", "--timeout", seconds)
    # An answer that is no yes.
    ends(world, 1, "health", "--url", world.plain.url + "/nowhere")


@good(FSCK)
def a_sound_log(world):
    server = world.server()
    server.post([{"action": "a"}] * 100, ack="published").ok(201)
    run = ends(world, 0, "fsck", "--data", server.data, says="everything verifies")
    expect("100 entries read" in run.stdout, run.stdout)
    kept = shutil.copy(os.path.join(server.data, "checkpoint"), os.path.join(server.home, "kept"))
    server.post([{"action": "b"}] * 5, ack="published").ok(201)
    world.discard(server)
    ends(world, 0, "fsck", "--data", server.data, "--since", kept, says="105 entries read")


@bad(FSCK)
def a_log_that_was_changed(world):
    server = world.shared("changed", tampered)
    run = ends(world, 1, "fsck", "--data", server.data)
    expect("entry 1" in run.stdout and "offset" in run.stdout, run.stdout)
    expect("does not verify" in run.stderr, run.stderr)
    # A checkpoint of another log, and what is none.
    other = os.path.join(world.plain.data, "checkpoint")
    ends(world, 2, "fsck", "--data", server.data, "--since", other)
    ends(world, 2, "fsck", "--data", server.data, "--since", os.path.join(server.home, "none"))
    ends(world, 3, "fsck", "--data", world.directory())


@bad(FSCK)
def a_log_that_was_cut(world):
    """Shorter than a checkpoint that was kept elsewhere."""
    server = world.server()
    server.post({"action": "a"}, ack="published").ok(201)
    server.stop()
    copy = os.path.join(server.home, "copy")
    shutil.copytree(server.data, copy)
    server.start()
    server.post({"action": "b"}, ack="published").ok(201)
    kept = os.path.join(server.data, "checkpoint")
    ends(world, 0, "fsck", "--data", copy)
    ends(world, 1, "fsck", "--data", copy, "--since", kept)
    world.discard(server)


@good(COMPLETIONS)
def of_every_shell(world):
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"]:
        shown = ends(world, 0, "completions", shell).stdout
        expect(all(command in shown for command in world.commands), shell)
    script = ends(world, 0, "completions", "bash").stdout
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    equal(checked.returncode, 0, checked.stderr)


usage(COMPLETIONS, "completions")
usage(COMPLETIONS, "completions", "tcsh")


@good(MAN)
def pages_of_every_command(world):
    home = world.directory()
    ends(world, 0, "man", "--dir", home)
    for command in world.commands:
        page = ends(world, 0, "man", command).stdout
        expect(page.startswith(".") and ".TH" in page and "Example" in page, page[:300])
        with open(os.path.join(home, f"audittrail-{command}.1"), encoding="utf-8") as file:
            expect(".TH" in file.read(), command)
    expect(".TH audittrail 1" in ends(world, 0, "man").stdout)


usage(MAN, "man", "nonsense", says="nonsense")
usage(MAN, "man", "--dir", "/nowhere/at/all")
usage(MAN, "man", "serve", "--dir", "/tmp")


def exit_row(code, good_case, bad_case):
    good(f"{SECTION}{code}")(good_case)
    bad(f"{SECTION}{code}")(bad_case)


def helped(world):
    """Each command has help with an example, on standard output."""
    for command in world.commands:
        ends(world, 0, command, "--help", says="Example")
    ends(world, 0, "--help")
    ends(world, 0, "--version")


def not_zero(world):
    expect(world.run().returncode == 2, "without a command")


def not_verified(world):
    ends(world, 1, "fsck", "--data", world.shared("changed", tampered).data)


exit_row(0, helped, not_zero)
exit_row(1, not_verified, lambda world: ends(world, 0, "health", "--url", world.plain.url))
exit_row(2, lambda world: ends(world, 2, "health", "--timeout", "0", says="timeout"),
         lambda world: ends(world, 0, "health", "--timeout", "1", "--url", world.plain.url))
exit_row(3, lambda world: ends(world, 3, "health", "--url", "http://127.0.0.1:1", says="127.0.0.1:1"),
         lambda world: ends(world, 0, "health", "--url", world.plain.url))
