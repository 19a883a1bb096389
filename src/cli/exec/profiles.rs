//! The user's AWS profiles, and the private files that stand in for theirs.
//!
//! INVARIANT: nothing of the user's reaches a private file but names of profiles and settings that are named here: no
//! key, no role, no login, no endpoint, no command.

use std::fmt::Write as _;
use std::path::Path;

use aws_config::profile::{ProfileFileLoadError, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

/// The profiles of the user's AWS files, as AWS's SDK for Rust reads them: those that it can't use aren't among them,
/// since nothing could be signed for them either.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Profiles(ProfileSet);

/// Settings of a profile that say how to call AWS and hold no way to a credential.
const KEPT: [&str; 21] = [
    "region",
    "output",
    "cli_auto_prompt",
    "cli_binary_format",
    "cli_follow_urlparam",
    "cli_history",
    "cli_pager",
    "cli_timestamp_format",
    "defaults_mode",
    "disable_request_compression",
    "duration_seconds",
    "max_attempts",
    "parameter_validation",
    "request_checksum_calculation",
    "request_min_compression_size_bytes",
    "response_checksum_validation",
    "retry_mode",
    "sts_regional_endpoints",
    "tcp_keepalive",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
];

/// The same of the block `s3`.
const KEPT_OF_S3: [&str; 10] = [
    "addressing_style",
    "max_bandwidth",
    "max_concurrent_requests",
    "max_queue_size",
    "multipart_chunksize",
    "multipart_threshold",
    "payload_signing_enabled",
    "us_east_1_regional_endpoint",
    "use_accelerate_endpoint",
    "use_dualstack_endpoint",
];

impl Profiles {
    /// Reads the files that the environment of this process names, or those in the home folder. A file that isn't
    /// there holds no profile.
    ///
    /// # Errors
    /// Where a file isn't written as AWS's are, by line.
    pub(in crate::cli) async fn load() -> Result<Self, ProfileFileLoadError> {
        Self::read(&Env::real(), &Fs::real(), &EnvConfigFiles::default()).await
    }

    async fn read(
        env: &Env,
        fs: &Fs,
        files: &EnvConfigFiles,
    ) -> Result<Self, ProfileFileLoadError> {
        let set = aws_config::profile::load(fs, env, files, None).await?;
        Ok(Self(set))
    }

    /// The profiles of a configuration and a credentials file with those texts.
    #[cfg(test)]
    pub(super) async fn parse(
        config: &str,
        credentials: &str,
    ) -> Result<Self, ProfileFileLoadError> {
        use aws_runtime::env_config::file::EnvConfigFileKind;
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, config)
            .with_contents(EnvConfigFileKind::Credentials, credentials)
            .build();
        Self::read(&Env::from_slice(&[]), &Fs::from_slice(&[]), &files).await
    }

    /// Their names, sorted.
    pub(in crate::cli) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.profiles().collect();
        names.sort_unstable();
        names
    }

    /// Whether there is one of that name.
    pub(in crate::cli) fn has(&self, name: &str) -> bool {
        self.0.get_profile(name).is_some()
    }

    /// A setting of a profile.
    pub(in crate::cli) fn setting(&self, profile: &str, key: &str) -> Option<&str> {
        let value = self.0.get_profile(profile)?.get(key)?;
        (!value.is_empty()).then_some(value)
    }

    /// The configuration file that stands in for the user's: each profile with its harmless settings, and with
    /// credentials from `program credentials --profile NAME`, whatever it had; `more` stands behind that.
    pub(in crate::cli) fn private_config(&self, program: &Path, more: &str) -> String {
        let mut text = String::from(
            "# Written by palisade. It stands in for your own AWS configuration file.\n",
        );
        let program = shell_word(&program.to_string_lossy());
        for name in self.names() {
            let header = if name == "default" {
                "default".to_owned()
            } else {
                format!("profile {name}")
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n[{header}]");
            let _ = writeln!(
                text,
                "credential_process = {program} credentials --profile {name}{more}"
            );
            for key in KEPT {
                if let Some(value) = self.setting(name, key).filter(|v| is_plain(v)) {
                    let _ = writeln!(text, "{key} = {value}");
                }
            }
            self.nested(&mut text, name);
        }
        text
    }

    /// The block `s3` of a profile.
    fn nested(&self, text: &mut String, profile: &str) {
        let block = self.setting(profile, "s3").unwrap_or_default();
        let settings = block.lines().filter_map(|line| line.split_once('='));
        let settings = settings.map(|(key, value)| (key.trim(), value.trim()));
        let kept: Vec<String> = settings
            .filter(|(key, value)| KEPT_OF_S3.contains(key) && is_plain(value))
            .map(|(key, value)| format!("    {key} = {value}\n"))
            .collect();
        if !kept.is_empty() {
            text.push_str("s3 =\n");
            text.extend(kept);
        }
    }
}

