"""Roles and scopes, tenants, what a token has to be, keys of an issuer."""
import base64
import json
import os
import time

from . import model
from .cases import add, bad, equal, expect, good, until
from .server import mint

ROLES = "Tokens: "
KEYS = "Keys of an issuer: "
JWKS, CLAIMS = KEYS + "AUDITTRAIL_JWKS", KEYS + "AUDITTRAIL_JWT_ISSUER, AUDITTRAIL_JWT_AUDIENCE"
ALGORITHMS = KEYS + "AUDITTRAIL_JWT_ALGORITHMS"
FILE = os.path.join(os.path.dirname(__file__), "..", "..", "testdata", "tokens", "tokens.json")

# What each scope lets one do.
ACTS = {
    "logs:write:own": lambda s, t: s.post({"action": "role.tried"}, t),
    "logs:write": lambda s, t: s.post({"action": "role.tried", "user_id": "x", "tenant": "y"}, t),
    "logs:read:own": lambda s, t: s.get("/logs/list/", t, user_id="own"),
    "logs:read": lambda s, t: s.get("/logs/list/", t),
    "logs:export": lambda s, t: s.get("/logs/export/", t, action="no.such"),
}
# By docs/api.md; a wider scope covers the narrow one.
MAY = {
    "user": {"logs:write:own", "logs:read:own"},
    "writer": {"logs:write", "logs:write:own"},
    "reader": {"logs:read", "logs:read:own"},
    "auditor": {"logs:read", "logs:read:own", "logs:export"},
    "admin": set(ACTS),
}


def sees_all(server, token):
    """Whether a list has another's entries."""
    return server.list(token, user_id="another")["count"] > 0


def role_may(role):
    def check(world):
        server = world.plain
        server.post({"action": "role.tried", "user_id": "another"}).ok(201)
        server.post({"action": "role.tried", "user_id": "own"}).ok(201)
        for token in [server.token("own", role), server.token("own", [role, "unheard-of"]),
                      server.token("own", None, scope=" ".join(MAY[role])),
                      server.token("own", None, scp=sorted(MAY[role]))]:
            for scope in MAY[role]:
                answer = ACTS[scope](server, token)
                expect(answer.status in (200, 201), role, scope, answer.status, answer.body)
            if "logs:read:own" in MAY[role]:
                equal(sees_all(server, token), "logs:read" in MAY[role], "sees all")
    return check


def role_may_not(role):
    def check(world):
        server, size = world.plain, world.plain.size()
        token = server.token("own", role)
        for scope in set(ACTS) - MAY[role]:
            if scope == "logs:read" and "logs:read:own" in MAY[role]:
                continue  # It sees its own.
            answer = ACTS[scope](server, token).problem(403, "forbidden")
            expect(answer.json()["scope"].startswith(scope), answer.json())
        equal(server.size(), size, "entries in the log")
        # The role of another case, or none, is no role.
        for other in [role.upper(), role + " ", None, [], ""]:
            ACTS["logs:read"](server, server.token("own", other)).problem(403, "forbidden")
    return check


for each in MAY:
    add(ROLES + each, True, "may", role_may(each))
    add(ROLES + each, False, "may not", role_may_not(each))


@good(ROLES + "user")
def sees_and_counts_its_own(world):
    server = world.known
    wanted = model.selected(lambda entry: entry.get("user_id") == "alice")
    page = server.list(server.token("alice", "user"), page_size="1000", order="index")
    equal((page["count"], model.found(page["results"])), (len(wanted), wanted))
    # A number as subject is its text; without sub there is user_id.
    server = world.plain
    server.post({"action": "own.tried", "user_id": "417"}).ok(201)
    for claims in [{"sub": 417}, {"sub": None, "user_id": 417}, {"sub": None, "user_id": "417"}]:
        page = server.list(server.token(**({"roles": "user"} | claims)), action="own.tried")
        equal({one["user_id"] for one in page["results"]}, {"417"})


@good(ROLES + "admin")
def bound_to_a_tenant(world):
    """Sees that tenant alone, writes to it without naming it."""
    server = world.known
    for role in ["reader", "admin"]:
        token = server.token(roles=role, tenant="acme")
        wanted = model.selected(lambda entry: entry.get("tenant") == "acme")
        page = server.list(token, page_size="1000", order="index")
        equal((page["count"], model.found(page["results"])), (len(wanted), wanted))
    both = model.selected(lambda e: e.get("tenant") == "acme" and e.get("user_id") == "bob")
    page = server.list(server.token("bob", "user", tenant="acme"), page_size="1000", order="index")
    equal(model.found(page["results"]), both)
    server = world.plain
    receipt = server.post({"action": "bound.sent"}, server.token(tenant="acme")).ok(201).json()
    entry = server.get(f"/logs/{receipt['id']}/").ok().json()
    equal(entry["tenant"], "acme")


