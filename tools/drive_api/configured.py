"""The other settings: where they come from, which of them counts, secrets and their files."""
import json
import os
import socket
import urllib.request

from .cases import add, bad, equal, expect, good
from .server import base64url, mint

SECTION = "Settings: "
KEY, OTHER = "k" * 32, "another key of thirty-two bytes!"


def row(name):
    flag = "--" + name.removeprefix("AUDITTRAIL_").lower().replace("_", "-")
    return f"{SECTION}{name}, {flag}"


def refuses(row_name, settings=None, arguments=(), says="", codes=(2,)):
    """That the server does not start, and says why."""
    def check(world):
        home = world.directory()
        run = world.run("serve", "--metrics-listen", "none", *arguments, cwd=home,
                        settings={"AUDITTRAIL_LISTEN": "127.0.0.1:0"} | (settings or {}))
        expect(run.returncode in codes, settings or arguments, "ends with", run.returncode, run.stderr)
        expect(says in run.stderr, f"it does not say {says}: {run.stderr}")
        equal(run.stdout, "")
        equal(os.listdir(home), [], "what it leaves")
    add(row_name, False, f"{settings or arguments}"[:60], check)


@good(row("AUDITTRAIL_CONFIG"))
def flags_before_environment_before_file(world):
    home = world.directory()
    path = os.path.join(home, "audittrail.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write('origin = "of.the/file"\nack = "published"\nmax_streams = 8\n'
                   'metrics_listen = "none"\npublic_url = "http://of.the.file"\n')
    server = world.server("--config", path, "--public-url", "http://of.the.flag",
                          settings={"AUDITTRAIL_ORIGIN": "of.the/environment",
                                    "AUDITTRAIL_PUBLIC_URL": "http://of.the.environment"})
    answer = server.post({"action": "a"}).ok(201)
    equal(answer.json()["ack"], "published")
    expect(answer.headers["Location"].startswith("http://of.the.flag/"), answer.headers["Location"])
    shown = world.run("keys", "show", "--data", server.data).stdout
    expect(shown.startswith("of.the/environment+"), shown)
    server.restart()
    world.discard(server)


@bad(row("AUDITTRAIL_CONFIG"))
def a_file_with_an_unknown_name(world):
    home = world.directory()
    path = os.path.join(home, "audittrail.toml")
    for text, says in [("colour = 1\n", "colour"), ("listen = \n", "audittrail.toml"),
                       ("jwt_secret = \"x\"\n", "jwt_secret")]:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        for arguments, settings in [(("--config", path), {}), ((), {"AUDITTRAIL_CONFIG": path})]:
            run = world.run("serve", *arguments, cwd=home, settings=settings)
            equal(run.returncode, 2, text)
            expect(says in run.stderr, run.stderr)
    run = world.run("serve", "--config", path + ".none", cwd=home)
    equal(run.returncode, 2)


@good(row("AUDITTRAIL_LISTEN"))
def the_address_that_is_said(world):
    server = world.server("--listen", "127.0.0.1:0")
    port = server.address.split(":")[1]
    world.discard(server)
    server = world.server(settings={"AUDITTRAIL_LISTEN": f"127.0.0.1:{port}"})
    equal(server.address, f"127.0.0.1:{port}")
    world.discard(server)


for value in ["", "8000", "localhost:8000", "127.0.0.1", "127.0.0.1:70000"]:
    refuses(row("AUDITTRAIL_LISTEN"), {"AUDITTRAIL_LISTEN": value}, says="listen")


@bad(row("AUDITTRAIL_LISTEN"))
def an_address_in_use(world):
    home = world.directory()
    run = world.run("serve", "--listen", world.plain.address, "--metrics-listen", "none", cwd=home)
    equal(run.returncode, 3)
    expect(world.plain.address in run.stderr and "--listen" in run.stderr, run.stderr)
    equal(os.listdir(home), [], "what it leaves")


@good(row("AUDITTRAIL_DATA"))
def the_default_is_in_the_current_directory(world):
    server = world.server(settings={"AUDITTRAIL_DATA": "elsewhere"})
    expect(os.path.exists(os.path.join(server.home, "elsewhere", "log")))
    world.discard(server)


