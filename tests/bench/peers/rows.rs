//! The rows: what is loaded in turn, and how.
//!
//! What each aim compares is said where it's judged: `aims`.

use crate::aims::{self, Judge};
use crate::calls::Call;
use crate::load::Manner;
use crate::palisade::Setup;
use crate::peer::Kind;
use crate::policies::Tenth;

/// Lanes that are compared with each other: they run in turn, round after round.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub lanes: Vec<Lane>,
    /// The lane that the others are shown as multiples of.
    pub beside: &'static str,
    pub judge: Judge,
}

#[derive(Debug)]
pub struct Lane {
    pub label: String,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Calls(Calls),
    /// What the disk gives: records as long as the guard's, that many waiting at a time.
    Disk {
        waiting: usize,
        waits: usize,
    },
}

#[derive(Debug, Clone)]
pub struct Calls {
    pub kind: Kind,
    pub setup: Setup,
    pub call: Call,
    pub connections: usize,
    pub manner: Manner,
    /// Requests that the origin gets for one of these.
    pub upstream: u64,
}

/// A hundred policies, of which ten apply to the guarded call and read nothing that has to be looked up.
pub const HUNDRED: Setup = Setup {
    tenth: Tenth::Caller,
    others: 90,
    fsync: false,
    services: false,
};
const LOOKUP: Setup = Setup {
    tenth: Tenth::Tag,
    ..HUNDRED
};
const FSYNC: Setup = Setup {
    fsync: true,
    ..HUNDRED
};

pub fn all() -> Vec<Row> {
    vec![
        unguarded(),
        guarded(),
        lookup(),
        fsync(),
        latency(),
        anew(),
        http2(),
        policies(),
        services(),
        connections(),
        batch(),
    ]
}

fn unguarded() -> Row {
    let lane = |kind: Kind| calls(kind.name(), kind, HUNDRED, Call::unguarded());
    Row {
        name: "unguarded",
        title: "a read, 16 connections that are kept",
        lanes: Kind::ALL.map(lane).into(),
        beside: "haproxy",
        judge: aims::unguarded,
    }
}

fn guarded() -> Row {
    let lane = |kind: Kind| calls(kind.name(), kind, HUNDRED, Call::guarded(1));
    Row {
        name: "guarded",
        title: "a destroying call that needs no lookup, ten policies of a hundred apply, no fsync, 16 connections",
        lanes: [Kind::Direct, Kind::Haproxy, Kind::Palisade]
            .map(lane)
            .into(),
        beside: "haproxy",
        judge: aims::guarded,
    }
}

fn lookup() -> Row {
    let palisade = |label, setup, call| calls(label, Kind::Palisade, setup, call);
    let mut looked_up = palisade("one lookup", LOOKUP, Call::guarded(1));
    if let Work::Calls(calls) = &mut looked_up.work {
        calls.upstream = 2;
    }
    Row {
        name: "lookup",
        title: "a destroying call for which a tag is looked up, no fsync, 16 connections",
        lanes: vec![
            palisade("unguarded", LOOKUP, Call::unguarded()),
            palisade("guarded", HUNDRED, Call::guarded(1)),
            looked_up,
        ],
        beside: "guarded",
        judge: aims::lookup,
    }
}

fn fsync() -> Row {
    let palisade = |label, setup| calls(label, Kind::Palisade, setup, Call::guarded(1)).at(64);
    Row {
        name: "fsync",
        title: "a destroying call of which the disk has both records before it's answered, 64 connections",
        lanes: vec![
            palisade("no fsync", HUNDRED),
            palisade("fsync", FSYNC),
            Lane {
                label: "disk".to_owned(),
                work: Work::Disk {
                    waiting: 64,
                    waits: 2,
                },
            },
        ],
        beside: "no fsync",
        judge: aims::fsync,
    }
}

fn latency() -> Row {
    let unguarded = |kind: Kind| calls(kind.name(), kind, HUNDRED, Call::unguarded()).at(1);
    let guarded = |label, setup| calls(label, Kind::Palisade, setup, Call::guarded(1)).at(1);
    let mut lanes = vec![
        unguarded(Kind::Direct),
        unguarded(Kind::Haproxy),
        unguarded(Kind::Hudsucker),
        unguarded(Kind::Palisade),
        guarded("guarded", HUNDRED),
        guarded("guarded, fsync", FSYNC),
    ];
    lanes.push(Lane {
        label: "disk".to_owned(),
        work: Work::Disk {
            waiting: 1,
            waits: 1,
        },
    });
    Row {
        name: "latency",
        title: "one call at a time on one connection",
        lanes,
        beside: "direct",
        judge: aims::latency,
    }
}

