//! Who asks for a way through the proxy port: by client certificate, by `Proxy-Authorization`, or not at all.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::connect::{Doors, Refused};

/// The longest `Proxy-Authorization` that is read, in bytes: an access key id and its secret take far less.
const AUTHORIZATION_BYTES_MAX: usize = 512;

/// What a client certificate calls its holder; written as in `[[caller]] certificate`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateName {
    /// `URI:spiffe://…`: a URI among its alternative names, letter for letter.
    Uri(String),
    /// `DNS:ci.example.com`: a DNS name among its alternative names, in lower case.
    Dns(String),
    /// `CN:…`: its subject's common name, letter for letter.
    CommonName(String),
}

/// What a client proved at the door.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) certificate: Option<&'a CertificateDer<'static>>,
    pub(super) headers: &'a HeaderMap,
    /// Whether nobody else can read what the client says: over TLS, or on this machine.
    pub(super) is_private: bool,
}

impl CertificateName {
    /// Reads `URI:…`, `DNS:…` or `CN:…`.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let name = name.to_owned();
        match kind {
            "URI" | "DNS" | "CN" if name.trim().is_empty() => Err("it names nothing".to_owned()),
            "URI" => Ok(CertificateName::Uri(name)),
            "DNS" => Ok(CertificateName::Dns(name.to_ascii_lowercase())),
            "CN" => Ok(CertificateName::CommonName(name)),
            _ => Err(
                "not a name of a certificate; write `URI:spiffe://…`, `DNS:…` (alternative names) or `CN:…` (the subject's common name)"
                    .to_owned(),
            ),
        }
    }

    /// Every name that a certificate gives its holder.
    fn all_of(certificate: &CertificateDer<'_>) -> Result<Vec<Self>, String> {
        let unread = |_| "it can't be read".to_owned();
        let (_, x509) =
            X509Certificate::from_der(certificate).map_err(|e| unread(e.to_string()))?;
        let mut names = Vec::new();
        let alternative = x509
            .subject_alternative_name()
            .map_err(|e| unread(e.to_string()))?;
        for name in alternative.iter().flat_map(|a| &a.value.general_names) {
            match name {
                GeneralName::URI(uri) => names.push(CertificateName::Uri((*uri).to_owned())),
                GeneralName::DNSName(name) => {
                    names.push(CertificateName::Dns(name.to_ascii_lowercase()));
                }
                GeneralName::OtherName(..)
                | GeneralName::RFC822Name(_)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::IPAddress(_)
                | GeneralName::RegisteredID(_)
                | GeneralName::Invalid(..) => {}
            }
        }
        for name in x509.subject().iter_common_name() {
            let name = name.as_str().map_err(|e| unread(e.to_string()))?;
            names.push(CertificateName::CommonName(name.to_owned()));
        }
        Ok(names)
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateName::Uri(name) => write!(f, "URI:{name}"),
            CertificateName::Dns(name) => write!(f, "DNS:{name}"),
            CertificateName::CommonName(name) => write!(f, "CN:{name}"),
        }
    }
}

/// The caller that a client proved to be. All that it shows must be right, and say the same.
pub(super) fn prove<G: Doors>(
    guard: &G,
    shown: Shown<'_>,
    is_required: bool,
) -> Result<Option<Arc<str>>, Refused> {
    let by_certificate = match shown.certificate {
        Some(certificate) => Some(by_certificate(guard, certificate)?),
        None => None,
    };
    let by_password = match password(shown.headers)? {
        Some(_) if !shown.is_private => return Err(Refused::PasswordInClear),
        Some((user, password)) => {
            let caller = guard.caller_of_password(&user, &password);
            Some(caller.ok_or(Refused::WrongPassword)?)
        }
        None => None,
    };
    match (by_certificate, by_password) {
        (Some(one), Some(other)) if one != other => Err(Refused::TwoCallers {
            certificate: one,
            password: other,
        }),
        (Some(caller), _) | (None, Some(caller)) => Ok(Some(caller)),
        (None, None) if is_required => Err(Refused::Unproven),
        (None, None) => Ok(None),
    }
}

fn by_certificate<G: Doors>(
    guard: &G,
    certificate: &CertificateDer<'static>,
) -> Result<Arc<str>, Refused> {
    let refused = |why: String| Refused::ClientCertificate { why };
    let names = CertificateName::all_of(certificate).map_err(refused)?;
    let mut callers: Vec<Arc<str>> = names
        .iter()
        .filter_map(|name| guard.caller_of_certificate(name))
        .collect();
    callers.sort();
    callers.dedup();
    match (callers.pop(), callers.pop()) {
        (Some(caller), None) => Ok(caller),
        (Some(one), Some(other)) => Err(refused(format!(
            "its names are those of two callers, `{other}` and `{one}`"
        ))),
        (None, _) => {
            let names: Vec<String> = names.iter().take(4).map(ToString::to_string).collect();
            let names: String = names.join("`, `").escape_debug().take(400).collect();
            Err(refused(format!(
                "no `[[caller]]` has its name as `certificate` (`{names}`)"
            )))
        }
    }
}