@bad(row("AUDITTRAIL_DATA"))
def one_process_at_a_time(world):
    run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                    "--data", world.plain.data)
    equal((run.returncode, run.stdout), (3, ""))
    expect(world.plain.data in run.stderr, run.stderr)
    world.plain.get("/health/ready", None).ok()


@bad(row("AUDITTRAIL_DATA"))
def what_is_no_directory(world):
    path = os.path.join(world.directory(), "file")
    with open(path, "w", encoding="utf-8") as file:
        file.write("x")
    run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--data", path)
    equal((run.returncode, run.stdout), (3, ""))


@good(row("AUDITTRAIL_STORE"))
def what_there_is(world):
    server = world.server("--store", "embedded", "--queue", "in-process")
    server.post({"action": "a"}).ok(201)
    world.discard(server)


good(row("AUDITTRAIL_QUEUE"))(what_there_is)
for value in ["", "memory", "mongodb://", "http://127.0.0.1/"]:
    refuses(row("AUDITTRAIL_STORE"), {"AUDITTRAIL_STORE": value}, says="store")
for value in ["", "http://127.0.0.1/", "redis://127.0.0.1:x/"]:
    refuses(row("AUDITTRAIL_QUEUE"), {"AUDITTRAIL_QUEUE": value}, says="queue")
refuses(row("AUDITTRAIL_QUEUE"), {"AUDITTRAIL_QUEUE": "redis://127.0.0.1/"}, says="AUDITTRAIL_STORE")


@good(row("AUDITTRAIL_ORIGIN"))
def the_name_of_the_log(world):
    server = world.server("--origin", "log.test/audit")
    receipt = server.post({"action": "a"}, ack="published").ok(201).json()
    expect("\n\nlog.test/audit\n1\n" in receipt["proof"], receipt["proof"])
    server.arguments = []
    server.restart()
    world.discard(server)
    world.named = server


@bad(row("AUDITTRAIL_ORIGIN"))
def fixed_at_the_first_start(world):
    run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--data",
                    world.named.data, "--origin", "log.test/other")
    equal(run.returncode, 2)
    expect("log.test/audit" in run.stderr, run.stderr)


for value in ["a b", "a+b", ""]:
    add(row("AUDITTRAIL_ORIGIN"), False, f"{value!r}", lambda world, value=value: equal(
        world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--origin", value,
                  cwd=world.directory()).returncode, 2, value))


@good(row("AUDITTRAIL_ACK"))
def where_a_request_does_not_say(world):
    server = world.server(settings={"AUDITTRAIL_ACK": "published"})
    equal(server.post({"action": "a"}).ok(201).json()["ack"], "published")
    equal(server.post({"action": "a"}, ack="committed").ok(201).json()["ack"], "committed")
    world.discard(server)


for value in ["", "durable", "COMMITTED"]:
    refuses(row("AUDITTRAIL_ACK"), {"AUDITTRAIL_ACK": value}, says="ack")


@good(row("AUDITTRAIL_METRICS_LISTEN"))
def on_a_listener_of_their_own(world):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    server = world.server(settings={"AUDITTRAIL_METRICS_LISTEN": address})
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        expect(b"audittrail_log_entries 0" in answer.read())
    for path, said in (("/health/live", b"live"), ("/health/ready", b"ready")):
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            expect(said in answer.read(), path)
    server.get("/metrics", None).problem(404, "not-found")
    server.arguments, server.settings = ["--metrics-listen", "none"], {}
    server.restart()
    server.get("/metrics", None).problem(404, "not-found")
    world.discard(server)


for value in ["", "9464", "nowhere"]:
    refuses(row("AUDITTRAIL_METRICS_LISTEN"), arguments=("--metrics-listen", value),
            says="metrics-listen")


@good(row("AUDITTRAIL_DEFAULT_ROLE"))
def of_a_token_that_has_none(world):
    server = world.server(settings={"AUDITTRAIL_DEFAULT_ROLE": "reader"})
    server.get("/logs/list/", server.token(roles=None)).ok()
    server.get("/logs/export/", server.token(roles=None)).problem(403, "forbidden")
    world.discard(server)


for value in ["", "root", "Admin"]:
    add(row("AUDITTRAIL_DEFAULT_ROLE"), False, f"{value!r}", lambda world, value=value: equal(
        world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", cwd=world.directory(),
                  settings={"AUDITTRAIL_DEFAULT_ROLE": value}).returncode, 2, value))