@bad(ROLES + "admin")
def no_token_that_is_good(world):
    server, now = world.plain, int(time.time())
    secret, claims = server.secret, {"sub": "a", "roles": "admin", "exp": now + 600}
    whole = mint(secret, claims)
    head, payload, signature = whole.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    tokens = {
        "another's secret": mint(b"x" * 32, claims),
        "expired": server.token(exp=now - 61), "without exp": server.token(exp=None),
        "not yet valid": server.token(nbf=now + 120), "a refresh token":
        server.token(token_type="refresh"), "without a subject": server.token(sub=None),
        "an empty subject": server.token(sub=""), "crit": mint(secret, claims, {
            "alg": "HS256", "crit": ["exp"]}),
        "alg none": f"{none}.{payload}.", "alg HS512": mint(secret, claims, {"alg": "HS512"}),
        "cut": whole[:-2], "other claims": f"{head}.{payload[:-2]}AA.{signature}", "nothing": "",
        "no token": "x", "text exp": server.token(exp="tomorrow"),
    }
    for name, token in tokens.items():
        answer = server.get("/logs/list/", token)
        expect(answer.status == 401, name, "gets", answer.status)
        expect("Bearer" in answer.headers["WWW-Authenticate"])
    for value in ["Basic YTpi", whole, "Bearer", f"Bearer {whole} x"]:
        answer = server.get("/logs/list/", None, {"Authorization": value})
        expect(answer.status == 401, value[:20], "gets", answer.status)
    # Within the leeway of 60 seconds it is valid; the scheme's case does not count.
    server.get("/logs/list/", server.token(exp=now - 30, nbf=now + 30)).ok()
    server.get("/logs/list/", None, {"Authorization": "bearer " + whole}).ok()
    server.get("/logs/list/", server.token(token_type="access")).ok()

# The tests of the server have a clock of their own for these, and the others are good.
LATER = ("ok", "UnknownKey", "Expired", "NotYetValid")


