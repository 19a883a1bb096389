//! Makes the seeds that can't be written by hand: `cargo test --test fuzz -- --ignored`.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use palisade::aws::catalog::file;
use palisade::aws::catalog::index::Index;
use palisade::aws::event_stream::{HeaderValue, Message, write_header};
use palisade::guard::keyring::{self, MasterKey, Session};

use crate::harness;

fn write(target: &str, name: &str, data: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    fs::create_dir_all(folder.join(target)).unwrap();
    fs::write(folder.join(target).join(name), data).unwrap();
}

#[test]
#[ignore = "it writes into the corpus"]
fn seeds_of_events() {
    let event = |payload: &[u8]| {
        let mut headers = Vec::new();
        write_header(
            ":event-type",
            HeaderValue::Bytes(b"AudioEvent"),
            &mut headers,
        );
        framed(&headers, payload)
    };
    let (one, two, end) = (event(b"one"), event(&[7; 300]), Vec::new());
    let late = Duration::from_secs(301);
    write("events", "bare", &[event(b"one"), event(b"")].concat());
    write("events", "empty", &framed(b"", b""));
    write("events", "one", &signed(&[&one], harness::now()));
    write(
        "events",
        "ended",
        &signed(&[&one, &two, &end], harness::now()),
    );
    write(
        "events",
        "after-end",
        &signed(&[&end, &one], harness::now()),
    );
    write("events", "late", &signed(&[&one], harness::now() + late));
    write(
        "events",
        "two-in-one",
        &signed(&[&[one.clone(), two].concat()], harness::now()),
    );
    write("events", "no-event", &signed(&[b"text"], harness::now()));
    write(
        "events",
        "broken-off",
        &signed(&[&one, &end], harness::now())[..150],
    );
}

fn signed(events: &[&[u8]], at: SystemTime) -> Vec<u8> {
    let millis = at.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut headers = Vec::new();
    write_header(
        ":date",
        HeaderValue::Timestamp(millis.try_into().unwrap()),
        &mut headers,
    );
    write_header(
        ":chunk-signature",
        HeaderValue::Bytes(&[b'@'; 32]),
        &mut headers,
    );
    let frames = events.iter().map(|event| framed(&headers, event));
    frames.collect::<Vec<_>>().concat()
}

fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    Message { headers, payload }.write(&mut out).unwrap();
    out.to_vec()
}

#[test]
#[ignore = "it writes into the corpus"]
fn seeds_of_keys() {
    let master = MasterKey::new(harness::MASTER);
    let lasting = |name| keyring::issue(&master, name, [1; 5]).access_key_id;
    write("keys", "lasting", lasting("alice").as_bytes());
    write("keys", "of-another", lasting("bob").as_bytes());
    let with_token = format!("{}\nPALISADE.1.AAAA", lasting("alice"));
    write("keys", "lasting-with-token", with_token.as_bytes());
    let session = Session {
        caller: "alice".to_owned(),
        parent: None,
        credentials: None,
        role: None,
        begun: harness::now(),
        expires: harness::now() + Duration::from_secs(3600),
    };
    let key = keyring::begin(&master, &session, [2; 12]).unwrap();
    let (id, token) = (key.access_key_id, key.session_token);
    write("keys", "session", format!("{id}\n{token}").as_bytes());
    write("keys", "session-without-token", id.as_bytes());
    let other = keyring::begin(&master, &session, [3; 12]).unwrap();
    let mixed = format!("{id}\n{}", other.session_token);
    write("keys", "session-of-another", mixed.as_bytes());
}

/// Small services, in several protocols, each with a request.
const SERVICES: [(&str, &str); 5] = [
    (
        "sts",
        "sts POST /\ncontent-type: application/x-www-form-urlencoded\n\n\
         Action=GetCallerIdentity&Version=2011-06-15",
    ),
    (
        "iotsecuretunneling",
        "iotsecuretunneling POST /\ncontent-type: application/x-amz-json-1.1\n\
         x-amz-target: IoTSecuredTunneling.CloseTunnel\n\n\
         {\"tunnelId\":\"t-1\",\"delete\":true}",
    ),
    ("ebs", "ebs DELETE /snapshots/snap-1/blocks/1\n\n"),
    (
        "rds-data",
        "rds-data POST /Execute\ncontent-type: application/json\n\n\
         {\"resourceArn\":\"arn:aws:rds:us-east-1:1:cluster:a\",\
         \"secretArn\":\"arn:b\",\"sql\":\"select 1\"}",
    ),
    (
        "mediastore-data",
        "mediastore-data DELETE /some/path\nhost: data.mediastore.us-east-1.amazonaws.com\n\n",
    ),
];

#[test]
#[ignore = "it writes into the corpus"]
fn seeds_of_catalogs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/catalog.bin");
    let bytes = fs::read(path).unwrap();
    let (index, at) = file::read_index(&bytes).unwrap();
    for (id, request) in SERVICES {
        let Some(entry) = index.services.iter().find(|entry| entry.id == id) else {
            panic!("there is no `{id}`");
        };
        let service = file::read_service(&bytes, at, entry.blob.as_ref().unwrap(), id).unwrap();
        let (whole, outlines) = alone(&index, id, &service);
        let parts = [
            serde_json::to_string(&whole).unwrap(),
            outlines,
            serde_json::to_string(&service).unwrap(),
            request.to_owned(),
        ];
        write("catalog", id, parts.join("\n---\n").as_bytes());
    }
}

/// The index with one service, in two partitions, and the outlines that belong to it.
fn alone(index: &Index, id: &str, service: &palisade::aws::catalog::Service) -> (Index, String) {
    let own = index
        .services
        .iter()
        .position(|entry| entry.id == id)
        .unwrap();
    let mut alone = index.clone();
    alone.older.clear();
    alone.private_link.retain(|of, _| of == id);
    alone.aliases.retain(|of, _| of.starts_with(id));
    alone.services.retain(|entry| entry.id == id);
    alone.services[0].blob = None;
    alone.services[0].outline = None;
    alone.partitions.truncate(2);
    for partition in &mut alone.partitions {
        partition.regions.truncate(2);
    }
    alone.hosts.retain(|_, entries| {
        entries.retain_mut(|entry| {
            entry.partitions.retain(|at| *at < 2);
            entry.services.retain(|at| *at == own);
            entry.services.iter_mut().for_each(|at| *at = 0);
            !entry.services.is_empty() && !entry.partitions.is_empty()
        });
        !entries.is_empty()
    });
    let bytes = file::write(alone.clone(), std::slice::from_ref(service)).unwrap();
    if bytes.len() < 4096 {
        write("catalog", &format!("{id}.bin"), &bytes);
    }
    let (whole, at) = file::read_index(&bytes).unwrap();
    let outlines = file::read_outlines(&bytes, at, &whole.outlines).unwrap();
    alone.services[0].outline = whole.services[0].outline;
    (alone, outlines)
}
