//! The record of MMS: a message, and the request it answers.

use super::super::data;
use super::control::{self, Command, LAST_ERROR, Refusal};
use super::object::{Access, Name, Target, Variable};
use super::pdu::{Message, Pdu, ServiceError, kind};
use super::report::{self, Report};
use super::service::{self, SERVICES, number};
use super::{INVALID_REPORT, PROTOCOL, RESULT_COUNT, UNKNOWN_DATA, eve, names, operation};
use crate::dissector::Pairing;
use crate::encoding::ber::{Element, Elements};
use crate::field::{Value, Visit};
use crate::findings::Findings;
use crate::text::Line;

/// A message with its place in the flow.
#[derive(Debug, Clone)]
pub(super) struct Exchange<'a> {
    pub(super) message: &'a Message<'a>,
    /// What it answers, if that was seen.
    pub(super) request: Option<&'a Message<'a>>,
    /// The open file or upload that the request has the number of.
    pub(super) open: Option<Target<'a>>,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

crate::dissector::record!(Exchange<'_>, PROTOCOL, visit, eve::write, operation);

impl<'a> Exchange<'a> {
    /// A message without its request or answer.
    pub(super) fn lone(message: &'a Message<'a>, transaction: u64) -> Self {
        Self { message, request: None, open: None, transaction, pairing: Pairing::None }
    }

    /// The request, or the message itself where that is the request or is alone.
    pub(super) fn asked(&self) -> &'a Message<'a> {
        self.request.unwrap_or(self.message)
    }

    fn pdu(&self) -> Option<&'a Pdu<'a>> {
        self.message.pdu.as_ref()
    }

    /// The confirmed service that is asked for or answered.
    pub(super) fn service(&self) -> Option<u32> {
        let of = |message: &Message<'a>| message.request().or(message.response()).map(|(service, _)| service);
        of(self.message).or_else(|| of(self.request?))
    }

    /// The variables that are read, written or reported; for a response, those of its request.
    pub(super) fn access(&self) -> Option<Access<'a>> {
        self.asked().pdu.and_then(|pdu| pdu.access())
    }

    /// What is addressed.
    pub(super) fn targets(&self, out: &mut dyn FnMut(Target<'a>)) {
        let message = self.asked();
        if let Some(target) = &self.open {
            out(target.clone());
        } else if let Some((service, argument)) = message.request() {
            service::targets(service, &argument, out);
        } else if let Some(access) = self.access() {
            access.variables().for_each(|variable| out(Target::Variable(variable)));
            if let Some(name) = access.list_name() {
                out(Target::Object(name));
            }
        }
    }

    fn names(&self, out: &mut dyn FnMut(Name<'a>)) {
        self.targets(&mut |target| match target {
            Target::Variable(variable) => variable.name().into_iter().for_each(&mut *out),
            Target::Object(name) => out(name),
            _ => {}
        });
    }

    /// The values that the message carries.
    pub(super) fn values(&self) -> Option<Elements<'a>> {
        self.pdu()?.values()
    }

    /// The values that are data of the plant: of a report, without what it says of itself.
    fn data(&self) -> Elements<'a> {
        let reported = self.report().map(|report| report.values);
        reported.or(self.values()).unwrap_or(Elements::new(&[], 0))
    }

    pub(super) fn report(&self) -> Option<Report<'a>> {
        let pdu = self.pdu()?;
        pdu.report()?;
        report::is_report(pdu.access()?.list_name()).then(|| Report::read(pdu.values()?))?
    }

    /// Calls `out` with each variable and the value written to it, or reported of it.
    fn pairs(&self, out: &mut dyn FnMut(Variable<'a>, Element<'a>)) {
        let (Some(access), Some(values)) = (self.pdu().and_then(Pdu::access), self.values()) else { return };
        access.variables().zip(values).for_each(|(variable, value)| out(variable, value));
    }

    /// Calls `out` with what is done to each control object.
    pub(super) fn controls(&self, out: &mut dyn FnMut(control::Action, Variable<'a>, Option<Command<'a>>)) {
        let asked = self.asked();
        let Some(access) = asked.pdu.and_then(|pdu| pdu.access()) else { return };
        let mut values = asked.pdu.and_then(|pdu| pdu.values());
        for variable in access.variables() {
            let value = values.as_mut().and_then(Iterator::next);
            let Some((action, part)) = variable.name().and_then(|name| control::action(name.item())) else { continue };
            out(action, variable, value.and_then(|value| Command::read(part, &value)));
        }
    }

    /// Why a command was refused or ended.
    pub(super) fn refusal(&self) -> Option<Refusal<'a>> {
        self.pdu()?.report()?;
        let mut refusal = None;
        self.pairs(&mut |variable, value| {
            if variable.name().is_some_and(|name| name.item() == LAST_ERROR) {
                refusal = Refusal::read(&value);
            }
        });
        refusal
    }

    pub(super) fn error(&self) -> Option<ServiceError<'a>> {
        self.pdu()?.error()
    }

    /// Vendor, model, revision: what a device answers to Identify.
    pub(super) fn identity(&self) -> Option<[Option<&'a [u8]>; 3]> {
        let (_, result) = self.message.response().filter(|(service, _)| *service == number::IDENTIFY)?;
        Some([0, 1, 2].map(|field| service::field(&result, field).map(|text| text.contents)))
    }

    /// The names that a Get Name List answers with.
    pub(super) fn listed(&self) -> Elements<'a> {
        let listed = self.message.response().filter(|(service, _)| *service == number::GET_NAME_LIST);
        let list = listed.and_then(|(_, result)| service::field(&result, 0));
        list.map_or(Elements::new(&[], 0), |list| list.elements())
    }

    /// The class of the objects that a Get Name List asks for.
    pub(super) fn object_class(&self) -> Option<u64> {
        let (_, argument) = self.asked().request().filter(|(service, _)| *service == number::GET_NAME_LIST)?;
        service::field(&argument, 0)?.elements().next()?.unsigned()
    }

    /// The failures among the results of a read or write.
    pub(super) fn failures(&self) -> impl Iterator<Item = u64> + use<'a> {
        let results = self.pdu().and_then(Pdu::results).unwrap_or(Elements::new(&[], 0));
        results.filter(|result| result.tag.is_context(0)).filter_map(|failure| failure.unsigned())
    }
}

