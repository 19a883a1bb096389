//! The ports of the configuration: free, or held by a running guard of this very configuration.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::finding::Finding;
use crate::cli::exec::beside::Serving;
use crate::config::Config;

/// The proxy's port and the admin's.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let ports = [
        ("host.listen", "listen", config.listen),
        ("host.admin", "admin", config.admin),
    ];
    let serving = match Serving::find(config) {
        Ok(serving) => serving,
        Err(failure) => {
            let fix = "mend the state folder first";
            let failed = |(check, _, _): (&str, _, _)| Finding::failed(check, &failure, fix);
            return ports.map(failed).into();
        }
    };
    let Some(serving) = serving else {
        return ports
            .map(|(check, key, address)| free(check, key, address))
            .into();
    };
    let (run, [listen, admin]) = (&serving.run, ports);
    vec![
        held(listen, run.listen, run.pid),
        held(admin, run.admin, run.pid),
    ]
}

/// A guard of this configuration runs: does it listen where the configuration says?
fn held(port: (&str, &str, SocketAddr), at: SocketAddr, pid: u32) -> Finding {
    let (check, key, configured) = port;
    let is_same = configured.port() == 0 || configured == at;
    if is_same {
        return Finding::ok(
            check,
            format!("the guard of this configuration, process {pid}, has {at}"),
        );
    }
    Finding::warning(
        check,
        format!(
            "the guard of this configuration, process {pid}, listens at {at}, and `{key}` is `{configured}` by now"
        ),
        "restart the guard: a port isn't changed while it runs",
    )
}

fn free(check: &str, key: &str, address: SocketAddr) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok(check, format!("{address} is free")),
        Err(error) => error,
    };
    let what = format!("`{key} = \"{address}\"` can't be listened on: {error}");
    let fix = if error.kind() == ErrorKind::AddrInUse {
        format!(
            "end the process that has it (`ss -ltnp 'sport = :{}'` names it), or choose another port for `{key}`",
            address.port()
        )
    } else if error.kind() == ErrorKind::PermissionDenied {
        format!("choose a port from 1024 on for `{key}`, or give the guard CAP_NET_BIND_SERVICE")
    } else {
        format!(
            "set `{key}` to an address of this machine, such as `127.0.0.1:{}`",
            address.port()
        )
    };
    Finding::fault(check, what, fix)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_a_fault_until_it_is_let_go() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let taken = free("host.listen", "listen", address);
        assert_eq!(taken.state, State::Fault);
        let fix = taken.fix.unwrap();
        assert!(fix.contains("another port for `listen`"), "{fix}");
        drop(other);
        assert_eq!(free("host.listen", "listen", address).state, State::Ok);
    }

    #[test]
    fn an_address_of_another_machine_is_a_fault() {
        let elsewhere = "192.0.2.1:8080".parse().unwrap();
        let found = free("host.admin", "admin", elsewhere);
        assert_eq!(found.state, State::Fault);
        assert!(found.fix.unwrap().contains("an address of this machine"));
    }

    #[test]
    fn a_guard_that_listens_elsewhere_must_be_restarted() {
        let at: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let port = |text: &str| ("host.listen", "listen", text.parse().unwrap());
        assert_eq!(held(port("127.0.0.1:8080"), at, 7).state, State::Ok);
        assert_eq!(held(port("127.0.0.1:0"), at, 7).state, State::Ok);
        let moved = held(port("127.0.0.1:9090"), at, 7);
        assert_eq!(moved.state, State::Warning);
    }
}
