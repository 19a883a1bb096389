//! The operations of one service laid out so that a request finds its own without a look at the others: by name, and by
//! method, path, parameters and headers.
//!
//! INVARIANT: of two routes that fit a request the more specific one is found: literal before label from the left, then
//! more constant parameters, then more of the members that tell it from its neighbours. Two that are as good as each
//! other are never told apart by their order.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use foldhash::{HashMap, HashMapExt as _};
use http::{HeaderMap, HeaderName};

use super::model::{Location, OlderForm, Operation, Protocol, Service, Shape, Signature};
use super::template::{Segment, Template};

/// A service's table of routes, made when it is first asked for. A copy of a service makes its own.
#[derive(Default)]
pub struct Routes(OnceLock<Box<Table>>);

impl Routes {
    /// The table of a service.
    pub(crate) fn of(service: &Service) -> &Table {
        service
            .routes
            .0
            .get_or_init(|| Box::new(Table::of(service)))
    }
}

impl Clone for Routes {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is made of a service doesn't tell it from another.
impl PartialEq for Routes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

/// How a service reads paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paths {
    /// Segment by segment, none of them empty, `.` or `..`.
    Segments,
    /// As they are: the first segment names the bucket, all that follows its slash is the key, whatever it holds.
    Keys,
}

/// One service's operations, laid out.
pub(crate) struct Table {
    operations: HashMap<String, OnceLock<Arc<Operation>>>,
    /// As many as the service has older forms.
    older: Vec<OnceLock<Arc<Operation>>>,
    root: Node,
    pub(crate) paths: Paths,
    /// The parameters that tell routes apart, by their names in lower case.
    markers: HashMap<String, String>,
    header_markers: Vec<HeaderName>,
    /// The headers of members that are spelt with `_`.
    underscored: BTreeSet<String>,
    /// Whether a parameter without a value is how this service names what is asked of a resource.
    flags: bool,
}

/// One way of asking for an operation.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) operation: String,
    /// Where it is one that older SDKs take: which of the service's older forms.
    pub(crate) older: Option<usize>,
    method: String,
    constants: Vec<(String, String)>,
    /// The required parameters and headers that tell this route from others of the same path.
    needs: Vec<String>,
    needs_headers: Vec<HeaderName>,
    parameters: BTreeSet<String>,
    /// Whether a member takes in whatever parameters stand.
    spread: bool,
    headers: BTreeSet<String>,
    deprecated: bool,
    own_host: bool,
}

/// What of a request chooses among the routes of its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// Decoded, in their order.
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
}

/// A route that fits a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'t> {
    pub(crate) route: &'t Route,
    weight: &'t [u8],
}

/// Two operations that a request may be as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash(pub(crate) String, pub(crate) String);

/// What in a request says something else than the route that it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stray {
    /// A parameter or header that makes a request another operation than this one.
    Other(String),
    /// A parameter that this operation is told by, without a value.
    Empty(String),
    /// One that stands twice.
    Twice(String),
    /// A parameter without a value that the catalog doesn't know: what a new operation would be told by.
    Unknown(String),
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    label: Option<Box<Node>>,
    /// By what follows the greedy label, the most specific first.
    greedy: Vec<(Vec<Segment>, Leaf)>,
    leaf: Leaf,
}

#[derive(Debug, Default)]
struct Leaf {
    weight: Vec<u8>,
    routes: Vec<Route>,
}

impl Table {
    fn of(service: &Service) -> Self {
        // Another service's calls are that one's, which is a candidate wherever this one is.
        let own = || service.operations.values().filter(|o| o.alias.is_none());
        let mut table = Self {
            operations: own()
                .map(|operation| (operation.name.clone(), OnceLock::new()))
                .collect(),
            older: service.older.iter().map(|_| OnceLock::new()).collect(),
            root: Node::default(),
            paths: Paths::Segments,
            markers: HashMap::new(),
            header_markers: Vec::new(),
            underscored: BTreeSet::new(),
            flags: false,
        };
        if !service.protocols.iter().any(|p| p.is_rest()) {
            return table;
        }
        for operation in own() {
            table.add(Route::of(service, operation), &operation.uri);
        }
        for (at, form) in service.older.iter().enumerate() {
            if form.protocol.is_rest() {
                let route = Route {
                    older: Some(at),
                    // Where today's model has the same route for something else, that is meant.
                    deprecated: true,
                    ..Route::of(service, &form.operation)
                };
                table.add(route, &form.operation.uri);
            }
        }
        table.root.settle();
        if service.signature == Signature::S3v4 && table.root.label.is_some() {
            table.paths = Paths::Keys;
        }
        let mut headers = BTreeSet::new();
        table.root.each_route(&mut |route| {
            for name in route.constants.iter().map(|(n, _)| n).chain(&route.needs) {
                table
                    .markers
                    .insert(name.to_ascii_lowercase(), name.clone());
            }
            table.flags |= route.constants.iter().any(|(_, value)| value.is_empty());
            headers.extend(route.needs_headers.iter().map(ToString::to_string));
            let underscored = route.headers.iter().filter(|h| h.contains('_'));
            table.underscored.extend(underscored.cloned());
        });
        let headers = headers.into_iter();
        table.header_markers = headers.filter_map(|h| h.parse().ok()).collect();
        table
    }