/// What the values of a message show, alone and against its request.
pub(super) fn findings(message: &Message<'_>, request: Option<&Message<'_>>, found: &mut Findings) {
    let Some(pdu) = message.pdu else { return };
    let Some(results) = pdu.values().or(pdu.results()) else { return };
    let (mut count, mut unknown) = (0, None);
    let written = matches!(pdu.of(kind::CONFIRMED_RESPONSE), Some((number::WRITE, _)));
    for result in results {
        count += 1;
        let failed = result.tag.is_context(0) && pdu.kind != kind::CONFIRMED_REQUEST;
        if !written && !failed && !data::is_known(&result) {
            unknown = unknown.or(Some(result.offset));
        }
    }
    if let Some(offset) = unknown {
        found.push(UNKNOWN_DATA, offset);
    }
    let access = pdu.access().or_else(|| request?.pdu?.access());
    match access {
        Some(Access::List(list)) if list.clone().count() != count => found.push(RESULT_COUNT, pdu.body.offset),
        Some(Access::Named(name))
            if report::is_report(name)
                && pdu.report().is_some()
                && pdu.values().is_none_or(|values| Report::read(values).is_none()) =>
        {
            found.push(INVALID_REPORT, pdu.body.offset);
        }
        _ => {}
    }
}

/// Longest name put together for rules, in bytes; what is longer is cut.
const LONGEST_NAME: usize = 256;

