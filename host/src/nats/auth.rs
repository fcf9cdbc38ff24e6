//! Who we are to the broker: reads the secret files named by `[nats]` and answers the server's nonce. The files are read
//! again at every connect and reconnect, so a rotated secret needs no restart. Secrets never reach a log line.

use async_nats::Auth;
use nkeys::KeyPair;
use std::path::{Path, PathBuf};

/// How the host proves who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// No authentication.
    #[default]
    None,
    /// `credentials-file`: a decorated JWT and its seed.
    CredentialsFile(PathBuf),
    /// `nkey-file`: a file with an nkey seed.
    NkeyFile(PathBuf),
    /// `user` + `password-file`.
    UserPasswordFile {
        /// The user's name.
        user: String,
        /// File with the password.
        file: PathBuf,
    },
    /// `token-file`: a file with a token.
    TokenFile(PathBuf),
}

/// A secret file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It does not hold what it should.
    #[error("{path} does not hold {expected}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
}

impl Credentials {
    /// Reads the files and answers the server's `nonce`.
    pub async fn answer(&self, nonce: &[u8]) -> Result<Auth, CredentialsError> {
        let mut auth = Auth::new();
        match self {
            Self::None => {}
            Self::CredentialsFile(path) => {
                let text = read(path).await?;
                let (jwt, seed) = decorated(&text).ok_or(CredentialsError::Content {
                    path: path.clone(),
                    expected: "a user JWT and an nkey seed between their -----BEGIN and END lines",
                })?;
                auth.signature = Some(sign(path, seed, nonce)?);
                auth.jwt = Some(jwt.to_owned());
            }
            Self::NkeyFile(path) => {
                let text = read(path).await?;
                let seed = text.lines().map(str::trim).find(|line| line.starts_with('S')).unwrap_or_default();
                auth.signature = Some(sign(path, seed, nonce)?);
                auth.nkey = Some(key_pair(path, seed)?.public_key());
            }
            Self::UserPasswordFile { user, file } => {
                auth.username = Some(user.clone());
                auth.password = Some(one_line(file, "a password").await?);
            }
            Self::TokenFile(path) => auth.token = Some(one_line(path, "a token").await?),
        }
        Ok(auth)
    }
}

async fn read(path: &Path) -> Result<String, CredentialsError> {
    tokio::fs::read_to_string(path).await.map_err(|source| CredentialsError::Read { path: path.to_owned(), source })
}

/// The file's text without the line end that editors add.
async fn one_line(path: &Path, expected: &'static str) -> Result<String, CredentialsError> {
    let text = read(path).await?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\r', '\n']) {
        return Err(CredentialsError::Content { path: path.to_owned(), expected });
    }
    Ok(line.to_owned())
}

fn key_pair(path: &Path, seed: &str) -> Result<KeyPair, CredentialsError> {
    KeyPair::from_seed(seed).map_err(|_| CredentialsError::Content { path: path.to_owned(), expected: "a valid nkey seed" })
}

fn sign(path: &Path, seed: &str, nonce: &[u8]) -> Result<Vec<u8>, CredentialsError> {
    key_pair(path, seed)?
        .sign(nonce)
        .map_err(|_| CredentialsError::Content { path: path.to_owned(), expected: "an nkey seed that can sign" })
}

/// JWT and seed of a decorated credentials file: the first line after each of the two `-----BEGIN` lines.
fn decorated(text: &str) -> Option<(&str, &str)> {
    let mut bodies = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .scan(false, |inside, line| {
            let body = std::mem::replace(inside, line.starts_with("---") && line.contains("BEGIN"));
            Some((body, line))
        })
        .filter_map(|(body, line)| body.then_some(line));
    Some((bodies.next()?, bodies.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----\neyJ0eXAi.abc-_\n------END NATS USER JWT------\n\n\
        ************************* IMPORTANT *************************\nNKEY Seed printed below.\n\n\
        -----BEGIN USER NKEY SEED-----\nSUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM\n------END USER NKEY SEED------\n";

    #[test]
    fn a_credentials_file_gives_jwt_and_seed() {
        let (jwt, seed) = decorated(CREDENTIALS).unwrap();
        assert_eq!(jwt, "eyJ0eXAi.abc-_");
        assert!(seed.starts_with("SUAIO3"));
        assert_eq!(decorated("nothing here"), None);
    }

    #[tokio::test]
    async fn files_are_read_again_at_every_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "old\n").unwrap();
        let credentials = Credentials::UserPasswordFile { user: "u".into(), file: path.clone() };
        assert_eq!(credentials.answer(b"").await.unwrap().password.as_deref(), Some("old"));
        std::fs::write(&path, "new\r\n").unwrap();
        assert_eq!(credentials.answer(b"").await.unwrap().password.as_deref(), Some("new"));
    }

    #[tokio::test]
    async fn a_signature_needs_a_real_seed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.creds");
        std::fs::write(&path, CREDENTIALS).unwrap();
        let auth = Credentials::CredentialsFile(path.clone()).answer(b"nonce").await.unwrap();
        assert!(auth.jwt.is_some() && auth.signature.is_some());
        std::fs::write(&path, "SUnot a seed").unwrap();
        let error = Credentials::NkeyFile(path.clone()).answer(b"nonce").await.err().unwrap().to_string();
        assert!(error.contains("user.creds does not hold"), "{error}");
        assert!(Credentials::TokenFile(folder.path().join("none")).answer(b"").await.is_err());
    }
}