@good(row("AUDITTRAIL_LOG"))
def levels_and_filters(world):
    server = world.server("--log", "off")
    server.get("/logs/list/").ok()
    equal(server.stop(), 0)
    equal(server.log(), "", "the log")
    server.arguments = ["--log", "error,audittrail=info"]
    server.start()
    expect("the log is open" in server.log(), server.log())
    world.discard(server)


refuses(row("AUDITTRAIL_LOG"), {"AUDITTRAIL_LOG": "info,=,x=loud"}, says="log")


@good(row("AUDITTRAIL_LOG_FORMAT"))
def text_and_json(world):
    server = world.server(settings={"AUDITTRAIL_LOG_FORMAT": "text"})
    server.stop()
    expect(server.log() and not server.log().startswith("{"), server.log())
    written = len(server.log())
    server.settings = {"AUDITTRAIL_LOG_FORMAT": "json"}
    server.start()
    for line in server.log()[written:].splitlines():
        expect({"timestamp", "level", "message"} <= set(json.loads(line)), line)
    world.discard(server)


for value in ["", "xml"]:
    refuses(row("AUDITTRAIL_LOG_FORMAT"), {"AUDITTRAIL_LOG_FORMAT": value}, says="log-format")


# Secrets.

def secret_row(name):
    return SECTION + name


@good(secret_row("LOG_SIGNING_KEY"))
def signs_and_goes_on_verifying(world):
    """The key's id is in each entry; without the key its entries do not verify."""
    server = world.server(settings={"LOG_SIGNING_KEY": KEY})
    first = server.post({"action": "a"}).ok(201).json()
    server.stop()
    server.settings = {"LOG_SIGNING_KEY": OTHER, "AUDITTRAIL_EARLIER_SIGNING_KEYS": f"x{KEY}\n{KEY}\r\n"}
    server.start()
    second = server.post({"action": "b"}).ok(201).json()
    expect(first["key_id"] != second["key_id"], "the same key")
    equal([one["verified"] for one in server.list()["results"]], [True, True])
    server.stop()
    server.settings = {"LOG_SIGNING_KEY": OTHER}
    server.start()
    results = server.list(order="index")["results"]
    equal([one["verified"] for one in results], [False, True], "without the earlier key")
    world.discard(server)


good(secret_row("AUDITTRAIL_EARLIER_SIGNING_KEYS"))(signs_and_goes_on_verifying)


@good(secret_row("AUDITTRAIL_CHECKPOINT_KEY"))
def as_keys_new_prints_it(world):
    made = world.run("keys", "new", "--origin", "log.test/keys")
    server = world.server(settings={"AUDITTRAIL_CHECKPOINT_KEY": made.stdout.strip()})
    verifier = made.stderr.split("verifier key: ")[1].strip()
    shown = world.run("keys", "--data", server.data, settings=server.settings).stdout.strip()
    equal(shown, verifier)
    expect(verifier.startswith("log.test/keys+"), verifier)
    expect(not os.path.exists(os.path.join(server.data, "keys", "checkpoint.key")), "it is kept")
    receipt = server.post({"action": "a"}, ack="published").ok(201).json()
    expect("\n— log.test/keys " in receipt["proof"], receipt["proof"])
    world.discard(server)


@good(secret_row("AUDITTRAIL_JWT_SECRET"))
def signs_tokens(world):
    server = world.server(settings={"AUDITTRAIL_JWT_SECRET": KEY})
    server.get("/logs/list/", mint(KEY.encode(), {"sub": "a", "roles": "reader",
                                                  "exp": 4_000_000_000})).ok()
    server.get("/logs/list/", mint(OTHER.encode(), {"sub": "a", "roles": "reader",
                                                    "exp": 4_000_000_000})).problem(
        401, "unauthenticated")
    expect(not os.path.exists(os.path.join(server.data, "keys", "jwt.secret")), "it is kept")
    world.discard(server)


for name, values in {
    "LOG_SIGNING_KEY": ["", "short", "k" * 31], "AUDITTRAIL_EARLIER_SIGNING_KEYS": ["short"],
    "AUDITTRAIL_CHECKPOINT_KEY": ["", "PRIVATE+KEY+x", "k" * 64],
    "AUDITTRAIL_JWT_SECRET": ["", "short", "k" * 31],
}.items():
    for value in values:
        def check(world, name=name, value=value):
            run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                            cwd=world.directory(), settings={name: value})
            equal((run.returncode, run.stdout), (2, ""), name, value, run.stderr)
            expect(not value or value not in run.stderr, "the secret is shown:", run.stderr)
        add(secret_row(name), False, f"{value!r}", check)

