//! What there is to tell of a match beside that it is one: marks and values that rules left on the flow, and what this rule
//! found out.

use std::borrow::Cow;
use std::sync::Arc;

use super::dataset::Noted;
use super::memory::FlowMemory;
use super::value::Registers;
use super::{Engine, Scratch};

/// What rules have left on a flow, and captured of the packet in hand, by their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told<'e> {
    /// Flowbits that are set.
    pub flowbits: Vec<&'e str>,
    /// Counts (`flowint`) that are set.
    pub flowints: Vec<(&'e str, u32)>,
    /// Values that expressions captured for the flow.
    pub flow_variables: Vec<(&'e str, Box<[u8]>)>,
    /// The same for the packet; their names may have been captured, too.
    pub packet_variables: Vec<(Cow<'e, str>, Box<[u8]>)>,
    /// Entropies that were last found in the flow, in bits a byte, by buffer: whether rules matched by them or not.
    pub entropies: Vec<(Arc<str>, f64)>,
}

impl Told<'_> {
    /// Nothing.
    pub fn nothing() -> &'static Told<'static> {
        static NOTHING: Told<'static> = Told {
            flowbits: Vec::new(),
            flowints: Vec::new(),
            flow_variables: Vec::new(),
            packet_variables: Vec::new(),
            entropies: Vec::new(),
        };
        &NOTHING
    }
}

/// What one match found out.
#[derive(Debug, Clone, PartialEq)]
pub enum Remark {
    /// The entropy of a buffer, in bits a byte.
    Entropy(Arc<str>, f64),
    /// What a set knows of the value that is in it: the key that the rule gives it, and JSON.
    Context(Arc<str>, Arc<str>),
    /// What an expression captured for the alert, and under which name.
    Captured(Arc<str>, Box<[u8]>),
}

/// What the inspection of a rule noted so far; it counts only if the rule matches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// A value captured for the flow, by the number of its name.
    Flow(u64, Box<[u8]>),
    /// A value captured for the packet.
    Packet(Name, Box<[u8]>),
    Remark(Remark),
    /// A value that was looked up in a set.
    Value(Noted),
    /// The entropy of a buffer: it is of the flow, match or none.
    Entropy(Arc<str>, f64),
}

/// The name of a value that was captured for a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// As the rule has it, by its number.
    Stated(u64),
    /// As it was captured with the value.
    Captured(Box<[u8]>),
}

/// Values captured for one packet.
const PACKET_VARIABLES: usize = 32;

impl Note {
    /// Is it about the same as another? The later one stands: a search may come by a step several times.
    fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Flow(one, _), Self::Flow(two, _)) => one == two,
            (Self::Packet(one, _), Self::Packet(two, _)) => one == two,
            (Self::Value(one), Self::Value(two)) => one.step == two.step,
            (Self::Remark(Remark::Context(one, _)), Self::Remark(Remark::Context(two, _)))
            | (Self::Remark(Remark::Captured(one, _)), Self::Remark(Remark::Captured(two, _)))
            | (Self::Entropy(one, _), Self::Entropy(two, _)) => one == two,
            _ => false,
        }
    }
}

impl Registers {
    /// Takes a note of the rule in hand.
    #[cold]
    pub(crate) fn note(&self, note: Note) {
        let mut notes = self.notes.borrow_mut();
        notes.retain(|known| !note.replaces(known));
        notes.push(note);
        self.has_notes.set(true);
    }

    /// Forgets what a rule noted that did not match.
    #[inline]
    pub(crate) fn forget_notes(&self) {
        if self.has_notes.replace(false) {
            self.notes.borrow_mut().clear();
        }
    }

    /// Has an earlier rule captured a value of this name for the packet, in which these bytes stand?
    pub(crate) fn packet_variable_has(&self, name: u64, bytes: &[u8]) -> Option<bool> {
        let variables = self.packet_variables.borrow();
        let found = variables.iter().find(|variable| variable.0 == Name::Stated(name))?;
        Some(memchr::memmem::find(&found.1, bytes).is_some())
    }

    /// A rule matched: what it captured stays, what it found out is handed to `remark`, and values of sets to `value`.
    #[cold]
    pub(super) fn keep_notes(
        &self,
        memory: &mut Option<Box<FlowMemory>>,
        remark: &mut dyn FnMut(Remark),
        value: &mut dyn FnMut(Noted),
    ) {
        for note in self.notes.borrow_mut().drain(..) {
            match note {
                Note::Flow(name, value) => memory.get_or_insert_default().keep_variable(name, value),
                Note::Packet(name, value) => {
                    let mut variables = self.packet_variables.borrow_mut();
                    variables.retain(|known| known.0 != name);
                    if variables.len() < PACKET_VARIABLES {
                        variables.push((name, value));
                    }
                }
                Note::Remark(found) => remark(found),
                Note::Value(noted) => value(noted),
                Note::Entropy(buffer, value) => {
                    memory.get_or_insert_default().keep_entropy(Arc::clone(&buffer), value);
                    remark(Remark::Entropy(buffer, value));
                }
            }
        }
        self.has_notes.set(false);
    }

    /// A rule did not match: of what it noted only what is of the flow all the same stays.
    #[cold]
    pub(super) fn keep_entropies(&self, memory: &mut Option<Box<FlowMemory>>) {
        for note in self.notes.borrow_mut().drain(..) {
            if let Note::Entropy(buffer, value) = note {
                memory.get_or_insert_default().keep_entropy(buffer, value);
            }
        }
        self.has_notes.set(false);
    }
}

impl Engine {
    /// What is to be told of a flow: what `memory` has of it.
    pub fn told_of_flow(&self, memory: Option<&FlowMemory>) -> Told<'_> {
        let Some(memory) = memory else { return Told::default() };
        let name = |number: u64| self.bits.get(&number).map(String::as_str);
        let variables = memory.variables().iter();
        Told {
            flowbits: memory.bits().iter().filter_map(|&bit| name(bit)).collect(),
            flowints: memory.integers().filter_map(|(number, value)| Some((name(number)?, value))).collect(),
            flow_variables: variables.filter_map(|(number, it)| Some((name(*number)?, it.clone()))).collect(),
            entropies: memory.entropies().to_vec(),
            ..Told::default()
        }
    }

    /// What is to be told of matches of the last inspection, whichever rules they are of: what `memory` has of the flow,
    /// and what was captured of the packet.
    pub fn told(&self, memory: Option<&FlowMemory>, scratch: &Scratch) -> Told<'_> {
        let name = |number: u64| self.bits.get(&number).map(String::as_str);
        let mut told = self.told_of_flow(memory);
        if let Some(registers) = scratch.registers.as_deref() {
            let variables = registers.packet_variables.borrow();
            let known = |of: &Name| match of {
                Name::Stated(number) => name(*number).map(Cow::Borrowed),
                Name::Captured(text) => Some(String::from_utf8_lossy(text).into_owned().into()),
            };
            let named = variables.iter().filter_map(|(of, it)| Some((known(of)?, it.clone())));
            told.packet_variables = named.collect();
        }
        told
    }
}