def issued():
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def write_set(server_home, name, keys):
    path = os.path.join(server_home, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(keys, file)
    return path


def with_keys(world, keys, **settings):
    given = issued()
    path = write_set(world.directory(), "jwks.json", keys)
    defaults = {"AUDITTRAIL_JWKS": path, "AUDITTRAIL_JWT_ISSUER": given["issuer"],
                "AUDITTRAIL_JWT_AUDIENCE": given["audience"]}
    return world.server(settings=defaults | settings), path


def own(server, **claims):
    return server.token(**({"iss": issued()["issuer"], "aud": issued()["audience"]} | claims))


def issuer(world):
    return with_keys(world, issued()["sets"]["main"])[0]


def issuer_is_down(world):
    return world.server(settings={
        "AUDITTRAIL_JWKS": "http://127.0.0.1:1/jwks.json",
        "AUDITTRAIL_JWT_ISSUER": issued()["issuer"],
        "AUDITTRAIL_JWT_AUDIENCE": issued()["audience"]})


@good(JWKS)
def keys_of_a_file_and_their_rotation(world):
    given = issued()
    server = world.shared("issuer", issuer)
    path = server.settings["AUDITTRAIL_JWKS"]
    for kid in ["rsa", "ec", "ed"]:
        receipt = server.post({"action": "issuer.tried"}, given["forever"][kid]).ok(201).json()
        entry = server.get(f"/logs/{receipt['id']}/", own(server)).ok().json()
        equal(entry["submitted_by"], {"iss": given["issuer"], "sub": "ada"})
    server.get("/logs/list/", given["forever"]["rsa-2"]).problem(401, "unauthenticated")
    # The new key is found when a token names it, the old one is gone with the same reading. A
    # reading is made at most once a minute, so that a restart is quicker.
    write_set(os.path.dirname(path), "jwks.json", given["sets"]["rotated"])
    server.restart()
    server.get("/logs/list/", given["forever"]["rsa-2"]).ok()
    server.get("/logs/list/", given["forever"]["rsa"]).problem(401, "unauthenticated")
    server.get("/logs/list/", own(server)).ok()
    write_set(os.path.dirname(path), "jwks.json", given["sets"]["main"])
    server.restart()


@bad(JWKS)
def a_file_that_is_none(world):
    given = issued()
    settings = {"AUDITTRAIL_JWT_ISSUER": "i", "AUDITTRAIL_JWT_AUDIENCE": "a"}
    home = world.directory()
    missing = world.run("serve", "--data", home + "/data", "--listen", "127.0.0.1:0",
                        "--metrics-listen", "none", "--jwks", home + "/none.json",
                        settings=settings)
    expect(missing.returncode in (2, 3), missing.returncode, missing.stderr)
    expect("none.json" in missing.stderr, missing.stderr)
    without = world.run("serve", "--jwks", write_set(home, "jwks.json", given["sets"]["main"]))
    equal(without.returncode, 2)
    expect("AUDITTRAIL_JWT_ISSUER" in without.stderr, without.stderr)


@bad(JWKS)
def what_the_keys_do_not_sign(world):
    """The tokens of testdata/tokens that have to be refused, as far as they do not depend on time."""
    given = issued()
    server = world.shared("issuer", issuer)
    tried = 0
    for row in given["tokens"]:
        # What is malformed may not even be a header.
        if row["keys"] != "main" or row["expect"] in LATER:
            continue
        if not row["token"].isascii() or not row["token"].isprintable():
            continue
        answer = server.get("/logs/list/", row["token"])
        expect(answer.status == 401, row["name"], "gets", answer.status)
        tried += 1
    expect(tried > 100, f"{tried} tokens")


def of_an_issuer(world):
    return world.server(settings={"AUDITTRAIL_JWT_ISSUER": "https://id.test",
                                  "AUDITTRAIL_JWT_AUDIENCE": "audit"})


@good(CLAIMS)
def issuer_and_audience(world):
    server = world.shared("issued_to", of_an_issuer)
    for audience in ["audit", ["shop", "audit"]]:
        server.get("/logs/list/", server.token(iss="https://id.test", aud=audience)).ok()
    # `audittrail token` with the same settings makes one that does.
    made = world.run("token", "--sub", "a", "--role", "reader", "--data", server.data,
                     settings=server.settings).stdout.strip()
    server.get("/logs/list/", made).ok()


@bad(CLAIMS)
def others(world):
    server = world.shared("issued_to", of_an_issuer)
    for claims in [{}, {"iss": "https://id.test"}, {"aud": "audit"},
                   {"iss": "https://id.test/", "aud": "audit"},
                   {"iss": "https://id.test", "aud": ["shop"]}, {"iss": 1, "aud": "audit"}]:
        answer = server.get("/logs/list/", server.token(**claims))
        answer.problem(401, "unauthenticated")
        expect('error="invalid_token"' in answer.headers["WWW-Authenticate"])


@good(ALGORITHMS)
def those_alone(world):
    given = issued()
    server, _ = with_keys(world, given["sets"]["main"], AUDITTRAIL_JWT_ALGORITHMS="ES256, EdDSA")
    for kid in ["ec", "ed"]:
        server.get("/logs/list/", given["forever"][kid]).ok()
    for token in [given["forever"]["rsa"], own(server)]:
        server.get("/logs/list/", token).problem(401, "unauthenticated")
    made = world.run("token", "--sub", "a", "--role", "reader", "--data", server.data,
                     settings=server.settings)
    equal((made.returncode, made.stdout), (2, ""), "a token that the server would not accept")
    world.discard(server)


@bad(ALGORITHMS)
def algorithms_that_are_none(world):
    for text in ["none", "HS512", "", "HS256;RS256", "RS256"]:
        refused = world.run("serve", settings={"AUDITTRAIL_JWT_ALGORITHMS": text})
        equal(refused.returncode, 2, text)
        expect("jwt-algorithms" in refused.stderr, refused.stderr)


@bad(JWKS)
def an_issuer_that_is_down(world):
    """Its tokens get 503 until there was a first set; those of the shared secret work."""
    given = issued()
    server = world.shared("down", issuer_is_down)
    answer = server.get("/logs/list/", given["forever"]["rsa"]).problem(503, "keys-unavailable")
    expect(int(answer.headers["Retry-After"]) >= 1)
    server.get("/logs/list/", own(server)).ok()
    until(lambda: server.metrics()[0].get('audittrail_jwks_refresh_total{outcome="unreachable"}'),
          "a failed reading is counted")


