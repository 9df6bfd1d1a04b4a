//! Numbers that a rule states or takes from the traffic, and the registers that hold the latter.

use std::cell::{Cell, RefCell};

use super::told::{Name, Note};

/// Values that one rule can extract (`byte_extract`, `byte_math`).
pub(crate) const SLOTS: usize = 16;

/// Working memory of the inspection of one rule: extracted values, decoded bytes, and buffers for transforms. Reused, so
/// that inspection does not allocate once the buffers have grown.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    values: [Cell<u64>; SLOTS],
    /// Steps taken since the inspection began, and how many it may take.
    steps: Cell<u64>,
    limit: Cell<Option<u64>>,
    given_up: Cell<GivenUp>,
    /// What `base64_decode` gave last.
    pub(crate) decoded: RefCell<Vec<u8>>,
    free: RefCell<Vec<Vec<u8>>>,
    /// What the rule in hand has to tell, if it matches.
    pub(super) notes: RefCell<Vec<Note>>,
    pub(super) has_notes: Cell<bool>,
    /// Values that rules captured since the inspection began.
    pub(super) packet_variables: RefCell<Vec<(Name, Box<[u8]>)>>,
}

impl Registers {
    /// Begins an inspection that may take so many steps; `None` for any number.
    pub(crate) fn begin(&self, limit: Option<u64>) {
        self.steps.set(0);
        self.given_up.set(GivenUp::default());
        self.limit.set(limit);
        self.packet_variables.borrow_mut().clear();
    }

    /// Takes steps; false when those allowed were used up before.
    pub(crate) fn spend(&self, steps: u64) -> bool {
        let allowed = !self.is_spent();
        self.steps.set(self.steps.get().saturating_add(steps));
        allowed
    }

    /// Are all steps used up that the inspection may take?
    pub(crate) fn is_spent(&self) -> bool {
        self.limit.get().is_some_and(|limit| self.steps.get() >= limit)
    }

    /// An expression was given up.
    pub(crate) fn gave_up_expression(&self) {
        let given_up = self.given_up.get();
        self.given_up.set(GivenUp { expressions: given_up.expressions.saturating_add(1), ..given_up });
    }

    /// A chain was given up.
    pub(crate) fn gave_up_places(&self) {
        let given_up = self.given_up.get();
        self.given_up.set(GivenUp { places: given_up.places.saturating_add(1), ..given_up });
    }

    /// How often limits of single rules bit since the inspection began.
    pub(crate) fn given_up(&self) -> GivenUp {
        self.given_up.get()
    }

    /// Steps taken since the inspection began.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// The value extracted into a slot; 0 before it was.
    pub(crate) fn value(&self, slot: u8) -> u64 {
        self.values.get(usize::from(slot)).map_or(0, Cell::get)
    }

    pub(crate) fn store(&self, slot: u8, value: u64) {
        if let Some(cell) = self.values.get(usize::from(slot)) {
            cell.set(value);
        }
    }

    /// An empty buffer; give it back with [`Registers::put`].
    pub(crate) fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn put(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.free.borrow_mut().push(buffer);
    }
}

/// How often limits of single rules bit in an inspection. A rule that is given up does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GivenUp {
    /// Expressions (`pcre`, `pcrexform`) that would have taken too many steps.
    pub expressions: u32,
    /// Chains of contents that would have been tried at too many places.
    pub places: u32,
}

/// A number of a rule: as written, or extracted from the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// As written.
    Literal(i64),
    /// The value in this slot.
    Extracted(u8),
}

impl Number {
    /// As an unsigned value.
    pub(crate) fn unsigned(self, registers: &Registers) -> u64 {
        match self {
            Self::Literal(number) => number as u64,
            Self::Extracted(slot) => registers.value(slot),
        }
    }

    /// As a position or distance; values that are none become the furthest.
    pub(crate) fn signed(self, registers: &Registers) -> i64 {
        match self {
            Self::Literal(number) => number,
            Self::Extracted(slot) => i64::try_from(registers.value(slot)).unwrap_or(i64::MAX / 4).min(i64::MAX / 4),
        }
    }

    /// As a count from the beginning.
    pub(crate) fn count(self, registers: &Registers) -> usize {
        usize::try_from(self.signed(registers)).unwrap_or(0)
    }
}
