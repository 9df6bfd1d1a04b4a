//! `frame`: a stretch of a message as it stands on the wire, as a sticky buffer.
//!
//! A protocol's frames are the fields whose names begin with `frame.`; what Suricata writes as `frame:dns.pdu` is the field
//! `dns.frame.pdu`. The protocol may be left out where the rule's header names it.

use vigia_parsers::Protocol;

use super::application::wait_for_protocol;
use super::{Arity, Draft, Environment, Keyword, Need, Use};
use crate::engine::Buffer;
use crate::language::said::say;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "frame",
    aliases: &[],
    doc: "Sticky buffer: a part of a message as it stands on the wire, as protocol.frame",
    arity: Arity::Required,
    compile: frame,
}];

/// The buffer of frames whose dissector is not there yet; registered keywords never number as many.
const WAITING: Buffer = Buffer::Waiting(u16::MAX);

/// Versions that frames are named for, and their protocols.
const VERSIONS: &[(&str, &str)] = &[("smb1", "smb"), ("smb2", "smb"), ("smb3", "smb"), ("ssl2", "tls")];

/// The field that is this frame of a protocol.
fn field(protocol: &Protocol, name: &str) -> Option<usize> {
    protocol.fields.iter().position(|field| field.frame() == Some(name))
}

fn frame(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let value = it.value.unquoted();
    // The name of a frame may have a dot itself: what the header's protocol knows comes first.
    let own = draft.protocol.and_then(|protocol| Some((protocol, field(protocol, value.text)?)));
    let (protocol, field) = match (own, value.split_once('.')) {
        (Some(own), _) => own,
        (None, _) if draft.is_waiting() => return draft.stick(WAITING, true, it.name),
        (None, Some((name, frame))) => match environment.protocol(name.text) {
            Some(protocol) => (protocol, field(protocol, frame.text).ok_or_else(|| unknown(protocol, frame))?),
            None => {
                let of = VERSIONS.iter().find(|version| version.0 == name.text);
                match of {
                    Some((_, protocol)) => draft.wait(name, Need::Protocol(protocol)),
                    None => wait_for_protocol(draft, name, environment)?,
                }
                return draft.stick(WAITING, true, it.name);
            }
        },
        (None, None) => {
            return Err(match draft.protocol {
                Some(protocol) => unknown(protocol, value),
                None => Problem::new("missing-value", say!("the frame's protocol is missing"), value.span())
                    .help(say!("expected `frame:protocol.name`, as `frame:dns.pdu`")),
            });
        }
    };
    draft.need(protocol, it.name)?;
    draft.message = true;
    draft.rule.frame = Some(field);
    draft.stick(Buffer::Field(field), true, it.name)
}

fn unknown(protocol: &'static Protocol, name: Word<'_>) -> Problem {
    let frames = protocol.fields.iter().filter_map(|field| field.frame());
    let near = nearest(name.text, frames);
    Problem::new("unknown-frame", say!("{} has no frame `{}`", protocol.name, name.text), name.span())
        .maybe_help(near.map(|near| say!("did you mean `{}`?", near)))
}
