//! Patterns of policies: `*` stands for any text, `?` for one character, `${name}` for something
//! known of the request.

use super::{Context, keys::Key};

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
}

impl Token {
    /// The tokens of a pattern without variables.
    pub fn pattern(text: &str) -> Vec<Self> {
        let token = |letter| match letter {
            '*' => Self::Many,
            '?' => Self::One,
            letter => Self::Char(letter),
        };
        Self::joined(text.chars().map(token))
    }

    /// The same with one `*` for several in a row.
    fn joined(tokens: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut joined: Vec<Self> = tokens.collect();
        joined.dedup_by(|next, token| (*next, *token) == (Self::Many, Self::Many));
        joined
    }
}

/// Whether a pattern matches the whole of `text`.
///
/// Goes back to the latest `*` only, so that no pattern takes longer than its length times the
/// text's.
pub fn matches(pattern: &[Token], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    let mut retry = None;
    loop {
        let mut next = rest.clone();
        match (pattern.get(at), next.next()) {
            (Some(Token::Many), _) => {
                at += 1;
                if at == pattern.len() {
                    return true;
                }
                retry = Some((at, rest.clone()));
                continue;
            }
            (Some(Token::One), Some(_)) => {
                rest = next;
                at += 1;
                continue;
            }
            (Some(Token::Char(wanted)), Some(found)) if *wanted == found => {
                rest = next;
                at += 1;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        // The latest `*` takes one character more.
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        at = *after;
        rest = from.clone();
    }
}

/// A piece of text in a policy.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Token(Token),
    /// `${name}` or `${name, 'default'}`
    Variable(Key, Option<String>),
}

/// Text of a policy, compiled once.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// The characters before the first wildcard or variable.
    start: Box<str>,
    /// What follows, if it has no variable; empty if nothing does.
    rest: Box<[Token]>,
    /// The whole, if it has variables.
    pieces: Option<Box<[Piece]>>,
    /// All of it is in lower case, and so must be what it is compared with.
    folded: bool,
}

/// How the text of a policy is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `*` and `?` are wildcards.
    pub wildcards: bool,
    /// `${…}` is a variable.
    pub variables: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
}

