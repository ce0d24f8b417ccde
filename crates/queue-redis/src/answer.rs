//! What became of requests, as bytes: docs/formats.md, "Queue answers, version 1".

use audittrail_queue::{Outcome, Placed};

/// Stands before the answers of one stream entry.
pub(crate) const VERSION: u8 = 1;

const COMMITTED: u8 = 0;
const CONFLICT: u8 = 1;
const REFUSED: u8 = 2;
const UNKNOWN: u8 = 3;
/// Why a request was refused is cut to so many bytes.
const LONGEST_REASON: usize = 1_024;
/// A request never has more entries, whatever a message says of itself.
const MOST_ENTRIES: usize = 1 << 24;

/// One answer: the token of whoever waits, and the outcome.
pub(crate) fn encode_answer(token: u64, outcome: &Outcome) -> Vec<u8> {
    let mut bytes = token.to_le_bytes().to_vec();
    match outcome {
        Outcome::Committed(placed) => {
            bytes.push(COMMITTED);
            let runs = runs(placed);
            bytes.extend(length(runs.len()));
            for (first, retried) in runs {
                bytes.extend(first.index.to_le_bytes());
                bytes.extend(length(retried));
                bytes.push(u8::from(first.retried));
            }
        }
        Outcome::Conflict(positions) => {
            bytes.push(CONFLICT);
            bytes.extend(length(positions.len()));
            for position in positions {
                bytes.extend(length(*position));
            }
        }
        Outcome::Refused(why) => {
            bytes.push(REFUSED);
            let why = &why[..why.floor_char_boundary(LONGEST_REASON)];
            bytes.extend(length(why.len()));
            bytes.extend(why.as_bytes());
        }
        Outcome::Unknown => bytes.push(UNKNOWN),
    }
    bytes
}

/// A request has far fewer entries than would not fit.
fn length(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

/// Neighbours with consecutive indices, with how many they are.
fn runs(placed: &[Placed]) -> Vec<(Placed, usize)> {
    let mut runs: Vec<(Placed, usize)> = Vec::new();
    for one in placed {
        match runs.last_mut() {
            Some((first, count))
                if first.retried == one.retried && first.index + *count as u64 == one.index =>
            {
                *count += 1;
            }
            _ => runs.push((*one, 1)),
        }
    }
    runs
}

/// The answers of one stream entry; `None` if the bytes are none.
pub(crate) fn decode_answers(bytes: &[u8]) -> Option<Vec<(u64, Outcome)>> {
    let (&version, mut rest) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let token = u64::from_le_bytes(take(&mut rest)?);
        answers.push((token, outcome(&mut rest)?));
    }
    Some(answers)
}

fn outcome(rest: &mut &[u8]) -> Option<Outcome> {
    let [kind] = take(rest)?;
    Some(match kind {
        COMMITTED => Outcome::Committed(placed(rest)?),
        CONFLICT => {
            let count = number(rest)?;
            if count > rest.len() / 4 {
                return None;
            }
            Outcome::Conflict((0..count).map(|_| number(rest)).collect::<Option<_>>()?)
        }
        REFUSED => {
            let length = number(rest)?;
            let (why, after) = rest.split_at_checked(length)?;
            *rest = after;
            Outcome::Refused(String::from_utf8_lossy(why).into_owned())
        }
        UNKNOWN => Outcome::Unknown,
        _ => return None,
    })
}

fn placed(rest: &mut &[u8]) -> Option<Vec<Placed>> {
    let mut placed = Vec::new();
    for _ in 0..number(rest)? {
        let first = u64::from_le_bytes(take(rest)?);
        let count = number(rest)?;
        let [retried] = take(rest)?;
        if retried > 1 || placed.len() + count > MOST_ENTRIES {
            return None;
        }
        let end = first.checked_add(count as u64)?;
        placed.extend((first..end).map(|index| Placed {
            index,
            retried: retried == 1,
        }));
    }
    Some(placed)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(rest)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(answers: &[(u64, Outcome)]) -> Vec<u8> {
        let encoded = answers
            .iter()
            .map(|(token, outcome)| encode_answer(*token, outcome));
        [vec![VERSION], encoded.flatten().collect()].concat()
    }

    fn some() -> Vec<(u64, Outcome)> {
        let at = |index, retried| Placed { index, retried };
        vec![
            (
                1,
                Outcome::Committed((5..1_005).map(|i| at(i, false)).collect()),
            ),
            (
                2,
                Outcome::Committed(vec![at(7, true), at(8, false), at(9, false), at(7, true)]),
            ),
            (u64::MAX, Outcome::Conflict(vec![0, 2, 9_999])),
            (4, Outcome::Refused("the disk is full".to_owned())),
            (5, Outcome::Unknown),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = whole(&some());
        assert_eq!(decode_answers(&bytes), Some(some()));
        let run = encode_answer(1, &some()[0].1);
        assert_eq!(run.len(), 8 + 1 + 4 + 13, "a thousand in a row are one run");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = Outcome::Refused(format!("{}ä and more", "x".repeat(1_023)));
        let answers = decode_answers(&whole(&[(1, long)]));
        assert_eq!(
            answers,
            Some(vec![(1, Outcome::Refused("x".repeat(1_023)))])
        );
    }

    #[test]
    fn what_is_cut_short_or_foreign_is_no_answer() {
        let bytes = whole(&some()[..1]);
        for end in 2..bytes.len() {
            assert_eq!(decode_answers(&bytes[..end]), None, "{end} bytes");
        }
        assert_eq!(decode_answers(&[]), None);
        assert_eq!(decode_answers(&[2]), None);
        assert_eq!(decode_answers(&[VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 9]), None);
        // One that claims to have more entries than any request.
        let mut huge = vec![VERSION];
        huge.extend([0; 8]);
        huge.push(COMMITTED);
        huge.extend(1_u32.to_le_bytes());
        huge.extend(0_u64.to_le_bytes());
        huge.extend(u32::MAX.to_le_bytes());
        huge.push(0);
        assert_eq!(decode_answers(&huge), None);
    }
}