crate::fields! {
    /// What a rule can ask of a message of MMS.
    pub(super) static FIELDS, visit(record: &Exchange<'_>, out) {
        session: Unsigned { bits: 8, names: names::SESSION }, Optional, "Session PDU that carries it (ISO 8327-1 §8.3)"
            => if let Some(session) = record.message.session { out(Value::Unsigned(session.into())) };
        association: Unsigned { bits: 8, names: names::ASSOCIATION }, Optional,
            "APDU of association control (ISO 8650-1 §9)"
            => if let Some(association) = record.message.association { out(Value::Unsigned(association.kind.into())) };
        association_result: Unsigned { bits: 8, names: names::ASSOCIATION_RESULTS }, Optional,
            "Result of the request for an association (ISO 8650-1 §9.2)"
            => unsigned(record.message.association.and_then(|association| association.result), out);
        authentication: Bytes, Optional, "With what the sender proves who it is: password, certificate (ISO 8650-1 §7.4)"
            => bytes(record.message.association.and_then(|association| association.proof), out);
        pdu: Unsigned { bits: 8, names: names::PDUS }, Optional, "PDU (ISO 9506-2 §7.1)"
            => if let Some(pdu) = record.pdu() { out(Value::Unsigned(pdu.kind.into())) };
        invoke_id: Unsigned { bits: 32, names: &[] }, Optional, "Number of the request that it is or answers (§7.1)"
            => unsigned(record.pdu().and_then(|pdu| pdu.invoke_id).map(u64::from), out);
        service: Unsigned { bits: 8, names: SERVICES }, Optional,
            "Confirmed service, in requests, responses and errors (§7.2)"
            => unsigned(record.service().map(u64::from), out);
        confirmed_request: Unsigned { bits: 8, names: SERVICES }, Optional, "Service that is asked for (§7.2)"
            => unsigned(record.message.request().map(|(service, _)| service.into()), out);
        confirmed_response: Unsigned { bits: 8, names: SERVICES }, Optional, "Service that is answered (§7.2)"
            => unsigned(record.message.response().map(|(service, _)| service.into()), out);
        unconfirmed_service: Unsigned { bits: 8, names: names::UNCONFIRMED }, Optional,
            "Service without an answer (§7.3)"
            => unsigned(record.pdu().and_then(|pdu| pdu.of(kind::UNCONFIRMED)).map(|(service, _)| service.into()), out);
        error_class: Unsigned { bits: 8, names: names::ERROR_CLASSES }, Optional, "Class of the error (§7.4.3)"
            => unsigned(record.error().map(|error| error.class), out);
        error_code: Unsigned { bits: 16, names: &[] }, Optional, "Code of the error within its class (§7.4.3)"
            => unsigned(record.error().map(|error| error.code), out);
        rejected: Unsigned { bits: 8, names: names::REJECTED }, Optional, "What was rejected (§7.5)"
            => unsigned(record.pdu().and_then(Pdu::rejection).map(|(rejected, _)| rejected.into()), out);
        reject_reason: Unsigned { bits: 8, names: &[] }, Optional, "Why it was rejected (§7.5)"
            => unsigned(record.pdu().and_then(Pdu::rejection).map(|(_, reason)| reason), out);
        access_error: Unsigned { bits: 8, names: names::ACCESS_ERRORS }, Many,
            "Why a variable could not be read or written (§14.4.3)"
            => record.failures().for_each(|failure| out(Value::Unsigned(failure)));
        domain: Bytes, Many, "Domains addressed: logical devices of IEC 61850; in responses, those of the request (§11)"
            => record.targets(&mut |target| match target {
                Target::Domain(domain) => out(Value::Bytes(domain)),
                Target::Variable(variable) => bytes(variable.name().and_then(|name| name.domain()), out),
                Target::Object(name) => bytes(name.domain(), out),
                _ => {}
            });
        item: Bytes, Many, "Names within their domain that are addressed; in responses, those of the request (§7.6.1)"
            => record.names(&mut |name| out(Value::Bytes(name.item())));
        constraint: Bytes, Many, "Functional constraints of these names: `CO`, `SP`, `BR` (IEC 61850-7-2 §12.3.3.2)"
            => record.names(&mut |name| bytes(operation::constraint(name.item()), out));
        file: Text, Many, "Files that are addressed (§16)"
            => record.targets(&mut |target| if let Target::File(file) = target {
                out(Value::Text(Line::<LONGEST_NAME>::of(format_args!("{file}")).as_str()));
            });
        program: Bytes, Many, "Program invocations that are addressed (§12)"
            => record.targets(&mut |target| if let Target::Program(program) = target { out(Value::Bytes(program)) });
        object_class: Unsigned { bits: 8, names: names::OBJECT_CLASSES }, Optional,
            "Class of the objects whose names are asked for (§10.5)"
            => unsigned(record.object_class(), out);
        listed: Bytes, Many, "Names that are answered (§10.5)"
            => record.listed().for_each(|name| out(Value::Bytes(name.contents)));
        value: Float, Many, "Every number and truth value (0 or 1) written, read or reported, in order"
            => data::numbers(record.data(), out);
        text: Bytes, Many, "Every text written, read or reported, in order" => data::texts(record.data(), out);
        control: Unsigned { bits: 8, names: names::CONTROLS }, Many, "What is done to control objects (IEC 61850-8-1 §20)"
            => record.controls(&mut |action, _, _| out(Value::Unsigned(action as u64)));
        originator_category: Unsigned { bits: 8, names: names::ORIGINATORS }, Many,
            "Category of who commands, orCat (IEC 61850-7-3 §6.8)"
            => each_command(record, |command| command.category.and_then(|category| u64::try_from(category).ok()), out);
        originator: Bytes, Many, "Who commands, orIdent (IEC 61850-7-3 §6.8)"
            => record.controls(&mut |_, _, command| bytes(command.and_then(|command| command.originator), out));
        control_number: Unsigned { bits: 8, names: &[] }, Many, "Number of the command, ctlNum (IEC 61850-8-1 §20)"
            => each_command(record, |command| command.number, out);
        test: Flag, Many, "Is the command a test? (IEC 61850-8-1 §20)"
            => record.controls(&mut |_, _, command| if let Some(test) = command.and_then(|command| command.test) {
                out(Value::Flag(test));
            });
        refused: Bytes, Optional, "Control object whose command was refused or ended (IEC 61850-8-1 §20.9)"
            => bytes(record.refusal().map(|refusal| refusal.object), out);
        refusal_cause: Unsigned { bits: 8, names: names::CAUSES }, Optional, "Why, AddCause (IEC 61850-8-1 §20.9)"
            => unsigned(record.refusal().and_then(|refusal| u64::try_from(refusal.cause?).ok()), out);
        report: Bytes, Optional, "Which report it is, RptID (IEC 61850-8-1 §17.2.3)"
            => bytes(record.report().map(|report| report.id), out);
        report_sequence: Unsigned { bits: 16, names: &[] }, Optional, "Number of the report (IEC 61850-8-1 §17.2.3)"
            => unsigned(record.report().and_then(|report| report.sequence_number), out);
        report_overflow: Flag, Optional, "Were entries lost before it? (IEC 61850-8-1 §17.2.3)"
            => if let Some(overflow) = record.report().and_then(|report| report.overflow) { out(Value::Flag(overflow)) };
        data_set: Bytes, Optional, "Data set that is reported of (IEC 61850-8-1 §17.2.3)"
            => bytes(record.report().and_then(|report| report.data_set), out);
        vendor: Bytes, Optional, "Vendor, as the device identifies itself (§10.6)"
            => bytes(record.identity().and_then(|identity| identity[0]), out);
        model: Bytes, Optional, "Model (§10.6)" => bytes(record.identity().and_then(|identity| identity[1]), out);
        revision: Bytes, Optional, "Revision (§10.6)" => bytes(record.identity().and_then(|identity| identity[2]), out);
    }
}

fn each_command(record: &Exchange<'_>, get: impl Fn(Command<'_>) -> Option<u64>, out: &mut Visit<'_>) {
    record.controls(&mut |_, _, command| unsigned(command.and_then(&get), out));
}

fn unsigned(value: Option<u64>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value));
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Bytes(value));
    }
}
