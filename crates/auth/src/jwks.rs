//! JSON Web Key Sets (RFC 7517): the public keys of an issuer.
//!
//! Only signature keys of the three public-key algorithms are taken. Everything else in a set is
//! left out with a reason and never used: symmetric keys, keys for encryption, weak keys, keys
//! whose private part was published, and what is not known here (RFC 7517, section 5).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::json::parse_object;

/// The longest JWKS that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;

/// The most keys of a set that can be used. It bounds the signatures checked for one token.
pub const MAX_JWKS_KEYS: usize = 64;

/// RFC 7518, section 3.3: 2048 bits or larger.
const MIN_RSA_BITS: usize = 2_048;
/// What the cryptographic backend verifies with, and more than anybody needs.
const MAX_RSA_BITS: usize = 8_192;
/// The backend's bound on the public exponent, in bits.
const MAX_RSA_EXPONENT_BITS: usize = 33;
/// A coordinate of P-256 (RFC 7518, section 6.2.1.2), and a key of Ed25519 (RFC 8037).
const COORDINATE_BYTES: usize = 32;

/// The private members of RSA, EC and OKP keys (RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037,
/// section 2), and the one of symmetric keys (RFC 7518, section 6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The public keys of one issuer at one time.
#[derive(Clone)]
pub struct JwkSet {
    keys: Vec<PublicKey>,
    ignored: Vec<IgnoredKey>,
}

/// A public key, and the one algorithm it is for.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// A key of a set that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoredKey {
    /// Its place in the set, from 0.
    pub position: usize,
    /// Why it is not used.
    pub reason: &'static str,
}

/// Why bytes are no JWKS that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// More than [`MAX_JWKS_BYTES`].
    #[error("the JWKS is longer than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    /// Not a JSON object, or one that names a member twice.
    #[error("the JWKS is not a JSON object, or one that names a member twice")]
    NotAnObject,
    /// There is no list `keys`.
    #[error("the JWKS has no list of keys under the name keys")]
    NoKeys,
    /// More than [`MAX_JWKS_KEYS`] keys that could be used.
    #[error("the JWKS has more than {MAX_JWKS_KEYS} keys that could be used")]
    TooManyKeys,
}

impl JwkSet {
    /// Reads a set. It may hold no usable key at all: its issuer then has withdrawn them.
    ///
    /// # Errors
    /// [`JwksError`] where this is no set, or one beyond the bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        if bytes.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLarge);
        }
        let set = parse_object(bytes).map_err(|_| JwksError::NotAnObject)?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for (position, member) in members.iter().enumerate() {
            match public_key(member) {
                Ok(key) => keys.push(key),
                Err(reason) => ignored.push(IgnoredKey { position, reason }),
            }
        }
        if keys.len() > MAX_JWKS_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        Ok(Self { keys, ignored })
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are not used, in their order.
    #[must_use]
    pub fn ignored(&self) -> &[IgnoredKey] {
        &self.ignored
    }

    /// The keys that a token with this `kid` may be signed with, whatever their algorithm.
    ///
    /// Without `kid` each of the set's keys may be it. With one, only keys of that very `kid`
    /// may: more than one where a set gives a `kid` twice (RFC 7517, section 4.5).
    pub(crate) fn named<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a PublicKey> {
        self.keys
            .iter()
            .filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
    }
}

/// Public as the keys are, they would fill pages.
impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|key| (&key.kid, key.algorithm));
        f.debug_struct("JwkSet")
            .field("keys", &keys.collect::<Vec<_>>())
            .field("ignored", &self.ignored)
            .finish()
    }
}

type Refusal = &'static str;

fn public_key(member: &Value) -> Result<PublicKey, Refusal> {
    let Value::Object(jwk) = member else {
        return Err("it is not an object");
    };
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err("its kid is not text"),
    };
    let (algorithm, key) = match text(jwk, "kty") {
        Some("RSA") => (Algorithm::Rs256, rsa(jwk)?),
        Some("EC") => (Algorithm::Es256, p256(jwk)?),
        Some("OKP") => (Algorithm::EdDsa, ed25519(jwk)?),
        Some("oct") => return Err("it is symmetric, and a secret does not belong into a JWKS"),
        _ => return Err("its kty is not RSA, EC or OKP"),
    };
    if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        return Err("its private part is in the set; make a new key and publish its public part");
    }
    match jwk.get("alg") {
        None => {}
        Some(Value::String(alg)) if alg == algorithm.as_str() => {}
        Some(_) => return Err("its alg is not RS256, ES256 or EdDSA as its kty asks for"),
    }
    match jwk.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(_) => return Err("its use is not sig"),
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(list)) if list.iter().any(|one| one == "verify") => {}
        Some(_) => return Err("its key_ops do not list verify"),
    }
    Ok(PublicKey {
        kid,
        algorithm,
        key,
    })
}

fn rsa(jwk: &Map<String, Value>) -> Result<DecodingKey, Refusal> {
    let modulus = number(jwk, "n").ok_or("its n is not base64url")?;
    let exponent = number(jwk, "e").ok_or("its e is not base64url")?;
    match bits(&modulus) {
        ..MIN_RSA_BITS => return Err("its modulus is shorter than 2048 bits"),
        MIN_RSA_BITS..=MAX_RSA_BITS => {}
        _ => return Err("its modulus is longer than 8192 bits"),
    }
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    let in_range = (2..=MAX_RSA_EXPONENT_BITS).contains(&bits(&exponent));
    if !odd(&modulus) || !odd(&exponent) || !in_range {
        return Err("its n and e are not those of an RSA key");
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn p256(jwk: &Map<String, Value>) -> Result<DecodingKey, Refusal> {
    if text(jwk, "crv") != Some("P-256") {
        return Err("its crv is not P-256");
    }
    let wrong = "its x and y are not base64url of 32 bytes each";
    let x = coordinate(jwk, "x").ok_or(wrong)?;
    let y = coordinate(jwk, "y").ok_or(wrong)?;
    // SEC 1, section 2.3.3: an uncompressed point. That it is on the curve is checked by the
    // backend each time it verifies.
    Ok(DecodingKey::from_ec_der(&[&[4], &x[..], &y[..]].concat()))
}

fn ed25519(jwk: &Map<String, Value>) -> Result<DecodingKey, Refusal> {
    if text(jwk, "crv") != Some("Ed25519") {
        return Err("its crv is not Ed25519");
    }
    let x = coordinate(jwk, "x").ok_or("its x is not base64url of 32 bytes")?;
    Ok(DecodingKey::from_ed_der(&x))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn coordinate(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()?;
    (bytes.len() == COORDINATE_BYTES).then_some(bytes)
}

/// A number, big-endian. Leading zeros, which RFC 7518, section 6.3.1.1 forbids and some issuers
/// write, are dropped: they change neither the number nor its length in bits.
fn number(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}

/// The length of a number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
