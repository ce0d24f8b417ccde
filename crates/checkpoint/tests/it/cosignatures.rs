//! Timestamped cosignatures, C2SP tlog-cosignature.

use audittrail_checkpoint::{
    Cosigner, CosignerKey, KeyError, Note, NoteError, NoteSignature, VerifierKey, parse_conflict,
    parse_cosignatures,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::support::{cosigner, eight_signed, log};

fn eight() -> Note {
    Note::parse(eight_signed().as_bytes()).unwrap()
}

#[test]
fn what_is_signed_is_what_the_specification_says() {
    let witness = cosigner("witness.example.com/w1", 7);
    let note = eight();
    let line = witness.cosign(&note.text, 1_679_315_147);
    // Computed here from the specification alone, with the key as a plain Ed25519 key.
    let key = witness.verifier().public_key();
    let digest = Sha256::digest([b"witness.example.com/w1\n\x04".as_slice(), &key].concat());
    assert_eq!(line.id, digest[..4]);
    let message = format!("cosignature/v1\ntime 1679315147\n{}", note.text);
    assert_eq!(line.signature[..8], 1_679_315_147_u64.to_be_bytes());
    let plain = VerifierKey::new("plain", key).unwrap();
    assert!(plain.verifies(message.as_bytes(), &line.signature[8..]));
    let text = line.to_string();
    let blob = text
        .strip_prefix("\u{2014} witness.example.com/w1 ")
        .unwrap();
    assert_eq!(STANDARD.decode(blob).unwrap().len(), 76);
    let key = witness.verifier();
    assert_eq!(key.verify(&note.text, &line.signature), Some(1_679_315_147));
}

#[test]
fn every_change_of_a_cosignature_is_seen() {
    let witness = cosigner("w", 7);
    let key = witness.verifier();
    let text = eight().text;
    let line = witness.cosign(&text, 1_700_000_000);
    for bit in 0..line.signature.len() * 8 {
        let mut changed = line.signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(&text, &changed), None, "bit {bit}");
    }
    // A time of another cosignature, which was signed with another time.
    let mut reused = line.signature.clone();
    reused[..8].copy_from_slice(&witness.cosign(&text, 1_700_000_001).signature[..8]);
    assert_eq!(key.verify(&text, &reused), None);
    // Another text, another witness, another length, a plain signature of the text.
    assert_eq!(key.verify(&text.replace('8', "9"), &line.signature), None);
    let other = cosigner("w", 8);
    assert_eq!(other.verifier().verify(&text, &line.signature), None);
    for length in [0, 7, 8, 64, 71, 73, 2_428] {
        let mut cut = line.signature.clone();
        cut.resize(length, 0);
        assert_eq!(key.verify(&text, &cut), None, "{length} bytes");
    }
    let plain = log().sign(text.as_bytes());
    assert_eq!(key.verify(&text, &plain), None);
}

#[test]
fn times_have_a_bound() {
    let witness = cosigner("w", 7);
    let text = eight().text;
    let last = i64::MAX as u64;
    let line = witness.cosign(&text, u64::MAX);
    assert_eq!(
        witness.verifier().verify(&text, &line.signature),
        Some(last)
    );
    // 2^63 and later are none, signed or not.
    let time = 1_u64 << 63;
    let message = format!("cosignature/v1\ntime {time}\n{text}");
    let seed_signer = audittrail_checkpoint::Signer::from_seed("w", [7; 32]).unwrap();
    let mut blob = time.to_be_bytes().to_vec();
    blob.extend(seed_signer.sign(message.as_bytes()));
    assert_eq!(witness.verifier().verify(&text, &blob), None);
}

#[test]
fn a_note_has_the_newest_of_a_witness_and_no_bad_one() {
    let (witness, other) = (cosigner("w", 7), cosigner("other", 8));
    let mut note = eight();
    assert_eq!(witness.verifier().cosigned(&note), Ok(None));
    for time in [1_700_000_000, 1_800_000_000, 1_600_000_000] {
        note.signatures.push(witness.cosign(&note.text, time));
    }
    note.signatures
        .push(other.cosign(&note.text, 1_900_000_000));
    let note = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(witness.verifier().cosigned(&note), Ok(Some(1_800_000_000)));
    let mut spoilt = note.clone();
    spoilt.signatures[2].signature[70] ^= 1;
    let invalid = NoteError::Invalid("w".to_owned());
    assert_eq!(witness.verifier().cosigned(&spoilt), Err(invalid));
    // Whom it does not concern does not mind.
    assert_eq!(other.verifier().cosigned(&spoilt), Ok(Some(1_900_000_000)));
    // The log's signature still counts beside all of them.
    assert!(note.verify(&[log().verifier()]).is_ok());
}