/// A word as a shell takes it, quoted only where it must be.
pub(in crate::cli) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@+:,=%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether a value stands on one line as it is: not a block, nothing that a file would end at.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_profile_keeps_its_name_and_settings_and_loses_its_credentials() {
        let config = "\
[default]
region = eu-central-1
output = json
; a comment
[profile role]
role_arn = arn:aws:iam::111122223333:role/SECRET-role
source_profile = keys
external_id = SECRET-external
region = us-east-1 # where it is
cli_pager =
s3 =
    addressing_style = path
    endpoint_url = https://SECRET.example
    max_concurrent_requests = 20
[profile sso]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = SECRET-role
[sso-session corp]
sso_start_url = https://SECRET.awsapps.com/start
[profile process]
credential_process = /bin/SECRET
endpoint_url = http://SECRET
services = local
ca_bundle = /etc/SECRET.pem
[services local]
s3 =
  endpoint_url = http://SECRET
[profile web]
web_identity_token_file = /SECRET
role_arn = arn:SECRET
retry_mode = adaptive
[profile login]
login_session = arn:SECRET
[plugins]
SECRET = 1
";
        let credentials = "\
[keys]
aws_access_key_id = AKIASECRET
aws_secret_access_key = SECRET/secret+secret
aws_session_token = SECRET
region = sa-east-1
[default]
aws_access_key_id = AKIASECRET
aws_secret_access_key = SECRET
[profile odd]
aws_access_key_id = AKIASECRET
";
        let profiles = Profiles::parse(config, credentials).await.unwrap();
        let names = ["default", "keys", "login", "process", "role", "sso", "web"];
        assert_eq!(profiles.names(), names);
        let text = profiles.private_config(Path::new("/opt/palisade/bin/palisade"), "");
        assert_eq!(
            text,
            "\
# Written by palisade. It stands in for your own AWS configuration file.

[default]
credential_process = /opt/palisade/bin/palisade credentials --profile default
region = eu-central-1
output = json

[profile keys]
credential_process = /opt/palisade/bin/palisade credentials --profile keys
region = sa-east-1

[profile login]
credential_process = /opt/palisade/bin/palisade credentials --profile login

[profile process]
credential_process = /opt/palisade/bin/palisade credentials --profile process

[profile role]
credential_process = /opt/palisade/bin/palisade credentials --profile role
region = us-east-1
s3 =
    addressing_style = path
    max_concurrent_requests = 20

[profile sso]
credential_process = /opt/palisade/bin/palisade credentials --profile sso

[profile web]
credential_process = /opt/palisade/bin/palisade credentials --profile web
retry_mode = adaptive
"
        );
        assert!(!text.contains("SECRET"));
    }

    #[tokio::test]
    async fn what_is_written_reads_back_to_the_same_profiles() {
        let config =
            "[profile a]\nregion = eu-west-1\ns3 =\n  max_bandwidth = 5MB/s\n[profile b]\n";
        let first = Profiles::parse(config, "").await.unwrap();
        let text = first.private_config(Path::new("/my tools/it's"), " --config /x");
        let again = Profiles::parse(&text, "").await.unwrap();
        assert_eq!(again.names(), ["a", "b"]);
        assert_eq!(again.setting("a", "region"), Some("eu-west-1"));
        assert_eq!(
            again.setting("b", "credential_process"),
            Some(r"'/my tools/it'\''s' credentials --profile b --config /x")
        );
    }

    #[tokio::test]
    async fn a_file_that_is_wrong_is_refused_by_line() {
        let error = Profiles::parse("[default]\nregion\n", "")
            .await
            .unwrap_err();
        assert!(format!("{error:?}").contains("2"), "{error:?}");
        let none = Profiles::parse("", "").await.unwrap();
        assert!(none.names().is_empty() && !none.has("default"));
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_part_them() {
        let check = |text: &str, expected: &str| assert_eq!(shell_word(text), expected);
        check("/usr/bin/palisade", "/usr/bin/palisade");
        check("/My Tools/palisade", "'/My Tools/palisade'");
        check("it's", r"'it'\''s'");
        check("$(x)", "'$(x)'");
        check("", "''");
    }
}
