//! Where the packets of a flow go among the rules: addresses, ports, protocols and direction choose the same sieves and
//! leave the same rules without a pattern for all those of a direction. Looking these up costs more than a short payload
//! does, so the flow keeps the number of what was found. Flows that go the same way share it, so what is looked up stays
//! near the processor however many flows there are.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use vigia_parsers::{Direction, Protocol};

use super::column::address;
use super::group::{Group, Path};
use super::line::{Kind, Line};
use super::{Engine, Moment};

/// What a flow keeps of the way that its packets go among the rules. Of use only to the [`Scratch`] that wrote it: to all
/// others, and after other rules came, it says nothing, and is written anew.
///
/// [`Scratch`]: super::Scratch
#[derive(Debug, Default)]
pub struct Route(Cell<u32>);

/// The bits of a route that are the number of its way; 0 for none.
const NUMBER: u32 = (1 << 30) - 1;

/// The bit of a route that says that rules were shown a packet of this direction.
#[inline]
fn passed(direction: Direction) -> u32 {
    (NUMBER + 1) << direction.index()
}

impl Route {
    #[inline]
    fn number(&self) -> u32 {
        self.0.get() & NUMBER
    }

    /// The flow's ends have changed places: its way is another.
    pub fn forget(&self) {
        self.0.set(0);
    }

    /// Have the rules been shown a packet of this direction before, on the way that it goes now? They have then.
    #[inline]
    pub(super) fn pass(&self, direction: Direction) -> bool {
        let before = self.has_passed(direction);
        self.0.set(self.0.get() | passed(direction));
        before
    }

    #[inline]
    fn has_passed(&self, direction: Direction) -> bool {
        self.0.get() & passed(direction) != 0
    }
}

/// The groups that are gone to on a way.
const GROUPS: usize = 4;

/// Numbers of the groups that are [on the way](Engine::on_the_way).
pub(super) const PACKETS: usize = 0;
pub(super) const STREAMS: usize = 1;
pub(super) const TURNS: usize = 2;
pub(super) const FLOWS: usize = 3;

impl Engine {
    /// The groups whose rules are chosen by the way of a flow, by their numbers.
    fn on_the_way(&self) -> [&Group; GROUPS] {
        [&self.packets, &self.streams, &self.turns, &self.flows]
    }
}

/// Ways known at a time; one more begins the table anew.
const WAYS: u32 = 4096;

/// Tables begun. Each has numbers of its own, which so tell whose they are; they come again after a quarter of a million.
static TABLES: AtomicU32 = AtomicU32::new(0);

/// What the rules on a way tell apart of a flow's ends: most addresses and ports are the same to all of them.
#[derive(Default)]
pub(super) struct Classes {
    addresses: Line,
    ports: Line,
}

/// All that decides a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ends {
    protocol: u64,
    /// Class of the address and of the port, the client's first.
    ends: [[u32; 2]; 2],
    ip_protocol: u8,
    directed: bool,
}

impl Classes {
    pub(super) fn new(groups: &[&Group]) -> Self {
        let union = |kind: Kind| {
            let columns = groups.iter().flat_map(|group| group.columns()).filter(|column| column.kind() == kind);
            Line::union(kind, &columns.map(|column| column.line()).collect::<Vec<_>>())
        };
        Self { addresses: union(Kind::Address), ports: union(Kind::Port) }
    }

    fn of(&self, moment: &Moment<'_>) -> Ends {
        let class = |end: (_, u16)| [self.addresses.at(address(end.0)), self.ports.at(end.1.into())];
        Ends {
            protocol: protocol(moment.protocol),
            ends: client_first(moment).map(class),
            ip_protocol: moment.ip_protocol,
            directed: moment.direction.is_some(),
        }
    }
}

/// The ends, from the client's point of view.
fn client_first(moment: &Moment<'_>) -> [(IpAddr, u16); 2] {
    match moment.direction {
        Some(Direction::ToClient) => [moment.destination, moment.source],
        _ => [moment.source, moment.destination],
    }
}

/// The ways that the rules of an engine are gone through.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// The engine that they are of.
    engine: u64,
    /// Number of the first one.
    first: u32,
    /// Each way's words, one after the other: the protocol, then what each group leaves to the server, and to the client.
    words: Vec<u64>,
    known: HashMap<Ends, u32, foldhash::fast::RandomState>,
    /// Where what a group leaves begins among the words of a direction, and their end.
    places: [usize; GROUPS + 1],
    /// How often the table was full and begun anew.
    begun_anew: u64,
}

/// The ways that flows go among the rules ([`Scratch::ways`](super::Scratch::ways)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ways {
    /// Known now.
    pub known: u64,
    /// How often there were too many, so that all were forgotten and are looked up anew. It costs time, and no match.
    pub begun_anew: u64,
}

/// One direction of a way, through all groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'w> {
    words: &'w [u64],
    places: &'w [usize; GROUPS + 1],
}