/// User and password of `Proxy-Authorization: Basic …` (RFC 7617).
type Password = (String, Zeroizing<String>);

fn password(headers: &HeaderMap) -> Result<Option<Password>, Refused> {
    let mut values = headers.get_all(PROXY_AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => {
            return Err(Refused::Malformed("it has two Proxy-Authorization headers"));
        }
    };
    let read = || {
        let text = value.to_str().ok()?;
        if text.len() > AUTHORIZATION_BYTES_MAX {
            return None;
        }
        let (scheme, token) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(token.trim());
        let pair = Zeroizing::new(String::from_utf8(decoded.ok()?).ok()?);
        let (user, password) = pair.split_once(':')?;
        Some((user.to_owned(), Zeroizing::new(password.to_owned())))
    };
    read().map(Some).ok_or(Refused::WrongPassword)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Doors for Nobody {
        fn door(&self, _: &crate::aws::host::Host, _: u16) -> super::super::connect::Door {
            unreachable!()
        }

        fn entrance(&self) -> Arc<super::super::entrance::Entrance> {
            unreachable!()
        }

        fn caller_of_certificate(&self, _: &CertificateName) -> Option<Arc<str>> {
            None
        }

        fn caller_of_password(&self, user: &str, _: &str) -> Option<Arc<str>> {
            Some(user.into())
        }

        fn dialler(&self) -> super::super::egress::Dialler {
            unreachable!()
        }

        async fn tunnel_opening(&self, _: &super::super::Tunnel) -> Result<(), String> {
            unreachable!()
        }

        fn tunnel_closed(
            &self,
            _: &super::super::Tunnel,
            _: Result<
                (super::super::tunnel::Traffic, super::super::tunnel::Ended),
                &super::super::egress::DialError,
            >,
        ) {
        }

        fn refused(&self, _: std::net::SocketAddr, _: &Refused) {}
    }

    #[test]
    fn a_password_that_others_can_read_is_refused_though_it_is_right() {
        let mut headers = HeaderMap::new();
        headers.insert(PROXY_AUTHORIZATION, "Basic YTpiOmM=".parse().unwrap());
        let check = |is_private| {
            let shown = Shown {
                certificate: None,
                headers: &headers,
                is_private,
            };
            prove(&Nobody, shown, false)
        };
        assert!(matches!(check(false), Err(Refused::PasswordInClear)));
        assert_eq!(check(true).unwrap().as_deref(), Some("a"));
    }

    #[test]
    fn names_of_certificates_are_written_with_their_kind() {
        let check = |text: &str, expected| assert_eq!(CertificateName::parse(text), Ok(expected));
        let spiffe = "spiffe://corp/ci";
        check("URI:spiffe://corp/ci", CertificateName::Uri(spiffe.into()));
        check("DNS:CI.corp", CertificateName::Dns("ci.corp".into()));
        check("CN:Ann B", CertificateName::CommonName("Ann B".into()));
        for bad in ["", "ann", "URI:", "CN: ", "cn:ann", "spiffe://corp/ci"] {
            assert!(CertificateName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_gives_all_its_names() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["CI.corp".to_owned()]).unwrap();
        let uri = rcgen::SanType::URI("spiffe://corp/ci".try_into().unwrap());
        params.subject_alt_names.push(uri);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Ann");
        let certificate = params.self_signed(&key).unwrap();
        let names = CertificateName::all_of(certificate.der()).unwrap();
        let shown: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["DNS:ci.corp", "URI:spiffe://corp/ci", "CN:Ann"]);
        assert!(CertificateName::all_of(&vec![1, 2, 3].into()).is_err());
    }

    #[test]
    fn a_password_is_basic_once_and_short() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PROXY_AUTHORIZATION, value.parse().unwrap());
            }
            password(&headers).map(|p| p.map(|(user, password)| (user, password.to_string())))
        };
        assert!(matches!(read(&[]), Ok(None)));
        // Made with Python's `base64`: `a:b:c`.
        let pair = Some(("a".to_owned(), "b:c".to_owned()));
        assert_eq!(read(&["Basic YTpiOmM="]).unwrap(), pair);
        assert_eq!(read(&["basic YTpiOmM="]).unwrap(), pair);
        let long = format!("Basic {}", "YTpi".repeat(200));
        for bad in ["Bearer x", "Basic", "Basic !", "Basic YWI=", &long] {
            assert!(matches!(read(&[bad]), Err(Refused::WrongPassword)), "{bad}");
        }
        let twice = read(&["Basic YTpiOmM=", "Basic YTpiOmM="]);
        assert!(matches!(twice, Err(Refused::Malformed(_))));
    }
}