fn anew() -> Row {
    let lane =
        |kind: Kind| calls(kind.name(), kind, HUNDRED, Call::unguarded()).manner(Manner::Anew);
    Row {
        name: "connections-new",
        title: "a read on a new connection each, 16 at a time: X25519, P-256, no session twice",
        lanes: Kind::ALL.map(lane).into(),
        beside: "haproxy",
        judge: aims::anew,
    }
}

fn http2() -> Row {
    let lane = |kind: Kind| {
        calls(kind.name(), kind, HUNDRED, Call::unguarded())
            .at(4)
            .manner(Manner::Streams(8))
    };
    Row {
        name: "http2",
        title: "a read over HTTP/2, 4 connections with 8 streams each",
        // hudsucker sends what came over HTTP/2 on over HTTP/2 alone, and mitmproxy is slow enough over HTTP/1.1.
        lanes: [Kind::Direct, Kind::Haproxy, Kind::Palisade]
            .map(lane)
            .into(),
        beside: "haproxy",
        judge: aims::none,
    }
}

fn policies() -> Row {
    let lane = |others: usize| {
        let setup = Setup { others, ..HUNDRED };
        let label = format!("{others} other policies");
        calls(&label, Kind::Palisade, setup, Call::guarded(1))
    };
    Row {
        name: "growth-policies",
        title: "a destroying call, ten policies that apply, and others for other actions",
        lanes: [10, 100, 1_000].map(lane).into(),
        beside: "10 other policies",
        judge: aims::flat,
    }
}

fn services() -> Row {
    let lane = |label, services| {
        let setup = Setup {
            services,
            ..HUNDRED
        };
        calls(label, Kind::Palisade, setup, Call::guarded(1))
    };
    Row {
        name: "growth-services",
        title: "a destroying call, before and after calls to thirty other services",
        lanes: vec![lane("1 service", false), lane("31 services", true)],
        beside: "1 service",
        judge: aims::flat,
    }
}

fn connections() -> Row {
    let lane = |label: String, kind: Kind, connections: usize| {
        calls(&label, kind, HUNDRED, Call::guarded(1)).at(connections)
    };
    let guard = |count| lane(format!("{count} connections"), Kind::Palisade, count);
    let relay = |count| lane(format!("haproxy, {count}"), Kind::Haproxy, count);
    // What more connections cost a relay too.
    let lanes = [16, 64, 256, 1_024].map(guard).into_iter();
    let lanes = lanes.chain([16, 1_024].map(relay)).collect();
    Row {
        name: "growth-connections",
        title: "a destroying call on so many connections at a time",
        lanes,
        beside: "16 connections",
        judge: aims::connections,
    }
}

/// How many WorkSpaces one call destroys.
pub const BATCHES: [usize; 4] = [1, 5, 10, 25];

fn batch() -> Row {
    let lane = |count: usize| {
        let label = format!("{count} in a call");
        calls(&label, Kind::Palisade, HUNDRED, Call::guarded(count))
    };
    Row {
        name: "growth-batch",
        title: "a call that destroys so many at once, ten policies apply",
        lanes: BATCHES.map(lane).into(),
        beside: "1 in a call",
        judge: aims::batch,
    }
}

fn calls(label: &str, kind: Kind, setup: Setup, call: Call) -> Lane {
    Lane {
        label: label.to_owned(),
        work: Work::Calls(Calls {
            kind,
            setup,
            call,
            connections: 16,
            manner: Manner::Kept,
            upstream: 1,
        }),
    }
}

impl Lane {
    fn at(mut self, count: usize) -> Self {
        if let Work::Calls(calls) = &mut self.work {
            calls.connections = count;
        }
        self
    }

    fn manner(mut self, manner: Manner) -> Self {
        if let Work::Calls(calls) = &mut self.work {
            calls.manner = manner;
        }
        self
    }
}
