//! The confirmed services (ISO 9506-2 §7.2): for each its name, what it does to the plant, and where its request says to
//! what.

use super::object::{Access, File, Name, Target, Variable};
use crate::encoding::ber::{Element, Elements};
use crate::field::Names;
use crate::operation::Operation::{
    self, Authenticate, Configure, Control, Discover, File as Files, Program, Read, Restart, Start, Stop, Write,
};

/// Numbers of services that are more than their row in the table.
pub(super) mod number {
    pub(in super::super) const STATUS: u32 = 0;
    pub(in super::super) const GET_NAME_LIST: u32 = 1;
    pub(in super::super) const IDENTIFY: u32 = 2;
    pub(in super::super) const READ: u32 = 4;
    pub(in super::super) const WRITE: u32 = 5;
    pub(in super::super) const GET_NAMED_VARIABLE_LIST_ATTRIBUTES: u32 = 12;
    pub(in super::super) const DELETE_NAMED_VARIABLE_LIST: u32 = 13;
    pub(in super::super) const DOWNLOAD_SEGMENT: u32 = 27;
    pub(in super::super) const INITIATE_UPLOAD_SEQUENCE: u32 = 29;
    pub(in super::super) const UPLOAD_SEGMENT: u32 = 30;
    pub(in super::super) const TERMINATE_UPLOAD_SEQUENCE: u32 = 31;
    pub(in super::super) const GET_PROGRAM_INVOCATION_ATTRIBUTES: u32 = 45;
    pub(in super::super) const FILE_OPEN: u32 = 72;
    pub(in super::super) const FILE_READ: u32 = 73;
    pub(in super::super) const FILE_CLOSE: u32 = 74;
    pub(in super::super) const FILE_DIRECTORY: u32 = 77;
}