impl Pattern {
    /// # Errors
    /// What is wrong with a variable, in words.
    pub fn compile(text: &str, how: Reading) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if how.variables && rest.starts_with("${") {
                let (inner, after) = rest
                    .get(2..)
                    .and_then(|inner| inner.split_once('}'))
                    .ok_or_else(|| format!("the variable in {text} has no end"))?;
                pieces.push(variable(inner)?);
                rest = after;
                continue;
            }
            match letter {
                '*' if how.wildcards => pieces.push(Piece::Token(Token::Many)),
                '?' if how.wildcards => pieces.push(Piece::Token(Token::One)),
                letter if how.ignore_case => {
                    pieces.extend(letter.to_lowercase().map(Token::Char).map(Piece::Token));
                }
                letter => pieces.push(Piece::Token(Token::Char(letter))),
            }
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
        Ok(Self::of(pieces, how.ignore_case))
    }

    fn of(pieces: Vec<Piece>, folded: bool) -> Self {
        let letter = |piece: &Piece| match piece {
            Piece::Token(Token::Char(letter)) => Some(*letter),
            _ => None,
        };
        let start: String = pieces.iter().map_while(letter).collect();
        let after = start.chars().count();
        let is_variable = |piece: &Piece| matches!(piece, Piece::Variable(..));
        if pieces.iter().any(is_variable) {
            let pieces = Some(pieces.into_boxed_slice());
            return Self { start: start.into(), rest: Box::default(), pieces, folded };
        }
        let rest = pieces.into_iter().skip(after).filter_map(|piece| match piece {
            Piece::Token(token) => Some(token),
            Piece::Variable(..) => None,
        });
        Self { start: start.into(), rest: Token::joined(rest).into(), pieces: None, folded }
    }

    /// Whether it stands for one text only, whatever the request is.
    pub fn is_fixed(&self) -> bool {
        self.pieces.is_none() && self.rest.is_empty()
    }

    /// What its variables ask about.
    pub fn variables(&self) -> impl Iterator<Item = &Key> {
        self.pieces.as_deref().unwrap_or_default().iter().filter_map(|piece| match piece {
            Piece::Variable(key, _) => Some(key),
            Piece::Token(_) => None,
        })
    }

    /// The first variable that nothing is ever known of.
    pub fn unknown_variable(&self) -> Option<&str> {
        let pieces = self.pieces.as_deref().unwrap_or_default();
        pieces.iter().find_map(|piece| match piece {
            Piece::Variable(Key::Unknown(name), _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The characters before the first wildcard or variable.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// Whether it matches the whole of `text`, which is in lower case if the pattern ignores case.
    /// A variable nothing is known of matches nothing.
    pub fn matches(&self, text: &str, context: &Context<'_>) -> bool {
        let Some(after) = text.strip_prefix(self.start.as_ref()) else { return false };
        match &self.pieces {
            None => match self.rest.as_ref() {
                [] => after.is_empty(),
                [Token::Many] => true,
                rest => matches(rest, after),
            },
            Some(pieces) => {
                let tokens = fill(pieces, self.folded, context);
                tokens.is_some_and(|tokens| matches(&tokens, text))
            }
        }
    }

    /// As [`Self::matches`] for a pattern without variables.
    #[cfg(test)]
    pub fn matches_text(&self, text: &str) -> bool {
        self.pieces.is_none()
            && text
                .strip_prefix(self.start.as_ref())
                .is_some_and(|after| matches(&self.rest, after))
    }
}

/// `name`, `name, 'default'`, or one of the characters that would mean something else.
fn variable(inner: &str) -> Result<Piece, String> {
    if let "*" | "?" | "$" = inner {
        return Ok(Piece::Token(Token::Char(inner.chars().next().unwrap_or('$'))));
    }
    let (name, default) = match inner.split_once(',') {
        None => (inner, None),
        Some((name, default)) => {
            let quoted = default.trim().strip_prefix('\'');
            let text = quoted.and_then(|text| text.strip_suffix('\''));
            let text = text.ok_or_else(|| format!("the default in ${{{inner}}} has no quotes"))?;
            (name, Some(text.to_owned()))
        }
    };
    match Key::parse(name.trim()) {
        Key::Unknown(name) if name.is_empty() => Err("a variable has no name".to_owned()),
        key => Ok(Piece::Variable(key, default)),
    }
}

/// The tokens of a pattern for one request; `None` if one of its variables has no single value.
fn fill(pieces: &[Piece], folded: bool, context: &Context<'_>) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(pieces.len() + 32);
    for piece in pieces {
        match piece {
            Piece::Token(token) => tokens.push(*token),
            Piece::Variable(key, default) => {
                let values = context.values(key);
                let text = match (values.as_slice(), default) {
                    ([value], _) => value.text().into_owned(),
                    ([], Some(default)) => default.clone(),
                    _ => return None,
                };
                let text = if folded { text.to_lowercase() } else { text };
                // What is known of a request never becomes a wildcard.
                tokens.extend(text.chars().map(Token::Char));
            }
        }
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Straight from the definition; exponential.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['*', rest @ ..], _) => {
                (0..=text.len()).any(|taken| naive(rest, text.get(taken..).unwrap_or_default()))
            }
            (['?', rest @ ..], [_, after @ ..]) => naive(rest, after),
            ([letter, rest @ ..], [found, after @ ..]) if letter == found => naive(rest, after),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_matcher_is_as_the_definition(pattern in "[abé*?]{0,8}", text in "[abé]{0,10}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&letters(&pattern), &letters(&text));
            prop_assert_eq!(matches(&Token::pattern(&pattern), &text), expected);
            let how = Reading { wildcards: true, variables: true, ignore_case: false };
            let compiled = Pattern::compile(&pattern, how).unwrap();
            prop_assert_eq!(compiled.matches_text(&text), expected);
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = Token::pattern(&("*a".repeat(500) + "b"));
        assert!(!matches(&pattern, &"a".repeat(1000)));
    }

    #[test]
    fn malformed_variables_are_refused() {
        let how = Reading { wildcards: true, variables: true, ignore_case: false };
        for text in ["${aws:username", "${}", "${aws:username, x}", "a${ }"] {
            assert!(Pattern::compile(text, how).is_err(), "{text}");
        }
        let literal = Reading { variables: false, ..how };
        assert!(Pattern::compile("${", literal).unwrap().matches_text("${"));
        let escaped = Pattern::compile("a${*}${?}${$}", how).unwrap();
        assert!(escaped.matches_text("a*?$") && escaped.is_fixed());
    }
}
