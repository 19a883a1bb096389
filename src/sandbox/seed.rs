//! The demonstration account: for each service what lets every starter policy show itself.
//!
//! Ids are shaped as the service models ask and recognisable; those that begin with `prod` after their prefix
//! stand for ids on a protected list (`ws-prod*`, `wsinst-prod*`, `pp-prod*`, `s-prod*`, `env-prod*`).

use std::collections::BTreeMap;

use super::account::{Account, Region, Tags};
use super::mgn::{Archive, LifeCycle};
use super::sts::GUARD_ARN;
use super::{evs, mgn, servicecatalog, workspace, workspaces, workspaces_instances};

/// The region that the demonstration speaks of; the others hold the same.
pub const REGION: &str = "eu-central-1";

/// How many plain WorkSpaces there are: more than a call may name (25), so that batches can be tried.
pub const PLAIN_WORKSPACES: usize = 40;
/// WorkSpaces with nothing against their deletion: `ws-plain0001` to `ws-plain0040`, AUTO_STOP and STOPPED.
#[must_use]
pub fn plain_workspace(number: usize) -> String {
    format!("ws-plain{number:04}")
}
/// AUTO_STOP and AVAILABLE: can be stopped and rebooted.
pub const WORKSPACE_AVAILABLE: &str = "ws-awake0001";
/// ALWAYS_ON and AVAILABLE: somebody pays for it by the month and may be sitting at it.
pub const WORKSPACE_ALWAYS_ON: &str = "ws-alwayson1";
/// Tagged `protected=true`.
pub const WORKSPACE_PROTECTED: &str = "ws-guarded01";
/// Tagged `environment=production`.
pub const WORKSPACE_PRODUCTION: &str = "ws-live00001";
/// For the protected list.
pub const WORKSPACE_LISTED: &str = "ws-prod00001";
/// SUSPENDED: AWS itself refuses to terminate it.
pub const WORKSPACE_SUSPENDED: &str = "ws-suspended1";
/// AUTO_STOP and UNHEALTHY: can be rebuilt, restored and rebooted.
pub const WORKSPACE_UNHEALTHY: &str = "ws-unhealthy1";
/// The id of no WorkSpace.
pub const WORKSPACE_UNKNOWN: &str = "ws-nowhere01";
/// The directory of all WorkSpaces.
pub const DIRECTORY: &str = "d-9067000001";
/// The bundle of all WorkSpaces.
pub const BUNDLE: &str = "wsb-standard01";

/// Billed by the hour, untagged: `wsinst-hourly001` to `wsinst-hourly010`.
#[must_use]
pub fn hourly_instance(number: usize) -> String {
    format!("wsinst-hourly{number:03}")
}
/// How many of them.
pub const HOURLY_INSTANCES: usize = 10;
/// Billed by the month.
pub const INSTANCE_MONTHLY: &str = "wsinst-monthly01";
/// Without a billing configuration: made before there was one.
pub const INSTANCE_WITHOUT_BILLING: &str = "wsinst-legacy001";
/// Hourly, tagged `protected=true`.
pub const INSTANCE_PROTECTED: &str = "wsinst-guarded01";
/// Hourly, tagged `environment=production`.
pub const INSTANCE_PRODUCTION: &str = "wsinst-live00001";
/// Hourly, for the protected list.
pub const INSTANCE_LISTED: &str = "wsinst-prod00001";
/// Attached to `wsinst-hourly001` as `/dev/sdf`.
pub const VOLUME_ATTACHED: &str = "vol-attached00000001";
/// Attached to nothing.
pub const VOLUME_SPARE: &str = "vol-spare00000000001";