/// Where a request says what it is about.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Nothing,
    /// A specification of variables: what is read.
    Access,
    /// A specification of variables, then their values.
    Values,
    /// The argument is a variable.
    Variable,
    /// The first element of the argument is the name of an object.
    Object,
    /// The field with this number is.
    ObjectAt(u32),
    /// The field with this number is a list of names; field 2 may name a domain.
    ObjectsAt(u32),
    /// The argument is the name of a domain.
    Domain,
    /// Field 0 is; the others given are names of files.
    DomainAnd(&'static [u32]),
    /// The argument is the name of a program invocation.
    Program,
    /// Field 0 is.
    ProgramIn,
    /// Field 0 is the name of an operator station.
    Station,
    /// The argument is the name of a file.
    File,
    /// These fields are.
    FilesAt(&'static [u32]),
    /// The argument is the number of an open file or upload.
    Handle,
}

struct Row {
    number: u32,
    name: &'static str,
    operation: Operation,
    subject: Subject,
}

const fn row(number: u32, name: &'static str, operation: Operation, subject: Subject) -> Row {
    Row { number, name, operation, subject }
}

use Subject as S;

const TABLE: [Row; 87] = [
    row(0, "status", Read, S::Nothing),
    row(1, "get_name_list", Discover, S::Nothing),
    row(2, "identify", Discover, S::Nothing),
    row(3, "rename", Configure, S::ObjectAt(1)),
    row(4, "read", Read, S::Access),
    row(5, "write", Write, S::Values),
    row(6, "get_variable_access_attributes", Read, S::Variable),
    row(7, "define_named_variable", Configure, S::ObjectAt(0)),
    row(8, "define_scattered_access", Configure, S::ObjectAt(0)),
    row(9, "get_scattered_access_attributes", Read, S::Object),
    row(10, "delete_variable_access", Configure, S::ObjectsAt(1)),
    row(11, "define_named_variable_list", Configure, S::Object),
    row(12, "get_named_variable_list_attributes", Read, S::Object),
    row(13, "delete_named_variable_list", Configure, S::ObjectsAt(1)),
    row(14, "define_named_type", Configure, S::ObjectAt(0)),
    row(15, "get_named_type_attributes", Read, S::Object),
    row(16, "delete_named_type", Configure, S::ObjectsAt(1)),
    row(17, "input", Read, S::Station),
    row(18, "output", Write, S::Station),
    row(19, "take_control", Authenticate, S::ObjectAt(0)),
    row(20, "relinquish_control", Authenticate, S::ObjectAt(0)),
    row(21, "define_semaphore", Configure, S::ObjectAt(0)),
    row(22, "delete_semaphore", Configure, S::Object),
    row(23, "report_semaphore_status", Read, S::Object),
    row(24, "report_pool_semaphore_status", Read, S::ObjectAt(0)),
    row(25, "report_semaphore_entry_status", Read, S::ObjectAt(0)),
    row(26, "initiate_download_sequence", Program, S::DomainAnd(&[])),
    row(27, "download_segment", Program, S::Domain),
    row(28, "terminate_download_sequence", Program, S::DomainAnd(&[])),
    row(29, "initiate_upload_sequence", Program, S::Domain),
    row(30, "upload_segment", Program, S::Handle),
    row(31, "terminate_upload_sequence", Program, S::Handle),
    row(32, "request_domain_download", Program, S::DomainAnd(&[4])),
    row(33, "request_domain_upload", Program, S::DomainAnd(&[1])),
    row(34, "load_domain_content", Program, S::DomainAnd(&[4])),
    row(35, "store_domain_content", Program, S::DomainAnd(&[1])),
    row(36, "delete_domain", Program, S::Domain),
    row(37, "get_domain_attributes", Read, S::Domain),
    row(38, "create_program_invocation", Program, S::ProgramIn),
    row(39, "delete_program_invocation", Program, S::Program),
    row(40, "start", Start, S::ProgramIn),
    row(41, "stop", Stop, S::ProgramIn),
    row(42, "resume", Start, S::ProgramIn),
    row(43, "reset", Restart, S::ProgramIn),
    row(44, "kill", Stop, S::ProgramIn),
    row(45, "get_program_invocation_attributes", Read, S::Program),
    row(46, "obtain_file", Files, S::FilesAt(&[1, 2])),
    row(47, "define_event_condition", Configure, S::ObjectAt(0)),
    row(48, "delete_event_condition", Configure, S::ObjectsAt(0)),
    row(49, "get_event_condition_attributes", Read, S::Object),
    row(50, "report_event_condition_status", Read, S::Object),
    row(51, "alter_event_condition_monitoring", Configure, S::ObjectAt(0)),
    row(52, "trigger_event", Control, S::ObjectAt(0)),
    row(53, "define_event_action", Configure, S::ObjectAt(0)),
    row(54, "delete_event_action", Configure, S::ObjectsAt(0)),
    row(55, "get_event_action_attributes", Read, S::Object),
    row(56, "report_event_action_status", Read, S::Object),
    row(57, "define_event_enrollment", Configure, S::ObjectAt(0)),
    row(58, "delete_event_enrollment", Configure, S::ObjectsAt(0)),
    row(59, "alter_event_enrollment", Configure, S::ObjectAt(0)),
    row(60, "report_event_enrollment_status", Read, S::Object),
    row(61, "get_event_enrollment_attributes", Read, S::Nothing),
    row(62, "acknowledge_event_notification", Write, S::ObjectAt(0)),
    row(63, "get_alarm_summary", Read, S::Nothing),
    row(64, "get_alarm_enrollment_summary", Read, S::Nothing),
    row(65, "read_journal", Read, S::ObjectAt(0)),
    row(66, "write_journal", Write, S::ObjectAt(0)),
    row(67, "initialize_journal", Configure, S::ObjectAt(0)),
    row(68, "report_journal_status", Read, S::Object),
    row(69, "create_journal", Configure, S::ObjectAt(0)),
    row(70, "delete_journal", Configure, S::ObjectAt(0)),
    row(71, "get_capability_list", Discover, S::Nothing),
    row(72, "file_open", Files, S::FilesAt(&[0])),
    row(73, "file_read", Files, S::Handle),
    row(74, "file_close", Files, S::Handle),
    row(75, "file_rename", Files, S::FilesAt(&[0, 1])),
    row(76, "file_delete", Files, S::File),
    row(77, "file_directory", Files, S::FilesAt(&[0])),
    row(78, "additional_service", Configure, S::Nothing),
    row(80, "get_data_exchange_attributes", Read, S::Object),
    row(81, "exchange_data", Write, S::ObjectAt(0)),
    row(82, "define_access_control_list", Configure, S::Nothing),
    row(83, "get_access_control_list_attributes", Read, S::Nothing),
    row(84, "report_access_controlled_objects", Read, S::Nothing),
    row(85, "delete_access_control_list", Configure, S::Nothing),
    row(86, "change_access_control", Configure, S::Nothing),
    row(87, "reconfigure_program_invocation", Program, S::Nothing),
];

/// The confirmed services, by the number of their tag.
pub(super) const SERVICES: Names = &{
    let mut names = [(0, ""); TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        names[at] = (TABLE[at].number as u64, TABLE[at].name);
        at += 1;
    }
    names
};

fn find(service: u32) -> Option<&'static Row> {
    static ROWS: [Row; TABLE.len()] = TABLE;
    let at = ROWS.binary_search_by_key(&service, |row| row.number).ok()?;
    ROWS.get(at)
}

