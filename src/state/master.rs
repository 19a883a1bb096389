//! The master key's file: 64 hexadecimal digits and an end of line.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::keys::{Check, fill};
use super::{StateError, private};
use crate::guard::keyring::MasterKey;

/// Makes the file, with a key that is drawn now.
pub(super) fn create(path: &Path) -> Result<(), StateError> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(&mut *bytes)?;
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in bytes.iter() {
        for half in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(half.into(), 16));
        }
    }
    text.push('\n');
    private::create_file(path, text.as_bytes())
}

/// Reads the key, if the file passes the check.
pub(super) fn read(path: &Path, check: Check) -> Result<MasterKey, StateError> {
    let fail = |e: std::io::Error| {
        if e.kind() == ErrorKind::InvalidData {
            return StateError::BadMasterKey(path.to_path_buf());
        }
        StateError::io("read", path, e)
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    check(path, &file.metadata().map_err(fail)?)?;
    let mut text = Zeroizing::new(String::with_capacity(128));
    file.take(128).read_to_string(&mut text).map_err(fail)?;
    let bytes = unhex(text.trim_end_matches('\n'));
    let bytes = bytes.ok_or_else(|| StateError::BadMasterKey(path.to_path_buf()))?;
    Ok(MasterKey::new(*bytes))
}

/// 64 hexadecimal digits as bytes.
fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    let mut digits = text.chars();
    for byte in bytes.iter_mut() {
        let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}