    fn add(&mut self, route: Route, template: &Template) {
        let mut greedy = template.segments().iter().filter(|s| is_greedy(s));
        // Where there are several, none can be told from the next.
        if greedy.next().is_some() && greedy.next().is_some() {
            return;
        }
        let leaf = self.root.leaf(template.segments());
        if leaf.routes.is_empty() {
            leaf.weight = template.segments().iter().map(weight).collect();
        }
        leaf.routes.push(route);
    }

    /// An operation by its name.
    pub(crate) fn operation(&self, service: &Service, name: &str) -> Option<Arc<Operation>> {
        let slot = self.operations.get(name)?;
        if let Some(operation) = slot.get() {
            return Some(Arc::clone(operation));
        }
        let operation = Arc::new(service.operations.get(name)?.clone());
        Some(Arc::clone(slot.get_or_init(|| operation)))
    }

    /// Whether a header that is spelt with `_` is one of the service's members.
    pub(crate) fn has_underscored(&self, header: &str) -> bool {
        self.underscored.contains(header)
    }

    /// An older form of an operation.
    pub(crate) fn older(&self, service: &Service, at: usize) -> Option<Arc<Operation>> {
        let slot = self.older.get(at)?;
        if let Some(operation) = slot.get() {
            return Some(Arc::clone(operation));
        }
        let operation = Arc::new(service.older.get(at)?.operation.clone());
        Some(Arc::clone(slot.get_or_init(|| operation)))
    }

    /// An operation by its name, in the form that requests of that protocol have, for protocols without routes: an older
    /// one where today's model doesn't list the protocol.
    pub(crate) fn form(
        &self,
        service: &Service,
        name: &str,
        protocol: Protocol,
    ) -> Option<Arc<Operation>> {
        let is_it = |form: &OlderForm| form.protocol == protocol && form.operation.name == name;
        match service.older.iter().position(is_it) {
            Some(at) if !protocol.is_rest() => self.older(service, at),
            Some(_) | None => self.operation(service, name),
        }
    }

