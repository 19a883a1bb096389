//! Listening sockets that a service manager opened and hands over (`sd_listen_fds(3)`): they stay open while one guard
//! ends and the next begins, so that a restart refuses nobody.
//!
//! INVARIANT: a socket is served only where the configuration says that the guard listens: whatever was checked about
//! `listen` and `admin` is true of it.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

/// What is handed over at most: the proxy port and the admin port.
const SOCKETS_MAX: usize = 2;

/// Sockets that were handed over, before anybody said what they are for.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    /// `FileDescriptorName=` of the socket unit; its own name where none is set.
    name: String,
    listener: TcpListener,
}

/// The sockets of a guard, where they were handed over.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub(super) proxy: Option<TcpListener>,
    pub(super) admin: Option<TcpListener>,
}

/// Why sockets that were handed over can't be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    #[error("`{variable}={value}` is not what a service manager sets: {why}")]
    Environment {
        variable: &'static str,
        value: String,
        why: &'static str,
    },
    #[error(
        "the service manager hands over {0} sockets: name the proxy port and the admin port alone in its socket unit"
    )]
    TooMany(usize),
    #[error(
        "the service manager hands over `{name}`, which isn't a listening TCP socket: {error}; its socket unit takes ListenStream= with an address and a port, and no Accept="
    )]
    NotListening { name: String, error: io::Error },
    #[error(
        "the service manager hands over `{name}`, which listens on `{found}`, and neither `listen` nor `admin` does: set both alike, there and here"
    )]
    Unknown { name: String, found: SocketAddr },
    #[error(
        "the service manager hands over a socket for `{key}` that listens on `{found}`, and `{key} = \"{configured}\"`: set both alike"
    )]
    Elsewhere {
        key: &'static str,
        found: SocketAddr,
        configured: SocketAddr,
    },
    #[error("the service manager hands over two sockets for `{0}`: leave one")]
    Twice(&'static str),
}

