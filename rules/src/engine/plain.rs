//! Rules by exact keys.
//!
//! A bit a rule, narrowed by one [`Column`] after the other. A key is read only while a rule is left that asks for it: so
//! what most rules ask for goes first, and what few ask for costs nothing where these are out already. Of an answer, say,
//! no more is read than that it is none of the requests that nearly all rules are about.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use vigia_parsers::Record;

use super::Moment;
use super::column::{Column, Source, all, and, set};
use super::group::{Member, Work};
use super::view::View;

/// What fields leave of up to 64 rules, a bit each; `None` when they are more, which are to be asked anew.
pub(super) type Word = Option<u64>;

/// Rules that are found by exact keys.
#[derive(Default)]
pub(super) struct Plain {
    /// The engine's index of each rule.
    rules: Box<[u32]>,
    all: Box<[u64]>,
    /// Those that are found by a pattern, once they are left here.
    patterned: Box<[u64]>,
    /// First those of fields, then the others of what varies within a flow's direction.
    columns: Box<[Column]>,
    fields: usize,
    varying: usize,
    /// By column: those of the first 64 rules that ask for it.
    asking: Box<[u64]>,
}

impl Plain {
    pub(super) fn new(members: &[Member]) -> Self {
        let keys: BTreeSet<_> = members.iter().flat_map(|member| &member.domains).map(|domain| domain.0).collect();
        let domains = || members.iter().map(|member| &*member.domains);
        let mut columns: Vec<Column> = keys.iter().filter_map(|&key| Column::new(key, domains())).collect();
        columns.sort_by_key(|column| (column.source(), Reverse(column.askers()), Reverse(column.rows())));
        let up_to = |source| columns.partition_point(|column| column.source() <= source);
        let mut patterned = vec![0; members.len().div_ceil(64)];
        let found_by_pattern = members.iter().enumerate().filter(|(_, member)| member.pattern.is_some());
        found_by_pattern.for_each(|(at, _)| set(&mut patterned, at));
        Self {
            rules: members.iter().map(|member| member.rule).collect(),
            all: all(members.len()),
            patterned: patterned.into(),
            fields: up_to(Source::Record),
            varying: up_to(Source::Packet),
            asking: columns.iter().map(|column| column.asking().first().copied().unwrap_or_default()).collect(),
            columns: columns.into(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Appends those of the rules that the columns leave of what all packets of a flow's direction have in common, a bit each.
    pub(super) fn path(&self, moment: &Moment<'_>, words: &mut Vec<u64>) {
        let from = words.len();
        words.extend_from_slice(&self.all);
        let Some(live) = words.get_mut(from..) else { return };
        for column in self.flow_columns() {
            if column.is_asked(live) {
                and(live, column.row(column.find(moment)));
            }
        }
    }

    /// Words that have a bit for each rule.
    pub(super) fn width(&self) -> usize {
        self.all.len()
    }

    /// The same of the first 64 rules, where there are no more.
    pub(super) fn allowed(&self, moment: &Moment<'_>) -> u64 {
        let &[all] = &*self.all else { return 0 };
        self.flow_columns().fold(all, |live, column| live & column.few_at(moment))
    }

    /// The columns of what all packets of a flow's direction have in common.
    pub(super) fn flow_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.get(self.varying..).unwrap_or_default().iter()
    }

    /// The engine's index of each rule.
    pub(super) fn rules(&self) -> &[u32] {
        &self.rules
    }

    /// What the fields of a record leave of the rules, when they are few enough to be told; `None` when it is nothing.
    #[inline]
    pub(super) fn asked(&self, record: &dyn Record) -> Option<Word> {
        let mut live = match *self.all {
            [] => return None,
            [all] => all,
            _ => return Some(None),
        };
        for (column, asking) in self.of(0..self.fields) {
            if live & asking != 0 {
                live &= column.few_of(record);
                if live == 0 {
                    return None;
                }
            }
        }
        Some(Some(live))
    }

    /// These columns, with those of the first 64 rules that ask for each.
    #[inline]
    fn of(&self, columns: Range<usize>) -> impl Iterator<Item = (&Column, u64)> {
        let asking = self.asking.get(columns.clone()).unwrap_or_default();
        self.columns.get(columns).unwrap_or_default().iter().zip(asking.iter().copied())
    }

    /// Appends the rules that all columns leave; those that have a pattern are not among them, but true says that some are
    /// left.
    pub(super) fn select(&self, view: &View<'_>, work: &mut Work, out: &mut Vec<u32>) -> bool {
        match *self.all {
            [] => false,
            [all] => self.append(&[self.narrow(0..self.columns.len(), all, view)], out),
            _ => self.select_of_many(&self.all, &self.columns, view, work, out),
        }
    }

    /// The same where it is known what fields and path leave.
    pub(super) fn select_left(&self, left: Word, view: &View<'_>, work: &mut Work, out: &mut Vec<u32>) -> bool {
        match left {
            Some(left) => self.append(&[self.narrow(self.fields..self.varying, left, view)], out),
            None => self.select(view, work, out),
        }
    }

    /// The same where it is known what the path leaves.
    #[inline]
    pub(super) fn select_on(&self, path: &[u64], view: &View<'_>, work: &mut Work, out: &mut Vec<u32>) {
        match *path {
            [] | [0] => {}
            [path] => {
                self.append(&[self.narrow(0..self.varying, path, view)], out);
            }
            _ if path.iter().all(|&word| word == 0) => {}
            _ => {
                self.select_of_many(path, self.columns.get(..self.varying).unwrap_or_default(), view, work, out);
            }
        }
    }

    /// Up to 64 rules are one word: what these columns leave of it.
    #[inline]
    fn narrow(&self, columns: Range<usize>, mut live: u64, view: &View<'_>) -> u64 {
        for (column, asking) in self.of(columns) {
            if live & asking != 0 {
                live &= column.few(view);
            }
        }
        live
    }

    fn select_of_many(
        &self,
        rules: &[u64],
        columns: &[Column],
        view: &View<'_>,
        work: &mut Work,
        out: &mut Vec<u32>,
    ) -> bool {
        work.live.clear();
        work.live.extend_from_slice(rules);
        for column in columns {
            if column.is_asked(&work.live) {
                column.narrow(view, &mut work.live, &mut work.row);
            }
        }
        self.append(&work.live, out)
    }

    /// Appends what is left, but for rules that have a pattern: true when there are such.
    fn append(&self, live: &[u64], out: &mut Vec<u32>) -> bool {
        let mut sought = false;
        for (at, (&live, patterned)) in live.iter().zip(&self.patterned).enumerate() {
            sought |= live & patterned != 0;
            let mut live = live & !patterned;
            while live != 0 {
                out.extend(self.rules.get(64 * at + live.trailing_zeros() as usize));
                live &= live - 1;
            }
        }
        sought
    }
}
