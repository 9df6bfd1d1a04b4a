//! Fields: what a protocol says of its records, declared once.
//!
//! From a protocol's field table derive the rule keyword `protocol.field`, the key in EVE, the row in
//! `docs/reference/fields.md` and the histogram of `vigia replay --fields`. The table is written with [`fields!`], which
//! puts the description of a field and the code that reads it side by side.

use std::net::IpAddr;

use crate::time::Timestamp;

/// One value of a field, borrowed from the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// An unsigned integer, enumeration or address number.
    Unsigned(u64),
    /// A signed integer.
    Signed(i64),
    /// A measured value.
    Float(f64),
    /// Text that the parser knows to be UTF-8.
    Text(&'a str),
    /// Bytes from the wire; text fields whose encoding nothing guarantees are bytes too.
    Bytes(&'a [u8]),
    /// A flag.
    Flag(bool),
    /// An IP address carried in the message.
    Address(IpAddr),
    /// A time carried in the message (not the time of the packet).
    Time(Timestamp),
}

/// Names of an enumeration's values, sorted by value: `&[(5, "write_single_coil")]`. Names are lower snake case, as the
/// protocol's standard has them.
pub type Names = &'static [(u64, &'static str)];

/// What kind of value a field has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Unsigned integer of at most `bits` bits; `names` is its enumeration, empty when it has none.
    Unsigned {
        /// Width in bits, 1 to 64.
        bits: u8,
        /// The enumeration, sorted by value.
        names: Names,
    },
    /// Signed integer of at most the given number of bits.
    Signed(u8),
    /// Number with a fraction.
    Float,
    /// UTF-8 text; a sticky buffer in rules.
    Text,
    /// Raw bytes; a sticky buffer in rules.
    Bytes,
    /// True or false.
    Flag,
    /// IP address.
    Address,
    /// Time.
    Time,
}

/// How many values of a field a record can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// Exactly one.
    One,
    /// None or one.
    Optional,
    /// Any number.
    Many,
}

/// One row of a protocol's field table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name without the protocol: `function` of `modbus.function`.
    pub name: &'static str,
    /// Kind of its values.
    pub kind: Kind,
    /// How many values a record can have.
    pub cardinality: Cardinality,
    /// One line of doc, with the clause of the standard.
    pub doc: &'static str,
}

/// What the names of fields begin with that are frames: stretches of the message as they stand on the wire.
const FRAME: &str = "frame.";

impl Field {
    /// The name of the frame that this field is, if it is one: `pdu` of `frame.pdu`.
    pub fn frame(&self) -> Option<&'static str> {
        self.name.strip_prefix(FRAME)
    }

    /// The name of `value` in this field's enumeration.
    pub fn name_of(&self, value: u64) -> Option<&'static str> {
        match self.kind {
            Kind::Unsigned { names, .. } => name_of(names, value),
            _ => None,
        }
    }
}

/// The name of `value` in `names`.
pub fn name_of(names: Names, value: u64) -> Option<&'static str> {
    // Most enumerations begin without a gap.
    let first = names.first()?.0;
    if let Some((number, name)) = value.checked_sub(first).and_then(|at| names.get(usize::try_from(at).ok()?))
        && *number == value
    {
        return Some(name);
    }
    names.binary_search_by_key(&value, |entry| entry.0).ok().map(|at| names[at].1)
}

/// The values of a field are handed to a visitor one by one, so nothing is collected.
pub type Visit<'v> = dyn FnMut(Value<'_>) + 'v;

/// Declares the field table of a record type, and how each field is read.
///
/// ```text
/// fields! {
///     /// What a rule can ask of a Modbus message.
///     pub static FIELDS, visit(message: &Message<'_>, out) {
///         function: Unsigned { bits: 8, names: FUNCTIONS }, One, "Function code without the exception bit (MB V1.1b3 §4.1)"
///             => out(Value::Unsigned(message.function.into()));
///     }
/// }
/// ```
///
/// gives `pub static FIELDS: &[Field]` and `fn visit(message: &Message<'_>, index: usize, out: &mut Visit<'_>)`, which
/// [`crate::Record::visit`] calls. The code of a field calls `out` once a value, in the order of the wire. A name that is
/// no identifier of Rust is given after `as`: `kind as "type": ...`.
#[macro_export]
macro_rules! fields {
    (@name $name:ident) => { stringify!($name) };
    (@name $name:ident $spelling:literal) => { $spelling };
    (
        $(#[$doc:meta])*
        $vis:vis static $table:ident, $visit:ident($record:ident: $type:ty, $out:ident) {
            $($name:ident $(as $spelling:literal)?: $kind:expr, $cardinality:ident, $line:literal => $read:expr;)*
        }
    ) => {
        $(#[$doc])*
        $vis static $table: &[$crate::field::Field] = {
            #[allow(unused_imports)]
            use $crate::field::Kind::*;
            &[$($crate::field::Field {
                name: $crate::fields!(@name $name $($spelling)?),
                kind: $kind,
                cardinality: $crate::field::Cardinality::$cardinality,
                doc: $line,
            }),*]
        };

        fn $visit($record: $type, index: usize, $out: &mut $crate::field::Visit<'_>) {
            #[allow(non_camel_case_types, clippy::enum_variant_names)]
            enum Index { $($name),* }
            match index {
                $(i if i == Index::$name as usize => { $read; })*
                _ => {}
            }
        }
    };
}

/// A record as a tree, for the layouts that consumers of EVE expect (nested objects and lists). The receiver knows the
/// wire form (JSON); the record only says what stands where. In a list, `key` is ignored.
pub trait Tree {
    /// An unsigned number.
    fn unsigned(&mut self, key: &'static str, value: u64);
    /// A signed number.
    fn signed(&mut self, key: &'static str, value: i64);
    /// A number with a fraction; not-a-number and infinities become null.
    fn float(&mut self, key: &'static str, value: f64);
    /// True or false.
    fn flag(&mut self, key: &'static str, value: bool);
    /// A name that is part of the program: of an enumeration.
    fn text(&mut self, key: &'static str, value: &'static str);
    /// Text of our own making, as it is formatted.
    fn formatted(&mut self, key: &'static str, value: std::fmt::Arguments<'_>);
    /// Text of our own making that is put together already.
    fn line(&mut self, key: &'static str, value: &str) {
        self.formatted(key, format_args!("{value}"));
    }
    /// Text from the wire, of any encoding.
    fn octets(&mut self, key: &'static str, value: &[u8]);
    /// Bytes as lower-case hexadecimal digits.
    fn hex(&mut self, key: &'static str, value: &[u8]);
    /// Opens an object.
    fn object(&mut self, key: &'static str);
    /// Opens a list.
    fn list(&mut self, key: &'static str);
    /// Closes the object or list opened last.
    fn end(&mut self);
}