impl Sockets {
    /// Takes what this process was handed, and takes it out of the environment. Called while the process has one thread.
    ///
    /// # Errors
    /// [`SocketsError`]: something was handed over that can't be served.
    pub fn take() -> Result<Self, SocketsError> {
        let variable = |name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        let names = names(
            variable("LISTEN_PID").as_deref(),
            variable("LISTEN_FDS").as_deref(),
            variable("LISTEN_FDNAMES").as_deref(),
            std::process::id(),
        )?;
        if names.is_empty() {
            return Ok(Self::default());
        }
        let mut handed = ListenFd::from_env();
        let sockets = names.into_iter().enumerate().map(|(index, name)| {
            match listening(handed.take_tcp_listener(index)) {
                Ok(listener) => Ok(Socket { name, listener }),
                Err(error) => Err(SocketsError::NotListening { name, error }),
            }
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// Whether nothing was handed over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says which is which: by the names `proxy` and `admin`, and those named otherwise by where they listen.
    pub(super) fn assign(
        self,
        listen: SocketAddr,
        admin: SocketAddr,
    ) -> Result<Assigned, SocketsError> {
        let mut assigned = Assigned::default();
        for Socket { name, listener } in self.0 {
            let found = listener
                .local_addr()
                .map_err(|error| SocketsError::NotListening {
                    name: name.clone(),
                    error,
                })?;
            let (key, configured, slot) = match name.as_str() {
                "proxy" => ("listen", listen, &mut assigned.proxy),
                "admin" => ("admin", admin, &mut assigned.admin),
                _ if is_there(found, listen) => ("listen", listen, &mut assigned.proxy),
                _ if is_there(found, admin) => ("admin", admin, &mut assigned.admin),
                _ => return Err(SocketsError::Unknown { name, found }),
            };
            if !is_there(found, configured) {
                return Err(SocketsError::Elsewhere {
                    key,
                    found,
                    configured,
                });
            }
            if slot.replace(listener).is_some() {
                return Err(SocketsError::Twice(key));
            }
        }
        Ok(assigned)
    }
}

/// The names of the sockets that the environment says were handed to the process `own`, in their order.
fn names(
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
    own: u32,
) -> Result<Vec<String>, SocketsError> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Ok(Vec::new());
    };
    // What was meant for another process is no business of ours, whatever it is.
    if pid.parse() != Ok(own) {
        return Ok(Vec::new());
    }
    let wrong = |variable, value: &str, why| SocketsError::Environment {
        variable,
        value: value.to_owned(),
        why,
    };
    let count: usize = count
        .parse()
        .map_err(|_| wrong("LISTEN_FDS", count, "not a number of sockets"))?;
    if count > SOCKETS_MAX {
        return Err(SocketsError::TooMany(count));
    }
    let Some(text) = names.filter(|_| count > 0) else {
        return Ok(vec!["unknown".to_owned(); count]);
    };
    let names: Vec<String> = text.split(':').map(str::to_owned).collect();
    if names.len() != count {
        return Err(wrong("LISTEN_FDNAMES", text, "not a name for each socket"));
    }
    Ok(names)
}

/// A socket that accepts connections, ready for an event loop.
fn listening(taken: io::Result<Option<TcpListener>>) -> io::Result<TcpListener> {
    let gone = || io::Error::other("there is no such descriptor");
    let listener = taken?.ok_or_else(gone)?;
    if !rustix::net::sockopt::socket_acceptconn(&listener)? {
        return Err(io::Error::other("it doesn't listen"));
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether that is where the configuration says; its port 0 is any port.
fn is_there(found: SocketAddr, configured: SocketAddr) -> bool {
    found.ip() == configured.ip() && (configured.port() == 0 || found.port() == configured.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(count: &str, text: Option<&str>) -> Result<Vec<String>, String> {
        names(Some("7"), Some(count), text, 7).map_err(|e| e.to_string())
    }

    #[test]
    fn names_stand_in_the_order_of_the_sockets() {
        assert_eq!(read("2", Some("admin:proxy")).unwrap(), ["admin", "proxy"]);
        assert_eq!(read("2", None).unwrap(), ["unknown", "unknown"]);
        assert_eq!(read("1", Some("")).unwrap(), [""]);
        assert!(read("0", Some("")).unwrap().is_empty());
    }

    #[test]
    fn what_was_handed_to_another_process_is_not_taken() {
        let none = |pid, count| names(pid, count, None, 7).unwrap().is_empty();
        assert!(none(None, None));
        assert!(none(None, Some("1")));
        assert!(none(Some("7"), None));
        assert!(none(Some("8"), Some("1")));
        assert!(none(Some("x"), Some("1")));
        assert!(none(Some("8"), Some("many")));
    }

    #[test]
    fn an_environment_that_contradicts_itself_is_refused() {
        assert_eq!(
            read("many", None).unwrap_err(),
            "`LISTEN_FDS=many` is not what a service manager sets: not a number of sockets"
        );
        assert_eq!(
            read("2", Some("proxy")).unwrap_err(),
            "`LISTEN_FDNAMES=proxy` is not what a service manager sets: not a name for each socket"
        );
        assert!(read("-1", None).is_err());
        let error = read("4000000000", None).unwrap_err();
        assert!(error.contains("hands over 4000000000 sockets"), "{error}");
    }

    fn socket(name: &str) -> (Socket, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let name = name.to_owned();
        (Socket { name, listener }, at)
    }

    #[test]
    fn each_socket_is_known_by_its_name_or_by_where_it_listens() {
        for names in [["proxy", "admin"], ["palisade.socket", "palisade.socket"]] {
            for turned in [false, true] {
                let ((proxy, listen), (admin, at)) = (socket(names[0]), socket(names[1]));
                let mut sockets = vec![proxy, admin];
                if turned {
                    sockets.reverse();
                }
                let assigned = Sockets(sockets).assign(listen, at).unwrap();
                assert_eq!(assigned.proxy.unwrap().local_addr().unwrap(), listen);
                assert_eq!(assigned.admin.unwrap().local_addr().unwrap(), at);
            }
        }
    }

    #[test]
    fn a_socket_elsewhere_than_configured_is_refused() {
        let other = SocketAddr::from(([127, 0, 0, 2], 0));
        let check = |name: &str, listen: SocketAddr, admin: SocketAddr| {
            let sockets = Sockets(vec![socket(name).0]);
            sockets.assign(listen, admin).unwrap_err()
        };
        let error = check("proxy", other, other);
        assert!(
            matches!(error, SocketsError::Elsewhere { key: "listen", .. }),
            "{error}"
        );
        let error = check("palisade.socket", other, other);
        assert!(matches!(error, SocketsError::Unknown { .. }), "{error}");
    }

    #[test]
    fn two_sockets_for_one_port_are_refused() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let sockets = Sockets(vec![socket("proxy").0, socket("proxy").0]);
        let error = sockets.assign(any, any).unwrap_err();
        assert!(matches!(error, SocketsError::Twice("listen")), "{error}");
    }

    #[test]
    fn a_connection_is_no_listening_socket() {
        let (socket, at) = socket("proxy");
        let connected = std::net::TcpStream::connect(at).unwrap();
        let descriptor = std::os::fd::OwnedFd::from(connected);
        let error = listening(Ok(Some(TcpListener::from(descriptor)))).unwrap_err();
        assert_eq!(error.to_string(), "it doesn't listen");
        listening(Ok(Some(socket.listener))).unwrap();
    }
}
