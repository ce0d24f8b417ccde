"""Makes tokens.json: key sets, and tokens with what is to become of each.

Usage: python3 make_tokens.py > tokens.json

Needs PyJWT and cryptography, which share no code with the server; running the tests does not.
Good tokens are PyJWT's. Bad ones are put together here from exact bytes. Keys are new at every
run and are not kept: tests read everything from the file.
"""

import base64
import hashlib
import json
import sys

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils

NOW = 1_800_000_000
# 9999-12-31: for tests that run by the clock of the machine.
LAST = 253_402_300_799
ISSUER, AUDIENCE = "https://id.example", "audit"
SECRET = "thirty-two bytes are just enough"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def b64(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def text(value):
    return json.dumps(value, separators=(",", ":"))


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def raw(public):
    encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return public.public_bytes(encoding, form)


def jwk(key, kid=None, **more):
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = public.public_numbers()
        members = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        numbers, length = public.public_numbers(), (key.curve.key_size + 7) // 8
        curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp256k1": "secp256k1"}
        members = {"kty": "EC", "crv": curve[key.curve.name]}
        members |= {"x": number(numbers.x, length), "y": number(numbers.y, length)}
    else:
        curve = "Ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "Ed448"
        members = {"kty": "OKP", "crv": curve, "x": b64(raw(public))}
    return members | ({} if kid is None else {"kid": kid}) | more


def rs256(key, message):
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def es256_numbers(key, message):
    return utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))


def es256(key, message):
    r, s = es256_numbers(key, message)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def eddsa(key, message):
    return key.sign(message)


def hs256(secret):
    def sign(_, message):
        block = secret.ljust(64, b"\0") if len(secret) <= 64 else None
        block = block or hashlib.sha256(secret).digest().ljust(64, b"\0")
        inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + message).digest()
        return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()

    return sign


KINDS = {"RS256": rs256, "ES256": es256, "EdDSA": eddsa}


