//! Which of many values must fulfil a condition: the values of a repeated field, the tags of VLANs, the chunks of SCTP.
//!
//! Suricata writes it behind the condition, as `any`, `all`, `nb>2` or an index, and then as a slice of the values
//! (`1,all,0:-1`). `count >2` asks how many values there are, whatever they are.

use std::ops::RangeInclusive;

use crate::language::Problem;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::Word;

/// Which of the values are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Quantifier {
    /// At least one.
    Any,
    /// At least one, or there is none.
    AnyOrAbsent,
    /// Every one, and there is one.
    All,
    /// Every one, even if there is none.
    AllOrAbsent,
    /// So many.
    Count(IntegerTest),
    /// The one at this place; negative from the end.
    At(i64),
    /// The same, or there is none at this place.
    AtOrOutside(i64),
}

/// Which of the values are meant, and of what part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Which {
    quantifier: Quantifier,
    /// From the first of these places up to the second, which is left out; negative from the end.
    slice: Option<(i64, i64)>,
}

impl Which {
    /// At least one of all.
    pub(super) const ANY: Self = Self { quantifier: Quantifier::Any, slice: None };

    /// Is the condition fulfilled? `visit` hands on for each value whether it fulfils it.
    pub(super) fn holds(&self, visit: impl Fn(&mut dyn FnMut(bool))) -> bool {
        let count = || {
            let mut count = 0i64;
            visit(&mut |_| count += 1);
            count
        };
        let part = match self.slice {
            None => 0..i64::MAX,
            Some((from, to)) => {
                let count = count();
                let place = |at: i64| if at < 0 { count + at } else { at };
                let (from, to) = (place(from), place(to));
                if (0..count).contains(&from) && (0..=count).contains(&to) { from..to } else { 0..0 }
            }
        };
        let wanted = match self.quantifier {
            Quantifier::At(at) | Quantifier::AtOrOutside(at) if at < 0 => part.end.min(count()) + at,
            Quantifier::At(at) | Quantifier::AtOrOutside(at) => part.start + at,
            _ => -1,
        };
        let (mut at, mut met, mut total, mut there) = (0i64, 0u64, 0u64, None);
        visit(&mut |holds| {
            if part.contains(&at) {
                met += u64::from(holds);
                total += 1;
                there = there.or((at == wanted).then_some(holds));
            }
            at += 1;
        });
        match &self.quantifier {
            Quantifier::Any => met > 0,
            Quantifier::AnyOrAbsent => met > 0 || total == 0,
            Quantifier::All => total > 0 && met == total,
            Quantifier::AllOrAbsent => met == total,
            Quantifier::Count(count) => count.holds(met),
            Quantifier::At(_) => there == Some(true),
            Quantifier::AtOrOutside(_) => there != Some(false),
        }
    }
}

/// Parses an integer condition with what stands behind it. With `indexes`, a number behind it is the place of a value;
/// without, numbers in a row are a list of values.
pub(super) fn integer(
    value: Word<'_>,
    domain: Domain,
    indexes: Option<RangeInclusive<i64>>,
) -> Result<(IntegerTest, Which), Problem> {
    if let Some(count) = value.text.strip_prefix("count").filter(|rest| !rest.starts_with(char::is_alphanumeric)) {
        let count = integer::parse(value.part(count).trim(), Domain::unsigned(32))?;
        let whatever = IntegerTest::In(RangeSet::everything());
        return Ok((whatever, Which { quantifier: Quantifier::Count(count), slice: None }));
    }
    let (condition, which) = split(value, indexes)?;
    Ok((integer::parse(condition, domain)?, which))
}