    /// The route that a path of these segments fits.
    ///
    /// # Errors
    /// [`Clash`] where two fit as well as each other.
    pub(crate) fn find<S: AsRef<str>>(
        &self,
        segments: &[S],
        asked: Asked<'_>,
    ) -> Result<Option<Found<'_>>, Clash> {
        let found = self.root.walk(segments, &mut |leaf| leaf.best(asked));
        found.transpose()
    }

    /// As [`find`](Self::find), for a path below a first segment that stands elsewhere and is no literal.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(crate) fn find_below<S: AsRef<str>>(
        &self,
        segments: &[S],
        asked: Asked<'_>,
    ) -> Result<Option<Found<'_>>, Clash> {
        let Some(node) = &self.root.label else {
            return Ok(None);
        };
        let found = node.walk(segments, &mut |leaf| leaf.best(asked));
        found.transpose()
    }

    /// What in a request makes it another operation than the one that it fits; `None` where nothing does.
    pub(crate) fn stray(&self, route: &Route, asked: Asked<'_>) -> Option<Stray> {
        let twice = |name: &str| asked.query.iter().filter(|(n, _)| n == name).count() > 1;
        let told_by = route.constants.iter().map(|(n, _)| n).chain(&route.needs);
        if let Some(name) = told_by.into_iter().find(|n| twice(n)) {
            return Some(Stray::Twice(name.clone()));
        }
        let value = |name: &String| asked.query.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        if let Some(name) = route
            .needs
            .iter()
            .find(|n| value(n).is_none_or(String::is_empty))
        {
            return Some(Stray::Empty(name.clone()));
        }
        if let Some(name) = route
            .needs_headers
            .iter()
            .find(|n| asked.headers.get(*n).is_none_or(|v| v.is_empty()))
        {
            return Some(Stray::Empty(name.to_string()));
        }
        let other = |name: &HeaderName| {
            asked.headers.contains_key(name) && !route.headers.contains(name.as_str())
        };
        if let Some(name) = self.header_markers.iter().find(|n| other(n)) {
            return Some(Stray::Other(name.to_string()));
        }
        let stray = |(name, value): &(String, String)| self.stray_parameter(route, name, value);
        asked.query.iter().find_map(stray)
    }

    fn stray_parameter(&self, route: &Route, name: &str, value: &str) -> Option<Stray> {
        // A service that takes parameters for headers would read the header that they spell.
        if self
            .header_markers
            .iter()
            .any(|h| name.eq_ignore_ascii_case(h.as_str()))
        {
            return Some(Stray::Other(name.to_owned()));
        }
        if self.markers.is_empty() || route.knows(name) {
            return None;
        }
        if self.markers.contains_key(&name.to_ascii_lowercase()) {
            return Some(Stray::Other(name.to_owned()));
        }
        let signs = name
            .get(..6)
            .is_some_and(|n| n.eq_ignore_ascii_case("x-amz-"));
        let unknown = self.flags && value.is_empty() && !route.spread && !signs && name != X_ID;
        unknown.then(|| Stray::Unknown(name.to_owned()))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

/// What botocore and the JavaScript SDK add to tell operations apart; AWS ignores it.
pub(crate) const X_ID: &str = "x-id";

impl Route {
    fn of(service: &Service, operation: &Operation) -> Self {
        let mut route = Self {
            operation: operation.name.clone(),
            older: None,
            method: operation.method.clone(),
            constants: operation.uri.query().to_vec(),
            needs: Vec::new(),
            needs_headers: Vec::new(),
            parameters: BTreeSet::new(),
            spread: false,
            headers: BTreeSet::new(),
            deprecated: operation.deprecated,
            own_host: operation.own_host,
        };
        for member in service
            .input(operation)
            .into_iter()
            .flat_map(|s| &s.members)
        {
            let name = member.wire_name();
            match member.location {
                Location::Query
                    if matches!(service.shape(member.shape), Some(Shape::Map { .. })) =>
                {
                    route.spread = true;
                }
                Location::Query => {
                    route.parameters.insert(name.to_owned());
                    route.needs.extend(member.required.then(|| name.to_owned()));
                }
                Location::Header => {
                    route.headers.insert(name.to_ascii_lowercase());
                    let needed = member.required.then(|| name.parse().ok()).flatten();
                    route.needs_headers.extend(needed);
                }
                Location::Body | Location::Label | Location::Headers | Location::Status => {}
            }
        }
        route
    }

    fn fits(&self, asked: Asked<'_>) -> bool {
        self.method == asked.method
            && (self.constants.iter())
                .all(|(n, v)| asked.query.iter().any(|(a, b)| a == n && b == v))
            && (self.needs.iter()).all(|name| asked.query.iter().any(|(n, _)| n == name))
            && (self.needs_headers.iter()).all(|name| asked.headers.contains_key(name))
    }

    /// What makes a route a better fit than another of the same path.
    fn rank(&self) -> (usize, usize, bool, bool) {
        (
            self.constants.len(),
            self.needs.len() + self.needs_headers.len(),
            !self.deprecated,
            !self.own_host,
        )
    }

    /// Whether a parameter is one of this operation's.
    fn knows(&self, name: &str) -> bool {
        self.parameters.contains(name) || self.constants.iter().any(|(n, _)| n == name)
    }
}

impl<'t> Found<'t> {
    /// The better of two; `None` where neither is.
    pub(crate) fn better(self, other: Found<'t>) -> Option<Found<'t>> {
        let rank = |found: &Found<'t>| (found.weight, found.route.rank());
        match rank(&self).cmp(&rank(&other)) {
            std::cmp::Ordering::Greater => Some(self),
            std::cmp::Ordering::Less => Some(other),
            std::cmp::Ordering::Equal => None,
        }
    }
}

impl Node {
    fn leaf(&mut self, segments: &[Segment]) -> &mut Leaf {
        let Some((first, rest)) = segments.split_first() else {
            return &mut self.leaf;
        };
        match first {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default().leaf(rest),
            Segment::Label(_) => self.label.get_or_insert_default().leaf(rest),
            Segment::Greedy(_) => {
                let same = |(suffix, _): &(Vec<Segment>, Leaf)| {
                    suffix.len() == rest.len() && suffix.iter().zip(rest).all(|(a, b)| alike(a, b))
                };
                let at = self.greedy.iter().position(same).unwrap_or_else(|| {
                    self.greedy.push((rest.to_vec(), Leaf::default()));
                    self.greedy.len() - 1
                });
                match self.greedy.get_mut(at) {
                    Some((_, leaf)) => leaf,
                    None => &mut self.leaf,
                }
            }
        }
    }

    /// Puts the most specific greedy routes first, and leaves each route those needs by which it differs.
    fn settle(&mut self) {
        self.leaf.settle();
        self.greedy.iter_mut().for_each(|(_, leaf)| leaf.settle());
        self.greedy
            .sort_by(|(_, a), (_, b)| b.weight.cmp(&a.weight));
        self.literals.values_mut().for_each(Node::settle);
        if let Some(node) = &mut self.label {
            node.settle();
        }
    }

    fn each_route(&self, seen: &mut impl FnMut(&Route)) {
        self.leaf.routes.iter().for_each(&mut *seen);
        for (_, leaf) in &self.greedy {
            leaf.routes.iter().for_each(&mut *seen);
        }
        self.literals.values().for_each(|n| n.each_route(seen));
        if let Some(node) = &self.label {
            node.each_route(seen);
        }
    }

    /// The first answer of `pick` for the leaves that a path reaches, the most specific first.
    fn walk<'t, S: AsRef<str>, R>(
        &'t self,
        segments: &[S],
        pick: &mut impl FnMut(&'t Leaf) -> Option<R>,
    ) -> Option<R> {
        let Some((first, rest)) = segments.split_first() else {
            return pick(&self.leaf);
        };
        let first = first.as_ref();
        let by_literal = self.literals.get(first);
        if let Some(found) = by_literal.and_then(|node| node.walk(rest, pick)) {
            return Some(found);
        }
        if first.is_empty() {
            return None;
        }
        if let Some(found) = self.label.as_ref().and_then(|n| n.walk(rest, pick)) {
            return Some(found);
        }
        self.greedy
            .iter()
            .filter(|(suffix, _)| ends_in(segments, suffix))
            .find_map(|(_, leaf)| pick(leaf))
    }
}

/// Whether segments are one or more of a greedy label's own, and then a suffix.
fn ends_in<S: AsRef<str>>(segments: &[S], suffix: &[Segment]) -> bool {
    let own = segments.len().checked_sub(suffix.len());
    let parts = own.and_then(|own| segments.split_at_checked(own));
    let Some((own, rest)) = parts.filter(|(own, _)| !own.is_empty()) else {
        return false;
    };
    own.iter().all(|s| !s.as_ref().is_empty())
        && rest
            .iter()
            .zip(suffix)
            .all(|(part, segment)| match segment {
                Segment::Literal(text) => part.as_ref() == text,
                Segment::Label(_) | Segment::Greedy(_) => !part.as_ref().is_empty(),
            })
}

impl Leaf {
    fn best(&self, asked: Asked<'_>) -> Option<Result<Found<'_>, Clash>> {
        let mut best: Option<&Route> = None;
        let mut rival: Option<&Route> = None;
        for route in self.routes.iter().filter(|r| r.fits(asked)) {
            match best.map(|b| b.rank().cmp(&route.rank())) {
                None | Some(std::cmp::Ordering::Less) => (best, rival) = (Some(route), None),
                Some(std::cmp::Ordering::Equal) => rival = Some(route),
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        let route = best?;
        Some(match rival {
            Some(rival) => Err(Clash(route.operation.clone(), rival.operation.clone())),
            None => Ok(Found {
                route,
                weight: &self.weight,
            }),
        })
    }

    /// Leaves each route those needs by which it differs from others of its method and constants.
    fn settle(&mut self) {
        let kind = |route: &Route| (route.method.clone(), route.constants.clone());
        let mut shared: HashMap<_, (usize, BTreeSet<String>, BTreeSet<String>)> = HashMap::new();
        for route in &self.routes {
            let needs: BTreeSet<String> = route.needs.iter().cloned().collect();
            let headers: BTreeSet<String> = route
                .needs_headers
                .iter()
                .map(ToString::to_string)
                .collect();
            let (count, all, all_headers) = shared
                .entry(kind(route))
                .or_insert_with(|| (0, needs.clone(), headers.clone()));
            *count += 1;
            all.retain(|n| needs.contains(n));
            all_headers.retain(|n| headers.contains(n));
        }
        for route in &mut self.routes {
            let Some((count, all, headers)) = shared.get(&kind(route)) else {
                continue;
            };
            route.needs.retain(|n| *count > 1 && !all.contains(n));
            let differs = |n: &HeaderName| *count > 1 && !headers.contains(n.as_str());
            route.needs_headers.retain(differs);
        }
    }
}

/// How specific a segment is.
const fn weight(segment: &Segment) -> u8 {
    match segment {
        Segment::Literal(_) => 2,
        Segment::Label(_) => 1,
        Segment::Greedy(_) => 0,
    }
}

const fn is_greedy(segment: &Segment) -> bool {
    matches!(segment, Segment::Greedy(_))
}

/// Whether two segments take the same parts of paths.
fn alike(a: &Segment, b: &Segment) -> bool {
    match (a, b) {
        (Segment::Literal(a), Segment::Literal(b)) => a == b,
        (Segment::Label(_), Segment::Label(_)) | (Segment::Greedy(_), Segment::Greedy(_)) => true,
        (Segment::Literal(_) | Segment::Label(_) | Segment::Greedy(_), _) => false,
    }
}