/// Products with nothing against their termination: `pp-plain0000001` …, named `plain-desk-1` ….
#[must_use]
pub fn plain_product(number: usize) -> String {
    format!("pp-plain{number:07}")
}
/// How many of them; more than a page holds (20).
pub const PLAIN_PRODUCTS: usize = 24;
/// Untagged, and the whole of [`PRODUCT_TWIN`]'s id but its last character: a search for it finds both.
pub const PRODUCT_PREFIX: &str = "pp-twin00000001";
/// Its name, which is also the beginning of its twin's.
pub const PRODUCT_PREFIX_NAME: &str = "team-desk";
/// Tagged `protected=true`; its id holds [`PRODUCT_PREFIX`].
pub const PRODUCT_TWIN: &str = "pp-twin000000012";
/// Tagged `protected=true`.
pub const PRODUCT_PROTECTED: &str = "pp-guarded00001";
/// Its name.
pub const PRODUCT_PROTECTED_NAME: &str = "guarded-desk";
/// Tagged `environment=production`.
pub const PRODUCT_PRODUCTION: &str = "pp-live00000001";
/// For the protected list.
pub const PRODUCT_LISTED: &str = "pp-prod00000001";
/// Its name, which is on no list.
pub const PRODUCT_LISTED_NAME: &str = "shared-desk";

/// Servers with a launched instance and nothing against its termination: `s-plain000000000001` ….
#[must_use]
pub fn plain_server(number: usize) -> String {
    format!("s-plain{number:012}")
}
/// How many of them.
pub const PLAIN_SERVERS: usize = 30;
/// Tagged `protected=true`.
pub const SERVER_PROTECTED: &str = "s-guarded0000000001";
/// Tagged `environment=production`.
pub const SERVER_PRODUCTION: &str = "s-live0000000000001";
/// For the protected list.
pub const SERVER_LISTED: &str = "s-prod0000000000001";
/// Archived, with a launched instance, tagged `protected=true`: a lookup that forgets the archived ones misses it.
pub const SERVER_ARCHIVED: &str = "s-archived000000001";
/// Archived, with a launched instance, untagged.
pub const SERVER_ARCHIVED_PLAIN: &str = "s-archived000000002";
/// In TESTING: AWS itself refuses to terminate its instance.
pub const SERVER_TESTING: &str = "s-testing0000000001";
/// In CUTOVER: the same, but it can be archived.
pub const SERVER_CUTOVER: &str = "s-cutover0000000001";
/// Without a launched instance.
pub const SERVER_NOT_LAUNCHED: &str = "s-waiting0000000001";
/// DISCONNECTED: can be archived or deleted.
pub const SERVER_DISCONNECTED: &str = "s-gone0000000000001";

/// Untagged; its connector is [`CONNECTOR_PLAIN`].
pub const ENVIRONMENT_PLAIN: &str = "env-plain00001";
pub const CONNECTOR_PLAIN: &str = "cnctr-plain00001";
/// A second connector of the same environment, with virtual machines of its own.
pub const CONNECTOR_SECOND: &str = "cnctr-plain00002";
/// Tagged `environment=production`.
pub const ENVIRONMENT_PRODUCTION: &str = "env-live000001";
pub const CONNECTOR_PRODUCTION: &str = "cnctr-live000001";
/// Tagged `protected=true`.
pub const ENVIRONMENT_PROTECTED: &str = "env-guarded001";
pub const CONNECTOR_PROTECTED: &str = "cnctr-guarded001";
/// For the protected list.
pub const ENVIRONMENT_LISTED: &str = "env-prod000001";
pub const CONNECTOR_LISTED: &str = "cnctr-prod000001";
/// Each connector has entitlements for `vm-1001` to `vm-1040`.
pub const VIRTUAL_MACHINES: std::ops::RangeInclusive<usize> = 1001..=1040;