FILES = secret_row("LOG_SIGNING_KEY_FILE and so on")


@good(FILES)
def files_of_secrets(world):
    home = world.directory()
    made = world.run("keys", "new").stdout
    contents = {"LOG_SIGNING_KEY": OTHER + "\n", "AUDITTRAIL_EARLIER_SIGNING_KEYS": KEY + "\n",
                "AUDITTRAIL_CHECKPOINT_KEY": made, "AUDITTRAIL_JWT_SECRET": KEY + "\n"}
    settings = {}
    for name, content in contents.items():
        settings[name + "_FILE"] = path = os.path.join(home, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    server = world.server(settings=settings)
    token = mint(KEY.encode(), {"sub": "a", "roles": "admin", "exp": 4_000_000_000})
    by_file = server.post({"action": "a"}, token).ok(201).json()["key_id"]
    equal(sorted(os.listdir(os.path.join(server.data, "keys"))), ["begun"], "keys that were made")
    printed = world.run("token", "--sub", "b", "--role", "reader", settings=settings).stdout.strip()
    server.get("/logs/list/", printed).ok()
    server.stop()
    # The same key by the other way.
    del server.settings["LOG_SIGNING_KEY_FILE"]
    server.settings["LOG_SIGNING_KEY"] = OTHER
    server.start()
    equal(server.post({"action": "b"}, token).ok(201).json()["key_id"], by_file)
    world.discard(server)


@bad(FILES)
def both_or_no_file(world):
    path = os.path.join(world.directory(), "secret")
    with open(path, "w", encoding="utf-8") as file:
        file.write(KEY)
    for name in ["LOG_SIGNING_KEY", "AUDITTRAIL_EARLIER_SIGNING_KEYS", "AUDITTRAIL_CHECKPOINT_KEY",
                 "AUDITTRAIL_JWT_SECRET"]:
        for settings in [{name: KEY, name + "_FILE": path}, {name + "_FILE": path + ".none"}]:
            run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                            cwd=world.directory(), settings=settings)
            equal((run.returncode, run.stdout), (2, ""), settings)
            expect(name + "_FILE" in run.stderr and KEY not in run.stderr, run.stderr)


def sent_to(world, arguments, settings):
    return world.run("export", "--filter", "action=no.such", *arguments, settings=settings)


@good(row("AUDITTRAIL_URL"))
def flag_and_variable(world):
    server = world.plain
    url, token = {"AUDITTRAIL_URL": server.url}, {"AUDITTRAIL_TOKEN": server.token()}
    for arguments, settings in [
        ((), url | token), (("--url", server.url, "--token", server.token()), {}),
        (("--url", server.url, "--token", server.token()),
         {"AUDITTRAIL_URL": "http://127.0.0.1:1", "AUDITTRAIL_TOKEN": "x"}),
        (("--url", server.url + "/"), token),
    ]:
        run = sent_to(world, arguments, settings)
        equal((run.returncode, run.stdout), (0, "[]"), run.stderr)


good(row("AUDITTRAIL_TOKEN"))(flag_and_variable)


@bad(row("AUDITTRAIL_URL"))
def nobody_there(world):
    token = {"AUDITTRAIL_TOKEN": base64url(b"x")}
    equal(sent_to(world, ("--url", "http://127.0.0.1:1"), token).returncode, 3)
    for url in ["", "127.0.0.1:8000", "ftp://127.0.0.1"]:
        equal(sent_to(world, ("--url", url), token).returncode, 2, url)


@bad(row("AUDITTRAIL_TOKEN"))
def none_or_a_bad_one(world):
    run = sent_to(world, ("--url", world.plain.url), {})
    equal((run.returncode, run.stdout), (2, ""))
    expect("audittrail token" in run.stderr, run.stderr)
    run = sent_to(world, ("--url", world.plain.url, "--token", "x"), {})
    equal((run.returncode, run.stdout), (3, ""))
    expect("401" in run.stderr, run.stderr)