def new_rsa(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def new_ec(curve=None):
    return ec.generate_private_key(curve or ec.SECP256R1())


new_ed = ed25519.Ed25519PrivateKey.generate

RSA, EC, ED = new_rsa(), new_ec(), new_ed()
RSA_2, EC_2, ED_2 = new_rsa(), new_ec(), new_ed()
WEAK, K1, P384, STRANGER = new_rsa(1024), new_ec(ec.SECP256K1()), new_ec(ec.SECP384R1()), new_rsa()
MAIN = {"rsa": (RSA, "RS256"), "ec": (EC, "ES256"), "ed": (ED, "EdDSA")}
SYMMETRIC = b"a symmetric key in a public set!"

off_curve = jwk(new_ec(), "off-curve")
off_curve["y"] = b64(bytes(31) + b"\1")

SETS = {
    # What an issuer publishes, with everything beside it that is not to be used.
    "main": {
        "keys": [
            jwk(RSA, "rsa", alg="RS256", use="sig"),
            jwk(EC, "ec", use="sig", x5c=["ignored"]),
            jwk(ED, "ed", alg="EdDSA", key_ops=["verify"]),
            {"kty": "oct", "kid": "oct", "alg": "HS256", "k": b64(SYMMETRIC)},
            {"kty": "oct", "kid": "oct-as-rsa", "alg": "RS256", "k": b64(SYMMETRIC)},
            {"kty": "AKP", "kid": "akp", "alg": "ML-DSA-44", "pub": "AAAA"},
            {"kid": "no-kty"},
            jwk(WEAK, "weak", alg="RS256"),
            jwk(RSA_2, "enc", use="enc"),
            jwk(RSA_2, "wrap", key_ops=["wrapKey", "encrypt"]),
            jwk(RSA_2, "pss", alg="PS256"),
            jwk(RSA_2, "private", d=number(RSA_2.private_numbers().d)),
            jwk(EC_2, "es384", alg="ES384"),
            jwk(K1, "k1"),
            jwk(P384, "p384"),
            jwk(ed448.Ed448PrivateKey.generate(), "ed448"),
            jwk(ED_2, "short") | {"x": "AAAA"},
            jwk(ED_2, "ed-enc", use="enc"),
            jwk(RSA_2, 17),
            off_curve,
            "not an object",
        ],
        "extra": {"ignored": True},
    },
    "rotated": {"keys": [jwk(RSA_2, "rsa-2", alg="RS256")]},
    "no-kid": {"keys": [jwk(RSA), jwk(RSA_2), jwk(EC), jwk(ED)]},
    "same-kid": {"keys": [jwk(key, "k") for key in (RSA, RSA_2, EC, EC_2)]},
    "leading-zero": {
        "keys": [jwk(RSA, "rsa") | {"n": number(RSA.public_key().public_numbers().n, 257)}]
    },
    "empty": {"keys": []},
}

CLAIMS = {"sub": "ada", "roles": ["user"], "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 3600}
rows = []


def row(name, token, expect="ok", keys="main"):
    rows.append({"name": name, "keys": keys, "token": token, "expect": expect})


def by_pyjwt(key, alg, kid, **changes):
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, key, alg, headers=None if kid is None else {"kid": kid})


def by_hand(key, header, payload=None, sign=None):
    payload = text(CLAIMS) if payload is None else payload
    header = header if isinstance(header, str) else text(header)
    message = f"{b64(header)}.{b64(payload)}"
    sign = sign or KINDS[json.loads(header)["alg"]]
    return f"{message}.{b64(sign(key, message.encode()))}"


def good():
    for kid, (key, alg) in MAIN.items():
        row(f"{alg} by kid", by_pyjwt(key, alg, kid))
        row(f"{alg} by hand", by_hand(key, {"alg": alg, "kid": kid}))
        row(f"{alg} without kid", by_pyjwt(key, alg, None))
        row(f"{alg}, one audience of several", by_pyjwt(key, alg, kid, aud=["shop", AUDIENCE]))
        row(f"{alg}, a set without kids", by_pyjwt(key, alg, None), keys="no-kid")
    for key, alg in ((RSA, "RS256"), (RSA_2, "RS256"), (EC, "ES256"), (EC_2, "ES256")):
        row(f"{alg}, a kid given several times", by_pyjwt(key, alg, "k"), keys="same-kid")
    row("an RSA modulus with a leading zero", by_pyjwt(RSA, "RS256", "rsa"), keys="leading-zero")
    row("the secret beside the keys", by_pyjwt(SECRET, "HS256", None))
    row("the secret and a kid of the set", by_pyjwt(SECRET, "HS256", "rsa"))
    row("b64 true", by_hand(EC, {"alg": "ES256", "kid": "ec", "b64": True}))


def keys_and_kids():
    row("rotated in", by_pyjwt(RSA_2, "RS256", "rsa-2"), keys="rotated")
    row("rotated out", by_pyjwt(RSA, "RS256", "rsa"), "UnknownKey", "rotated")
    row("not rotated in yet", by_pyjwt(RSA_2, "RS256", "rsa-2"), "UnknownKey")
    row("nothing left", by_pyjwt(RSA, "RS256", "rsa"), "UnknownKey", "empty")
    row("nothing left, no kid", by_pyjwt(RSA, "RS256", None), "UnknownKey", "empty")
    row("unknown kid", by_pyjwt(RSA, "RS256", "other"), "UnknownKey")
    row("empty kid", by_hand(RSA, {"alg": "RS256", "kid": ""}), "UnknownKey")
    row("kid in other case", by_pyjwt(RSA, "RS256", "RSA"), "UnknownKey")
    row("kid, and a set without", by_pyjwt(RSA, "RS256", "rsa"), "UnknownKey", "no-kid")
    row("no kid, no such key", by_pyjwt(STRANGER, "RS256", None), "UnknownKey")
    for kid in (17, None, ["rsa"], {"rsa": 1}, True):
        row(f"kid {kid}", by_hand(RSA, {"alg": "RS256", "kid": kid}), "Malformed")
    row("another's key", by_pyjwt(STRANGER, "RS256", "rsa"), "Signature")
    row("another's key, kid several times", by_pyjwt(STRANGER, "RS256", "k"), "Signature", "same-kid")
    row("kid several times, no such type", by_pyjwt(ED, "EdDSA", "k"), "KeyAlgorithm", "same-kid")
    # Keys of the set that are not to be used, each with a signature that is good under it.
    for kid, key, alg in (
        ("weak", WEAK, "RS256"),
        ("enc", RSA_2, "RS256"),
        ("wrap", RSA_2, "RS256"),
        ("pss", RSA_2, "RS256"),
        ("private", RSA_2, "RS256"),
        ("es384", EC_2, "ES256"),
        ("k1", K1, "ES256"),
        ("ed-enc", ED_2, "EdDSA"),
    ):
        row(f"the unused key {kid}", by_hand(key, {"alg": alg, "kid": kid}), "UnknownKey")
        row(f"the unused key {kid}, no kid", by_hand(key, {"alg": alg}), "UnknownKey")
    row("a key off the curve", by_hand(EC, {"alg": "ES256", "kid": "off-curve"}), "Signature")
    # Keys that the token brings along.
    for name, value in (
        ("jwk", jwk(STRANGER, "rsa", alg="RS256")),
        ("jku", "https://evil.example/jwks.json"),
        ("x5u", "https://evil.example/cert.pem"),
        ("x5c", ["MIIB"]),
    ):
        header = {"alg": "RS256", "kid": "rsa", name: value}
        row(f"{name} in the header", by_hand(STRANGER, header), "Signature")
        del header["kid"]
        row(f"{name} in the header, no kid", by_hand(STRANGER, header), "UnknownKey")


def confusion():
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pkcs1 = serialization.PublicFormat.PKCS1
    public = RSA.public_key()
    point = EC.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    secrets = {
        "RSA as PEM": public.public_bytes(pem, spki),
        "RSA as PEM without its last line end": public.public_bytes(pem, spki).strip(),
        "RSA as PKCS #1 PEM": public.public_bytes(pem, pkcs1),
        "RSA as DER": public.public_bytes(der, spki),
        "RSA modulus": public.public_numbers().n.to_bytes(256, "big"),
        "RSA modulus as text": jwk(RSA)["n"].encode(),
        "EC point": point,
        "EC point without its first byte": point[1:],
        "EC as PEM": EC.public_key().public_bytes(pem, spki),
        "Ed25519 key": raw(ED.public_key()),
        "Ed25519 as PEM": ED.public_key().public_bytes(pem, spki),
        "symmetric key of the set": SYMMETRIC,
        "JWK": text(SETS["main"]["keys"][0]).encode(),
        "nothing": b"",
    }
    for name, secret in secrets.items():
        for kid in ("rsa", "oct", None):
            header = {"alg": "HS256"} | ({} if kid is None else {"kid": kid})
            token = by_hand(None, header, sign=hs256(secret))
            row(f"HS256 with the {name}, kid {kid}", token, "Signature")
    token = by_hand(None, {"alg": "RS256", "kid": "rsa"}, sign=hs256(SYMMETRIC))
    row("RS256 with an HMAC", token, "Signature")
    token = by_hand(None, {"alg": "RS256", "kid": "oct-as-rsa"}, sign=hs256(SYMMETRIC))
    row("RS256 with the symmetric key", token, "UnknownKey")
    for kid, (key, alg) in MAIN.items():
        for other in KINDS:
            if other != alg:
                token = by_hand(key, {"alg": other, "kid": kid}, sign=KINDS[alg])
                row(f"{other} by the {alg} key", token, "KeyAlgorithm")
                token = by_hand(key, {"alg": other}, sign=KINDS[alg])
                row(f"{other} by the {alg} key, no kid", token, "UnknownKey")
        for name in ("none", "None", "", "HS384", "RS384", "RS512", "PS256", "ES384", "ES256K",
                     "Ed25519", alg.lower() if alg != "EdDSA" else "EDDSA", alg + " "):
            token = by_hand(key, {"alg": name, "kid": kid}, sign=KINDS[alg])
            row(f"alg {name!r} by the {alg} key", token, "Algorithm")
        unsigned = f"{b64(text({'alg': 'none', 'kid': kid}))}.{b64(text(CLAIMS))}."
        row(f"none, unsigned, kid {kid}", unsigned, "Algorithm")
        unsigned = f"{b64(text({'alg': alg, 'kid': kid}))}.{b64(text(CLAIMS))}."
        row(f"{alg}, unsigned", unsigned, "Signature")


def claims():
    for kid, (key, alg) in MAIN.items():
        for name, changes, expect in (
            ("wrong issuer", {"iss": "https://evil.example"}, "Issuer"),
            ("issuer with a slash more", {"iss": ISSUER + "/"}, "Issuer"),
            ("no issuer", {"iss": None}, "Issuer"),
            ("wrong audience", {"aud": "shop"}, "Audience"),
            ("no audience", {"aud": None}, "Audience"),
            ("expired", {"exp": NOW - 60}, "Expired"),
            ("no exp", {"exp": None}, "NoExpiry"),
            ("nbf to come", {"nbf": NOW + 61}, "NotYetValid"),
            ("refresh token", {"token_type": "refresh"}, "TokenType"),
            ("no subject", {"sub": None}, "Subject"),
        ):
            row(f"{alg}, {name}", by_pyjwt(key, alg, kid, **changes), expect)
    row("the secret, wrong issuer", by_pyjwt(SECRET, "HS256", None, iss="x"), "Issuer")
    row("the secret, no audience", by_pyjwt(SECRET, "HS256", None, aud=None), "Audience")


def form():
    for kid, (key, alg) in MAIN.items():
        header = {"alg": alg, "kid": kid}
        token = by_hand(key, header)
        head, payload, signature = token.split(".")
        bare = text(CLAIMS)
        for name, changed, expect in (
            ("a character short", token[:-1], "Malformed|Signature"),
            ("four characters short", token[:-4], "Malformed|Signature"),
            ("half its signature", f"{head}.{payload}.{signature[:40]}", "Signature"),
            ("without signature", f"{head}.{payload}", "Malformed"),
            ("header alone", head, "Malformed"),
            ("a dot at the end", token + ".", "Malformed"),
            ("a dot in front", "." + token, "Malformed"),
            ("two dots within", f"{head}..{payload}.{signature}", "Malformed"),
            ("five parts", f"{head}.{payload}.{signature}.{payload}.{signature}", "Malformed"),
            ("padding", token + "=", "Malformed"),
            ("a line end", token + "\n", "Malformed"),
            ("no payload", f"{head}..{signature}", "Signature"),
            ("payload not encoded", f"{head}.{bare}.{signature}", "Malformed"),
            ("other claims", f"{head}.{b64(bare.replace('user', 'admin'))}.{signature}", "Signature"),
            ("other header", f"{b64(text(header | {'x': 1}))}.{payload}.{signature}", "Signature"),
        ):
            row(f"{alg}, {name}", changed, expect)
        for crit in (["exp"], ["b64"], [], "b64", None):
            token = by_hand(key, header | {"crit": crit})
            row(f"{alg}, crit {crit}", token, "Critical")
        crit = header | {"b64": False, "crit": ["b64"]}
        message = f"{b64(text(crit))}.{b64(bare)}"
        unencoded = f"{b64(text(crit))}.{bare}".encode()
        row(f"{alg}, b64 false", f"{message}.{b64(KINDS[alg](key, unencoded))}", "Critical")
        for b64_value in (False, None, "true", 1):
            token = by_hand(key, header | {"b64": b64_value})
            row(f"{alg}, b64 {b64_value} without crit", token, "Critical")
        twice = f'{{"alg":"none","kid":"{kid}","alg":"{alg}"}}'
        row(f"{alg}, alg twice", by_hand(key, twice), "Duplicate")
        twice = f'{{"alg":"{alg}","kid":"x","kid":"{kid}"}}'
        row(f"{alg}, kid twice", by_hand(key, twice), "Duplicate")
        twice = bare[:-1] + ',"sub":"bob"}'
        row(f"{alg}, sub twice", by_hand(key, header, twice), "Duplicate")


def signatures():
    def with_es256(change):
        def sign(key, message):
            r, s = change(*es256_numbers(key, message))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")

        return sign

    n, header = P256_ORDER, {"alg": "ES256", "kid": "ec"}
    for name, change in (
        ("r and s zero", lambda r, s: (0, 0)),
        ("r zero", lambda r, s: (0, s)),
        ("s zero", lambda r, s: (r, 0)),
        ("r the order", lambda r, s: (n, s)),
        ("s the order", lambda r, s: (r, n)),
        ("r and s the order", lambda r, s: (n, n)),
        ("r and s one", lambda r, s: (1, 1)),
        ("r and s exchanged", lambda r, s: (s, r)),
        ("all ones", lambda r, s: (2**256 - 1, 2**256 - 1)),
    ):
        row(f"ES256, {name}", by_hand(EC, header, sign=with_es256(change)), "Signature")
    # ECDSA lets anybody make the other s; neither JWS nor the signature's meaning forbids it.
    row("ES256, the other s", by_hand(EC, header, sign=with_es256(lambda r, s: (r, n - s))))

    def der(key, message):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))

    def with_zeros(key, message):
        signature = es256(key, message)
        return b"\0" + signature[:32] + b"\0" + signature[32:]

    def with_sha384(key, message):
        numbers = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA384())))
        return b"".join(one.to_bytes(32, "big") for one in numbers)

    for name, sign in (
        ("in DER", der),
        ("a byte more", lambda k, m: es256(k, m) + b"\0"),
        ("a zero before each", with_zeros),
        ("SHA-384", with_sha384),
    ):
        row(f"ES256, {name}", by_hand(EC, header, sign=sign), "Signature")

    header = {"alg": "RS256", "kid": "rsa"}
    pkcs1 = padding.PKCS1v15()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    modulus = RSA.public_key().public_numbers().n

    def plus_modulus(key, message):
        return (int.from_bytes(rs256(key, message), "big") + modulus).to_bytes(257, "big")

    def padded_hash(_, message):
        # RFC 8017, section 9.2: what a good signature is raised to.
        info = bytes.fromhex("3031300d060960864801650304020105000420")
        return b"\0\1" + b"\xff" * 202 + b"\0" + info + hashlib.sha256(message).digest()

    for name, sign in (
        ("SHA-1", lambda k, m: k.sign(m, pkcs1, hashes.SHA1())),
        ("SHA-512", lambda k, m: k.sign(m, pkcs1, hashes.SHA512())),
        ("PSS", lambda k, m: k.sign(m, pss, hashes.SHA256())),
        ("hashed twice", lambda k, m: rs256(k, hashlib.sha256(m).digest())),
        ("a byte more", lambda k, m: rs256(k, m) + b"\0"),
        ("a zero in front", lambda k, m: b"\0" + rs256(k, m)),
        ("zero", lambda k, m: bytes(256)),
        ("one", lambda k, m: bytes(255) + b"\1"),
        ("plus the modulus", plus_modulus),
        ("the padded hash itself", padded_hash),
    ):
        row(f"RS256, {name}", by_hand(RSA, header, sign=sign), "Signature")

    header = {"alg": "EdDSA", "kid": "ed"}

    def plus_order(key, message):
        signature = eddsa(key, message)
        s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
        return signature[:32] + s.to_bytes(32, "little")

    for name, sign in (
        ("s plus the order", plus_order),
        ("zero", lambda k, m: bytes(64)),
        ("the neutral element", lambda k, m: b"\1" + bytes(63)),
        ("R and s exchanged", lambda k, m: eddsa(k, m)[32:] + eddsa(k, m)[:32]),
        ("a byte more", lambda k, m: eddsa(k, m) + b"\0"),
        ("over the hash", lambda k, m: eddsa(k, hashlib.sha512(m).digest())),
    ):
        row(f"EdDSA, {name}", by_hand(ED, header, sign=sign), "Signature")


for part in (good, keys_and_kids, confusion, claims, form, signatures):
    part()

# For the server's own test: these do not end.
forever = {
    "rsa": by_pyjwt(RSA, "RS256", "rsa", exp=LAST, roles=["admin"]),
    "ec": by_pyjwt(EC, "ES256", "ec", exp=LAST, roles=["admin"]),
    "ed": by_pyjwt(ED, "EdDSA", "ed", exp=LAST, roles=["admin"]),
    "rsa-2": by_pyjwt(RSA_2, "RS256", "rsa-2", exp=LAST, roles=["admin"]),
    "unknown": by_pyjwt(STRANGER, "RS256", "unknown", exp=LAST, roles=["admin"]),
}
document = {
    "now": NOW,
    "issuer": ISSUER,
    "audience": AUDIENCE,
    "secret": SECRET,
    "sets": SETS,
    "forever": forever,
    "tokens": rows,
}
json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
print()
