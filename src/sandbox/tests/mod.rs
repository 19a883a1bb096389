//! The stand-in's own tests: its account without the wire, and its wire over real TLS.

mod account;
mod evs;
mod mgn;
mod servicecatalog;
mod wire;
mod workspaces;
mod workspaces_instances;

use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::seed::REGION;
use super::{Account, ApiError, SETTLE, Service};

/// An account and a clock that a test turns.
struct Bench {
    account: Account,
    service: Service,
    now: SystemTime,
}

impl Bench {
    fn new(service: Service) -> Self {
        Self {
            account: Account::demo(),
            service,
            now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let input = input.as_object().unwrap().clone();
        self.account
            .call(self.service, REGION, operation, &input, self.now)
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap()
    }

    /// The code of the error.
    fn code(&mut self, operation: &str, input: Value) -> &'static str {
        self.call(operation, input).unwrap_err().code
    }

    fn settle(&mut self) {
        self.now += SETTLE;
    }

    /// Every page of a list, and how many pages there were.
    fn all(
        &mut self,
        operation: &str,
        mut input: Value,
        list: &str,
        tokens: (&str, &str),
    ) -> (Vec<Value>, usize) {
        let (mut items, mut pages) = (Vec::new(), 0);
        loop {
            let answer = self.ok(operation, input.clone());
            items.extend(answer[list].as_array().unwrap().clone());
            pages += 1;
            match answer.get(tokens.1) {
                Some(token) => input[tokens.0] = token.clone(),
                None => return (items, pages),
            }
        }
    }
}

/// The values of one member.
fn column(items: &Value, member: &str) -> Vec<String> {
    let items = items.as_array().unwrap();
    items
        .iter()
        .map(|i| i[member].as_str().unwrap().to_owned())
        .collect()
}

fn ids(member: &str, ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({member: id})).collect()
}