impl Account {
    /// The demonstration account.
    #[must_use]
    pub fn demo() -> Self {
        Self::seeded(Region {
            workspaces: workspaces(),
            instances: instances(),
            catalog: catalog(),
            mgn: servers(),
            evs: environments(),
        })
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn protected() -> Tags {
    tags(&[("protected", "true"), ("owner", "platform")])
}

fn production() -> Tags {
    tags(&[("environment", "production"), ("owner", "platform")])
}

fn workspaces() -> workspaces::State {
    use workspace::{Status, Workspace};
    use workspaces::{Directory, State};
    let desk = |number: usize, mode: &str, status: Status, tags: Tags| Workspace {
        directory: DIRECTORY.to_owned(),
        user: format!("user{number}"),
        bundle: BUNDLE.to_owned(),
        name: None,
        properties: workspace::properties(mode),
        status,
        change: None,
        tags,
    };
    let mut state = State::default();
    for number in 1..=PLAIN_WORKSPACES {
        let one = desk(number, "AUTO_STOP", Status::Stopped, Tags::new());
        state.workspaces.insert(plain_workspace(number), one);
    }
    for (at, (id, mode, status, tags)) in [
        (
            WORKSPACE_AVAILABLE,
            "AUTO_STOP",
            Status::Available,
            tags(&[("owner", "finance")]),
        ),
        (
            WORKSPACE_ALWAYS_ON,
            "ALWAYS_ON",
            Status::Available,
            tags(&[("owner", "finance")]),
        ),
        (
            WORKSPACE_PROTECTED,
            "AUTO_STOP",
            Status::Stopped,
            protected(),
        ),
        (
            WORKSPACE_PRODUCTION,
            "AUTO_STOP",
            Status::Stopped,
            production(),
        ),
        (WORKSPACE_LISTED, "AUTO_STOP", Status::Stopped, Tags::new()),
        (
            WORKSPACE_UNHEALTHY,
            "AUTO_STOP",
            Status::Unhealthy,
            Tags::new(),
        ),
        (
            WORKSPACE_SUSPENDED,
            "AUTO_STOP",
            Status::Suspended,
            Tags::new(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let number = PLAIN_WORKSPACES.saturating_add(at).saturating_add(1);
        state
            .workspaces
            .insert(id.to_owned(), desk(number, mode, status, tags));
    }
    state.directories.insert(
        DIRECTORY.to_owned(),
        Directory {
            name: "corp.example.com",
            tags: tags(&[("owner", "platform")]),
        },
    );
    state
        .bundles
        .insert(BUNDLE.to_owned(), "Standard with Windows 11");
    state
}

fn instances() -> workspaces_instances::State {
    use workspaces_instances::{Instance, State, Status, Volume};
    let mut state = State::default();
    let mut add = |id: String, billing_mode: Option<&'static str>, tags: Tags| {
        let number = state.instances.len();
        let instance = Instance {
            billing_mode,
            ec2_id: format!("i-0feed{number:012x}"),
            status: Status::Allocated,
            settles: None,
            client_token: None,
            tags,
        };
        state.instances.insert(id, instance);
    };
    for number in 1..=HOURLY_INSTANCES {
        add(hourly_instance(number), Some("HOURLY"), Tags::new());
    }
    add(INSTANCE_MONTHLY.to_owned(), Some("MONTHLY"), Tags::new());
    add(INSTANCE_WITHOUT_BILLING.to_owned(), None, Tags::new());
    add(INSTANCE_PROTECTED.to_owned(), Some("HOURLY"), protected());
    add(INSTANCE_PRODUCTION.to_owned(), Some("HOURLY"), production());
    add(INSTANCE_LISTED.to_owned(), Some("HOURLY"), Tags::new());
    let attached = Some((hourly_instance(1), "/dev/sdf".to_owned()));
    state
        .volumes
        .insert(VOLUME_ATTACHED.to_owned(), Volume { attached });
    state
        .volumes
        .insert(VOLUME_SPARE.to_owned(), Volume { attached: None });
    state
}

fn catalog() -> servicecatalog::State {
    use servicecatalog::{Product, State, Status};
    let other = "arn:aws:sts::123456789012:assumed-role/developers/alice";
    let mut state = State::default();
    let mut add = |id: String, name: String, user: &str, tags: Tags| {
        let product = Product {
            name,
            status: Status::Available,
            user_arn: user.to_owned(),
            tags,
            terminating: None,
        };
        state.products.insert(id, product);
    };
    for number in 1..=PLAIN_PRODUCTS {
        add(
            plain_product(number),
            format!("plain-desk-{number}"),
            other,
            Tags::new(),
        );
    }
    for (id, name, user, tags) in [
        (PRODUCT_PREFIX, PRODUCT_PREFIX_NAME, GUARD_ARN, Tags::new()),
        (PRODUCT_TWIN, "team-desk-2", other, protected()),
        (
            PRODUCT_PROTECTED,
            PRODUCT_PROTECTED_NAME,
            other,
            protected(),
        ),
        (PRODUCT_PRODUCTION, "live-desk", other, production()),
        (PRODUCT_LISTED, PRODUCT_LISTED_NAME, other, Tags::new()),
    ] {
        add(id.to_owned(), name.to_owned(), user, tags);
    }
    state
}

fn servers() -> mgn::State {
    use mgn::{Server, State};
    let mut state = State::default();
    let mut add =
        |id: String, archive: Archive, life_cycle: LifeCycle, launched: Launched, tags: Tags| {
            let number = state.servers.len();
            let server = Server {
                archive,
                life_cycle,
                launched: match launched {
                    Launched::Yes => Some(format!("i-0cafe{number:012x}")),
                    Launched::No => None,
                },
                tags,
            };
            state.servers.insert(id, server);
        };
    for number in 1..=PLAIN_SERVERS {
        let id = plain_server(number);
        add(
            id,
            Archive::Active,
            LifeCycle::ReadyForCutover,
            Launched::Yes,
            Tags::new(),
        );
    }
    for (id, archive, life_cycle, launched, tags) in [
        (
            SERVER_PROTECTED,
            Archive::Active,
            LifeCycle::ReadyForCutover,
            Launched::Yes,
            protected(),
        ),
        (
            SERVER_PRODUCTION,
            Archive::Active,
            LifeCycle::ReadyForCutover,
            Launched::Yes,
            production(),
        ),
        (
            SERVER_LISTED,
            Archive::Active,
            LifeCycle::ReadyForCutover,
            Launched::Yes,
            Tags::new(),
        ),
        (
            SERVER_ARCHIVED,
            Archive::Archived,
            LifeCycle::Disconnected,
            Launched::Yes,
            protected(),
        ),
        (
            SERVER_ARCHIVED_PLAIN,
            Archive::Archived,
            LifeCycle::Disconnected,
            Launched::Yes,
            Tags::new(),
        ),
        (
            SERVER_TESTING,
            Archive::Active,
            LifeCycle::Testing,
            Launched::Yes,
            Tags::new(),
        ),
        (
            SERVER_CUTOVER,
            Archive::Active,
            LifeCycle::Cutover,
            Launched::Yes,
            Tags::new(),
        ),
        (
            SERVER_NOT_LAUNCHED,
            Archive::Active,
            LifeCycle::ReadyForTest,
            Launched::No,
            Tags::new(),
        ),
        (
            SERVER_DISCONNECTED,
            Archive::Active,
            LifeCycle::Disconnected,
            Launched::No,
            Tags::new(),
        ),
    ] {
        add(id.to_owned(), archive, life_cycle, launched, tags);
    }
    state
}

#[derive(Clone, Copy)]
enum Launched {
    Yes,
    No,
}

fn environments() -> evs::State {
    let mut state = evs::State::default();
    for (id, name, connectors, tags) in [
        (
            ENVIRONMENT_PLAIN,
            "lab",
            &[CONNECTOR_PLAIN, CONNECTOR_SECOND][..],
            Tags::new(),
        ),
        (
            ENVIRONMENT_PRODUCTION,
            "live",
            &[CONNECTOR_PRODUCTION][..],
            production(),
        ),
        (
            ENVIRONMENT_PROTECTED,
            "guarded",
            &[CONNECTOR_PROTECTED][..],
            protected(),
        ),
        (
            ENVIRONMENT_LISTED,
            "shared",
            &[CONNECTOR_LISTED][..],
            Tags::new(),
        ),
    ] {
        let connectors: BTreeMap<_, _> = connectors
            .iter()
            .map(|c| {
                let machines = VIRTUAL_MACHINES.map(|n| format!("vm-{n}")).collect();
                ((*c).to_owned(), machines)
            })
            .collect();
        let environment = evs::Environment {
            name,
            connectors,
            tags,
        };
        state.environments.insert(id.to_owned(), environment);
    }
    state
}