/// What a service does to the plant, wherever that does not depend on the object.
pub(super) fn operation(service: u32) -> Option<Operation> {
    find(service).map(|row| row.operation)
}

/// The field with this number of an argument.
pub(super) fn field<'a>(argument: &Element<'a>, number: u32) -> Option<Element<'a>> {
    argument.elements().find(|field| field.tag.is_context(number))
}

/// What is read, and what is written or reported: the specification of the variables.
pub(super) fn access<'a>(service: u32, argument: &Element<'a>) -> Option<Access<'a>> {
    match find(service)?.subject {
        S::Access => Access::read(&field(argument, 1)?.elements().next()?),
        S::Values => Access::read(&argument.elements().next()?),
        _ => None,
    }
}

/// The number of the open file or upload that a request is about.
pub(super) fn handle(service: u32, argument: &Element<'_>) -> Option<i64> {
    matches!(find(service)?.subject, S::Handle).then(|| argument.signed())?
}

/// Hands what a request is about to `out`, in the order of the wire.
pub(super) fn targets<'a>(service: u32, argument: &Element<'a>, out: &mut dyn FnMut(Target<'a>)) {
    let Some(row) = find(service) else { return };
    let mut object = |element: Option<Element<'a>>| {
        if let Some(name) = element.and_then(|element| Name::read(&element)) {
            out(Target::Object(name));
        }
    };
    match row.subject {
        S::Nothing | S::Handle => {}
        S::Object => object(argument.elements().next()),
        S::ObjectAt(number) => object(field(argument, number).and_then(|field| field.elements().next())),
        S::ObjectsAt(number) => {
            field(argument, number)
                .map_or(Elements::new(&[], 0), |list| list.elements())
                .for_each(|name| object(Some(name)));
            if let Some(domain) = field(argument, 2) {
                out(Target::Domain(domain.contents));
            }
        }
        S::Access | S::Values => {
            let Some(access) = access(service, argument) else { return };
            access.variables().for_each(|variable| out(Target::Variable(variable)));
            if let Some(name) = access.list_name() {
                out(Target::Object(name));
            }
        }
        S::Variable => out(Target::Variable(Variable::of(argument.elements().next()))),
        S::Domain => out(Target::Domain(argument.contents)),
        S::DomainAnd(files) => {
            if let Some(domain) = field(argument, 0) {
                out(Target::Domain(domain.contents));
            }
            each_file(argument, files, out);
        }
        S::Program => out(Target::Program(argument.contents)),
        S::ProgramIn => {
            if let Some(program) = field(argument, 0) {
                out(Target::Program(program.contents));
            }
        }
        S::Station => {
            if let Some(station) = field(argument, 0) {
                out(Target::Station(station.contents));
            }
        }
        S::File => out(Target::File(File(argument.contents))),
        S::FilesAt(files) => each_file(argument, files, out),
    }
}

fn each_file<'a>(argument: &Element<'a>, fields: &[u32], out: &mut dyn FnMut(Target<'a>)) {
    for file in fields.iter().filter_map(|&number| field(argument, number)) {
        out(Target::File(File(file.contents)));
    }
}
