//! `[listener]`: how clients enter. Whatever would be of no effect, or would let nobody in, is refused.

use super::error::ConfigError;
use super::keys::{self, Key};
use super::read::{each, path_of};
use super::section::Section;
use super::value::Folders;
use super::{CallerConfig, ClientCertificates, ListenerConfig, ListenerTls, OwnCertificate};
use crate::aws::host::Host;

/// Reads the table; `is_loopback` is whether `listen` is an address of this machine alone.
pub(super) fn listener(
    settings: &Section,
    folders: Folders<'_>,
    callers: &[CallerConfig],
    is_loopback: bool,
) -> Result<ListenerConfig, ConfigError> {
    let tls = if settings.flag(keys::LISTENER_TLS)?.value {
        Some(ListenerTls {
            certificate: certificate(settings, folders)?,
            clients: clients(settings, folders)?,
        })
    } else {
        without_tls(settings)?;
        None
    };
    proofs_match_callers(settings, tls.as_ref(), callers)?;
    let require_proof = settings.flag(keys::REQUIRE_PROOF)?;
    if require_proof.value && tls.is_none() && !is_loopback {
        return Err(require_proof.invalid(
            "true",
            "nobody can prove anything in the clear, and `listen` is no loopback address",
            "set `listener.tls = true`".to_owned(),
        ));
    }
    Ok(ListenerConfig {
        tls,
        require_proof: require_proof.value,
    })
}

/// In the clear there is nothing else to be said.
fn without_tls(settings: &Section) -> Result<(), ConfigError> {
    for key in [keys::TLS_CERT, keys::TLS_KEY, keys::CLIENT_CA] {
        let text = settings.text(key)?;
        if !text.value.is_empty() {
            return Err(text.invalid(&text.value, NO_TLS, SET_TLS.to_owned()));
        }
    }
    let names = settings.list(keys::LISTENER_NAMES)?;
    if !names.value.is_empty() {
        return Err(names.invalid(&names.value.join(", "), NO_TLS, SET_TLS.to_owned()));
    }
    let auth = settings.text(keys::CLIENT_AUTH)?;
    match client_auth(settings)? {
        Wanted::None => Ok(()),
        Wanted::Optional | Wanted::Required => {
            Err(auth.invalid(&auth.value, NO_TLS, SET_TLS.to_owned()))
        }
    }
}

const NO_TLS: &str = "of no effect without `listener.tls`";
const SET_TLS: &str = "set `listener.tls = true`";

fn certificate(settings: &Section, folders: Folders<'_>) -> Result<OwnCertificate, ConfigError> {
    let names = settings.list(keys::LISTENER_NAMES)?;
    let files = (
        path_of(settings, keys::TLS_CERT, folders)?,
        path_of(settings, keys::TLS_KEY, folders)?,
    );
    let lacks = |key: Key, other: Key| {
        let found = settings.text(key)?;
        let help = format!("name `{}` too", other.path);
        Err(found.invalid(&found.value, "one file without the other", help))
    };
    match files {
        (Some(chain), Some(key)) if names.value.is_empty() => {
            Ok(OwnCertificate::Files { chain, key })
        }
        (Some(_), Some(_)) => Err(names.invalid(
            &names.value.join(", "),
            "these names would be Palisade's own to certify, and `listener.tls_cert` has a certificate",
            "take one of them out".to_owned(),
        )),
        (Some(_), None) => lacks(keys::TLS_CERT, keys::TLS_KEY),
        (None, Some(_)) => lacks(keys::TLS_KEY, keys::TLS_CERT),
        (None, None) if names.value.is_empty() => {
            let found = settings.flag(keys::LISTENER_TLS)?;
            Err(found.invalid(
                "true",
                "there is no certificate to show",
                "name `listener.tls_cert` and `listener.tls_key`, or in `listener.names` the names that clients know this proxy by".to_owned(),
            ))
        }
        (None, None) => each(&names, |text| {
            let host = Host::parse(text).map_err(|e| e.to_string())?;
            if host.ip().is_some() || !host.as_str().contains('.') {
                let problem = "no name that Palisade's authority may certify: it takes DNS names with a dot in them";
                return Err(problem.to_owned());
            }
            Ok(host)
        })
        .map(OwnCertificate::Minted),
    }
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    None,
    Optional,
    Required,
}

fn client_auth(settings: &Section) -> Result<Wanted, ConfigError> {
    let values = [
        ("none", Wanted::None),
        ("optional", Wanted::Optional),
        ("required", Wanted::Required),
    ];
    settings.choice(keys::CLIENT_AUTH, &values, &[])
}

fn clients(settings: &Section, folders: Folders<'_>) -> Result<ClientCertificates, ConfigError> {
    let ca = path_of(settings, keys::CLIENT_CA, folders)?;
    match (client_auth(settings)?, ca) {
        (Wanted::None, None) => Ok(ClientCertificates::None),
        (Wanted::Optional, Some(ca)) => Ok(ClientCertificates::Optional(ca)),
        (Wanted::Required, Some(ca)) => Ok(ClientCertificates::Required(ca)),
        (Wanted::None, Some(_)) => {
            let found = settings.text(keys::CLIENT_CA)?;
            Err(found.invalid(
                &found.value,
                "of no effect while `listener.client_auth` is `none`",
                "set `listener.client_auth` to `optional` or `required`".to_owned(),
            ))
        }
        (Wanted::Optional | Wanted::Required, None) => {
            let found = settings.text(keys::CLIENT_AUTH)?;
            Err(found.invalid(
                &found.value,
                "no authority of client certificates is named",
                "name its PEM file in `listener.client_ca`".to_owned(),
            ))
        }
    }
}

/// Client certificates and the callers that they name need each other.
fn proofs_match_callers(
    settings: &Section,
    tls: Option<&ListenerTls>,
    callers: &[CallerConfig],
) -> Result<(), ConfigError> {
    let named = callers
        .iter()
        .find_map(|caller| caller.certificate.as_ref());
    let asked = match tls.map(|tls| &tls.clients) {
        Some(ClientCertificates::Optional(_) | ClientCertificates::Required(_)) => true,
        Some(ClientCertificates::None) | None => false,
    };
    let found = settings.text(keys::CLIENT_AUTH)?;
    match (asked, named) {
        (true, Some(_)) | (false, None) => Ok(()),
        (true, None) => Err(found.invalid(
            &found.value,
            "no caller has a certificate, so none could be anybody's",
            "give a `[[caller]]` its `certificate = \"URI:…\"`, `\"DNS:…\"` or `\"CN:…\"`"
                .to_owned(),
        )),
        (false, Some(name)) => Err(found.invalid(
            &found.value,
            format!("a `[[caller]]` has the certificate `{name}`, and no client is asked for one"),
            "set it to `optional` or `required`".to_owned(),
        )),
    }
}