/// Splits off the end of a condition which of the values are meant.
pub(super) fn split<'a>(value: Word<'a>, indexes: Option<RangeInclusive<i64>>) -> Result<(Word<'a>, Which), Problem> {
    let Some((rest, last)) = last_part(value) else { return Ok((value, Which::ANY)) };
    let slice = last.text.split_once(':').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (rest, last) = match slice {
        None => (rest, last),
        Some(_) => last_part(rest).unwrap_or((rest, value.part("any"))),
    };
    let place = |word: Word<'a>| -> Result<i64, Problem> {
        let range = indexes.clone().unwrap_or(i64::from(i32::MIN)..=i64::from(i32::MAX));
        word.text.parse().ok().filter(|at| range.contains(at)).ok_or_else(|| {
            Problem::new("invalid-value", say!("`{}` is not a number in range", word.text), word.span()).help(say!(
                "expected {} to {}",
                range.start(),
                range.end()
            ))
        })
    };
    let quantifier = match last.text {
        "any" => Quantifier::Any,
        "or_absent" => Quantifier::AnyOrAbsent,
        "all" | "all1" => Quantifier::All,
        "all_or_absent" => Quantifier::AllOrAbsent,
        text if text.starts_with("nb") => {
            let count = last.part(text.trim_start_matches("nb")).trim();
            Quantifier::Count(integer::parse(count, Domain::unsigned(32))?)
        }
        text if text.starts_with("oob_or") => {
            Quantifier::AtOrOutside(place(last.part(text.trim_start_matches("oob_or")).trim())?)
        }
        text if indexes.is_some() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Quantifier::At(place(last)?)
        }
        // The last of a list of values.
        _ if slice.is_none() => return Ok((value, Which::ANY)),
        _ => {
            return Err(Problem::new("invalid-value", say!("`{}` is not an index", last.text), last.span())
                .help(say!("expected any, or_absent, all, all_or_absent, nb>n, oob_or n, or a place")));
        }
    };
    Ok((rest, Which { quantifier, slice }))
}

/// A word before its last comma, and behind it.
fn last_part<'a>(word: Word<'a>) -> Option<(Word<'a>, Word<'a>)> {
    let (rest, last) = word.text.rsplit_once(',')?;
    Some((word.part(rest).trim(), word.part(last).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, matching: &[&[u64]], other: &[&[u64]]) {
        let word = Word { text, start: 0 };
        let (test, which) =
            integer(word, Domain::unsigned(8), Some(-9..=9)).unwrap_or_else(|p| panic!("{}", p.message));
        let holds = |values: &[u64]| which.holds(|meet| values.iter().for_each(|&value| meet(test.holds(value))));
        for values in matching {
            assert!(holds(values), "{text} holds of {values:?}");
        }
        for values in other {
            assert!(!holds(values), "{text} does not hold of {values:?}");
        }
    }

    #[test]
    fn suricatas_indexes_say_which_values_are_meant() {
        check("5", &[&[5], &[1, 5]], &[&[1], &[]]);
        check("5,any", &[&[1, 5]], &[&[]]);
        check("5,or_absent", &[&[1, 5], &[]], &[&[1]]);
        check(">4,all", &[&[5, 6]], &[&[5, 1], &[]]);
        check(">4,all_or_absent", &[&[5, 6], &[]], &[&[5, 1]]);
        check(">4,nb>1", &[&[5, 1, 6]], &[&[5, 1]]);
        check("5,1", &[&[1, 5]], &[&[5, 1], &[5]]);
        check("5,-1", &[&[1, 5]], &[&[5, 1], &[]]);
        check("5,oob_or 1", &[&[1, 5], &[1]], &[&[5, 1]]);
        check("count 2", &[&[1, 5]], &[&[5]]);
        check("count >1", &[&[1, 5, 6]], &[&[5], &[]]);
    }

    #[test]
    fn a_slice_of_the_values_is_looked_at() {
        check("3,all,2:3", &[&[1, 2, 3, 4, 5, 6]], &[&[1, 2, 4, 3]]);
        check(">2,all,-4:-1", &[&[1, 2, 3, 4, 5, 6]], &[&[3, 1, 3, 3]]);
        check("4,0,3:-1", &[&[1, 2, 3, 4, 5, 6]], &[&[4, 4, 4, 3, 4, 4]]);
        check("5,-1,3:-1", &[&[1, 2, 3, 4, 5, 6]], &[&[5, 5, 5, 5, 4, 5]]);
        check("3,nb1,-4:4", &[&[1, 2, 3, 4, 5, 6]], &[&[1, 2, 4, 4, 3, 3]]);
        // Outside of what there is, nothing is meant.
        check("3,all_or_absent,4:9", &[&[1, 2, 3]], &[]);
        check("3,any,0:9", &[], &[&[3, 3, 3]]);
    }

    #[test]
    fn without_indexes_numbers_in_a_row_are_a_list() {
        let word = Word { text: "5,1", start: 0 };
        let (test, which) = integer(word, Domain::unsigned(8), None).unwrap_or_else(|p| panic!("{}", p.message));
        assert!(test.holds(1) && test.holds(5) && which == Which::ANY);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in ["5,99", "5,nbx", "5,x,1:2", "5,oob_or x", "count x"] {
            assert!(integer(Word { text, start: 0 }, Domain::unsigned(8), Some(-9..=9)).is_err(), "{text}");
        }
    }
}
