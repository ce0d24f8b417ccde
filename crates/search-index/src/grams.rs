//! Parts of a text, for finding it by any of them: the folded text's runs of three
//! characters at each place, shorter at its end.

use audittrail_store::text::fold;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The name under which the index knows the tokenizer.
pub(crate) const NAME: &str = "grams";

/// How many characters a part has, but at the end of a text.
pub(crate) const LENGTH: usize = 3;

/// Splits a text into its parts, each at the place of its first character.
#[derive(Clone, Default)]
pub(crate) struct Grams {
    chars: Vec<char>,
    token: Token,
}

impl Tokenizer for Grams {
    type TokenStream<'a> = GramStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &str) -> GramStream<'a> {
        self.chars.clear();
        self.chars.extend(fold(text).chars());
        self.token.reset();
        self.token.position_length = 1;
        GramStream {
            grams: self,
            next: 0,
        }
    }
}

/// See [`Grams`].
pub(crate) struct GramStream<'a> {
    grams: &'a mut Grams,
    next: usize,
}

impl TokenStream for GramStream<'_> {
    fn advance(&mut self) -> bool {
        let Grams { chars, token } = &mut *self.grams;
        let Some(rest) = chars.get(self.next..).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        token.text.clear();
        token.text.extend(&rest[..rest.len().min(LENGTH)]);
        token.position = self.next;
        self.next += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.grams.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.grams.token
    }
}

/// The parts, with their places, that together are the folded pattern, which has at least
/// [`LENGTH`] characters.
pub(crate) fn cover(pattern: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = pattern.chars().collect();
    let last = chars.len().saturating_sub(LENGTH);
    let mut places: Vec<usize> = (0..=last).step_by(LENGTH).collect();
    if places.last() != Some(&last) {
        places.push(last);
    }
    places
        .into_iter()
        .map(|at| {
            (
                at,
                chars[at..(at + LENGTH).min(chars.len())].iter().collect(),
            )
        })
        .collect()
}