impl<'w> Way<'w> {
    /// Through the group with this number.
    #[inline]
    pub(super) fn through(&self, number: usize) -> Path<'w> {
        let place = self.places.get(number).zip(self.places.get(number + 1));
        Path::of(place.and_then(|(&from, &to)| self.words.get(from..to)).unwrap_or_default())
    }
}

impl Routes {
    /// The way of what is inspected.
    #[inline]
    pub(super) fn of(&mut self, engine: &Engine, moment: &Moment<'_>) -> Way<'_> {
        if self.engine != engine.stamp || self.first == 0 {
            self.begin(engine);
        }
        let route = moment.route.filter(|_| moment.direction.is_some());
        let known = route.and_then(|route| self.place(route.number()));
        let known = known.filter(|&at| self.words.get(at) == Some(&protocol(moment.protocol)));
        let at = known.unwrap_or_else(|| self.find(engine, moment, route));
        self.way(at, moment.direction.map_or(0, Direction::index))
    }

    /// Is it known that a packet of this flow and direction has none of the rules without a pattern to be asked?
    #[inline]
    pub(super) fn is_bare(&self, engine: &Engine, route: &Route, direction: Direction, protocol: u64) -> bool {
        if self.engine != engine.stamp || !route.has_passed(direction) {
            return false;
        }
        let known = self.place(route.number()).filter(|&at| self.words.get(at) == Some(&protocol));
        known.is_some_and(|at| self.way(at, direction.index()).through(PACKETS).is_bare())
    }

    pub(super) fn ways(&self) -> Ways {
        Ways { known: self.known.len() as u64, begun_anew: self.begun_anew }
    }

    #[inline]
    fn way(&self, at: usize, direction: usize) -> Way<'_> {
        let from = at + 1 + direction * self.places[GROUPS];
        Way { words: self.words.get(from..).unwrap_or_default(), places: &self.places }
    }

    /// Where the words of the way with this number begin, if it is one of these.
    #[inline]
    fn place(&self, number: u32) -> Option<usize> {
        let at = number.wrapping_sub(self.first) as usize * (1 + 2 * self.places[GROUPS]);
        (number >= self.first && at < self.words.len()).then_some(at)
    }

    /// Finds the way of what is inspected, and writes it down on the route of its flow. Gives where its words begin.
    #[cold]
    fn find(&mut self, engine: &Engine, moment: &Moment<'_>, route: Option<&Route>) -> usize {
        let ends = engine.classes.of(moment);
        let number = self.known.get(&ends).copied().unwrap_or_else(|| self.explore(engine, moment, ends));
        if let Some(route) = route {
            // Rules about ends and protocol alone have been shown packets of neither direction: these are others, or the
            // protocol was detected since.
            route.0.set(number);
        }
        self.place(number).unwrap_or_default()
    }

    /// Looks up a way in all groups, and gives it a number.
    fn explore(&mut self, engine: &Engine, moment: &Moment<'_>, ends: Ends) -> u32 {
        if self.known.len() >= WAYS as usize {
            self.begun_anew += 1;
            self.empty();
        }
        let number = self.first + self.known.len() as u32;
        self.known.insert(ends, number);
        self.words.push(ends.protocol);
        let [client, server] = client_first(moment);
        for (direction, source, destination) in
            [(Direction::ToServer, client, server), (Direction::ToClient, server, client)]
        {
            let direction = moment.direction.and(Some(direction));
            let moment = Moment { source, destination, direction, ..*moment };
            engine.on_the_way().iter().for_each(|group| group.path(&moment, &mut self.words));
        }
        number
    }

    /// Begins anew, with ways through the groups of this engine.
    #[cold]
    fn begin(&mut self, engine: &Engine) {
        self.engine = engine.stamp;
        let mut place = 0;
        for (at, width) in self.places.iter_mut().zip(engine.on_the_way().map(Group::width).into_iter().chain([0])) {
            *at = place;
            place += width;
        }
        self.empty();
    }

    fn empty(&mut self) {
        self.first = first_of(TABLES.fetch_add(1, Ordering::Relaxed));
        self.words.clear();
        self.known.clear();
    }
}

/// Number of a table's first way.
fn first_of(table: u32) -> u32 {
    1 + table % (NUMBER / WAYS) * WAYS
}

/// The flow's protocol, told by its place; 0 before it is detected.
pub(super) fn protocol(protocol: Option<&'static Protocol>) -> u64 {
    protocol.map_or(0, |protocol| std::ptr::from_ref(protocol).addr() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_one_table_alone_and_leaves_the_marks_room() {
        assert_eq!(first_of(1) - first_of(0), WAYS);
        let last = NUMBER / WAYS - 1;
        assert!(first_of(last) > first_of(last - 1) && first_of(last) + WAYS <= NUMBER);
        assert_eq!((first_of(0), first_of(last + 1)), (1, 1));
    }

    #[test]
    fn a_route_knows_which_directions_have_been_shown() {
        let route = Route::default();
        assert!(!route.pass(Direction::ToClient));
        assert!(route.pass(Direction::ToClient) && !route.pass(Direction::ToServer));
        assert_eq!(route.number(), 0);
    }
}
