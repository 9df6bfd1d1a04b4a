//! Conditions on numbers with a fraction: `>850`, `<=1.5`, `1.5<>2.5` and `1.5-2.5` (exclusive), `!0`, `!4-5`.

use super::Problem;
use super::syntax::Word;
use crate::language::said::say;

/// A condition on a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DecimalTest {
    compare: Compare,
    negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Compare {
    Equal(f64),
    Above(f64),
    AtLeast(f64),
    Below(f64),
    AtMost(f64),
    Between(f64, f64),
}

impl DecimalTest {
    /// Does `number` fulfil it?
    pub(crate) fn holds(&self, number: f64) -> bool {
        let holds = match self.compare {
            Compare::Equal(it) => number == it,
            Compare::Above(low) => number > low,
            Compare::AtLeast(low) => number >= low,
            Compare::Below(high) => number < high,
            Compare::AtMost(high) => number <= high,
            Compare::Between(low, high) => low < number && number < high,
        };
        holds != self.negated
    }
}

/// Parses a condition.
pub(crate) fn parse(value: Word<'_>) -> Result<DecimalTest, Problem> {
    let wrong = || {
        Problem::new("invalid-value", say!("`{}` is not a condition on a number", value.text), value.span())
            .help(say!("expected n, !n, >n, >=n, <n, <=n or low<>high"))
    };
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(wrong);
    let text = value.text.trim();
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest.strip_prefix('=').unwrap_or(rest).trim_start()),
        None => (false, text),
    };
    if let Some((low, high)) = range(rest) {
        let (low, high) = (number(low)?, number(high)?);
        if low >= high {
            return Err(Problem::new("never-matches", say!("no value fulfils `{}`", value.text), value.span()));
        }
        return Ok(DecimalTest { compare: Compare::Between(low, high), negated });
    }
    type Make = fn(f64) -> Compare;
    let operators: [(&str, Make); 5] = [
        (">=", Compare::AtLeast),
        ("<=", Compare::AtMost),
        (">", Compare::Above),
        ("<", Compare::Below),
        ("=", Compare::Equal),
    ];
    let found = operators.into_iter().find_map(|(sign, make)| rest.strip_prefix(sign).map(|rest| (make, rest)));
    let (make, rest) = found.unwrap_or((Compare::Equal, rest));
    Ok(DecimalTest { compare: make(number(rest)?), negated })
}

/// The ends of a range: `1<>2`, or `1-2`, whose hyphen is not the sign of the first number or of an exponent.
fn range(text: &str) -> Option<(&str, &str)> {
    text.split_once("<>").or_else(|| {
        let at = text.char_indices().skip(1).find(|&(at, c)| c == '-' && !text[..at].ends_with(['e', 'E']))?.0;
        let (low, high) = text.split_at(at);
        low.trim().parse::<f64>().ok()?;
        Some((low, &high[1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, inside: &[f64], outside: &[f64]) {
        let test = parse(Word { text, start: 0 }).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
        assert!(inside.iter().all(|&value| test.holds(value)), "{text} holds for {inside:?}");
        assert!(!outside.iter().any(|&value| test.holds(value)), "{text} does not hold for {outside:?}");
    }

    #[test]
    fn every_spelling_is_understood() {
        check("4", &[4.0], &[4.1]);
        check("= 4.5", &[4.5], &[4.0]);
        check("> 4.14", &[4.2], &[4.14]);
        check(">=4", &[4.0], &[3.9]);
        check("<-1e-3", &[-1.0], &[0.0]);
        check("<= 2", &[2.0], &[2.1]);
        check("!= 4", &[5.0], &[4.0]);
        check("!4-5", &[4.0, 5.0, 6.0], &[4.5]);
        check("4-5", &[4.5], &[4.0, 5.0]);
        check("-2--1", &[-1.5], &[-2.0]);
        check("1.5<>2.5", &[2.0], &[1.5]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, code) in
            [("", "invalid-value"), ("x", "invalid-value"), ("5-4", "never-matches"), ("inf", "invalid-value")]
        {
            assert_eq!(parse(Word { text, start: 0 }).expect_err(text).code, code);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[-!<>=0-9.e ]{0,12}") {
            let _ = parse(Word { text: &text, start: 0 });
        }
    }
}
