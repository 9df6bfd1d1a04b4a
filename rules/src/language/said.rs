//! Sentences for a person, which wait for their language.
//!
//! The English text stands where something is wrong, made by [`say!`]. It names the sentence: whoever shows it may have the
//! same sentence in another language, with the same places.

use std::fmt;

/// A sentence: its text in English, with `{}` in place of what varies, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    text: &'static str,
    parts: Vec<Part>,
}

/// What stands in a place of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A name, number or quotation: the same in every language.
    Verbatim(String),
    /// A part of the sentence that has languages of its own.
    Said(Said),
}

impl Said {
    pub(crate) fn new(text: &'static str, parts: Vec<Part>) -> Self {
        Self { text, parts }
    }

    /// The sentence in the language into which `translate` puts English texts; it keeps their places, in their order.
    pub fn text(&self, translate: &dyn Fn(&'static str) -> &'static str) -> String {
        let mut parts = self.parts.iter();
        let mut out = String::new();
        let mut rest = translate(self.text);
        while let Some((before, after)) = rest.split_once("{}") {
            out.push_str(before);
            match parts.next() {
                Some(Part::Verbatim(text)) => out.push_str(text),
                Some(Part::Said(said)) => out.push_str(&said.text(translate)),
                None => {}
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// In English.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&|text| text))
    }
}

/// What can stand in a place.
pub(crate) trait Fill {
    fn part(self) -> Part;
}

impl Fill for Said {
    fn part(self) -> Part {
        Part::Said(self)
    }
}

macro_rules! verbatim {
    ($($type:ty),*) => {
        $(impl Fill for $type {
            fn part(self) -> Part {
                Part::Verbatim(self.to_string())
            }
        })*
    };
}

verbatim!(
    &str,
    &&str,
    &std::sync::Arc<str>,
    String,
    &String,
    char,
    u8,
    u16,
    u32,
    &u32,
    u64,
    usize,
    i64,
    &i64,
    i128,
    f64
);

/// A [`Said`] of an English text with `{}` in its places and what stands there.
macro_rules! say {
    ($text:literal $(, $part:expr)* $(,)?) => {
        $crate::language::said::Said::new($text, vec![$($crate::language::said::Fill::part($part)),*])
    };
}

pub(crate) use say;

#[cfg(test)]
mod tests {
    #[test]
    fn a_sentence_and_those_within_it_are_put_into_the_language() {
        let said = say!("in {}: {}", "$HOME", say!("`{}` is not a port", 70_000u32));
        assert_eq!(said.to_string(), "in $HOME: `70000` is not a port");
        let spanish = |text| match text {
            "in {}: {}" => "en {}: {}",
            "`{}` is not a port" => "`{}` no es un puerto",
            other => other,
        };
        assert_eq!(said.text(&spanish), "en $HOME: `70000` no es un puerto");
    }
}