#[test]
fn keys_are_written_and_read() {
    let witness = cosigner("witness.example/w1", 7);
    let text = witness.verifier().to_string();
    assert_eq!(CosignerKey::parse(&text).as_ref(), Ok(witness.verifier()));
    let secret = witness.to_secret_text();
    let read = Cosigner::parse(&secret).unwrap();
    assert_eq!(read.verifier(), witness.verifier());
    assert!(!format!("{read:?}").contains(secret.rsplit('+').next().unwrap()));
    // Keys of logs are none of witnesses, and the other way round.
    let of_a_log = log().verifier().to_string();
    assert_eq!(CosignerKey::parse(&of_a_log), Err(KeyError::Cosigner));
    assert_eq!(VerifierKey::parse(&text), Err(KeyError::Algorithm));
    let secret_of_a_log = log().to_secret_text();
    assert!(matches!(
        Cosigner::parse(&secret_of_a_log),
        Err(KeyError::Cosigner)
    ));
    let other_id = text.replacen('+', "+0", 1);
    assert!(CosignerKey::parse(&other_id).is_err());
    let renamed = text.replace("w1", "w2");
    assert_eq!(CosignerKey::parse(&renamed), Err(KeyError::Id));
    let long = format!("w+00000000+{}", STANDARD.encode([6; 1_313]));
    assert_eq!(CosignerKey::parse(&long), Err(KeyError::Cosigner));
}

#[test]
fn answers_of_witnesses_have_bounds() {
    let witness = cosigner("w", 7);
    let line = format!("{}\n", witness.cosign(&eight().text, 1));
    let read = parse_cosignatures(line.as_bytes()).unwrap();
    assert_eq!(read, [witness.cosign(&eight().text, 1)]);
    let three = line.repeat(3);
    assert_eq!(parse_cosignatures(three.as_bytes()).unwrap().len(), 3);
    for bad in [
        "",
        "\n",
        &line[..line.len() - 1],
        &format!("\n{line}"),
        &format!("{line}\n"),
        "\u{2014} w AAAAAA==\n",
        "- w AAAAAAAA\n",
        "\u{2014} w  AAAAAAAA\n",
        &format!("x{line}"),
        &line.replace("\u{2014} w ", "\u{2014} w\t"),
    ] {
        assert!(parse_cosignatures(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(parse_cosignatures(line.repeat(129).as_bytes()).is_err());
    assert!(parse_cosignatures(&[b'x'; 1 << 20]).is_err());
    assert!(parse_cosignatures(b"\xff\n").is_err());
}

#[test]
fn a_conflict_is_exactly_a_size() {
    let kind = Some("text/x.tlog.size");
    assert_eq!(parse_conflict(kind, b"0\n"), Some(0));
    assert_eq!(
        parse_conflict(kind, b"18446744073709551615\n"),
        Some(u64::MAX)
    );
    for bad in [
        "",
        "\n",
        "1",
        "01\n",
        "+1\n",
        "-1\n",
        " 1\n",
        "1 \n",
        "1\n\n",
        "1\r\n",
        "0x1\n",
        "1.0\n",
        "18446744073709551616\n",
        "000000000000000000000000000001\n",
        "size 1\n",
    ] {
        assert_eq!(parse_conflict(kind, bad.as_bytes()), None, "{bad:?}");
    }
    for kind in [
        None,
        Some("text/plain"),
        Some(""),
        Some("text/x.tlog.size; charset=utf-8"),
    ] {
        assert_eq!(parse_conflict(kind, b"1\n"), None, "{kind:?}");
    }
}

proptest! {
    /// Nothing that is read panics, and what is read is what was written.
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = parse_cosignatures(&bytes);
        let _ = parse_conflict(Some("text/x.tlog.size"), &bytes);
        let _ = CosignerKey::parse(&text);
        prop_assert_eq!(cosigner("w", 7).verifier().verify("a\n", &bytes), None);
    }

    #[test]
    fn lines_are_read_as_written(time in 0..=i64::MAX as u64, seed: u8) {
        let line = cosigner("w", seed).cosign("a\n1\nb\n", time);
        let read: Vec<NoteSignature> = parse_cosignatures(format!("{line}\n").as_bytes()).unwrap();
        prop_assert_eq!(&read[..], std::slice::from_ref(&line));
        let time_read = cosigner("w", seed).verifier().verify("a\n1\nb\n", &line.signature);
        prop_assert_eq!(time_read, Some(time));
    }
}
