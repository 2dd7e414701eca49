//! What a client must present: a bearer token, or a name and password.
//!
//! Invariants: only digests of tokens are kept and compared, so comparing tells nothing about a token; a password that
//! costs long to check is checked off the connection's thread, one at a time, and once (a digest of what was found right
//! is remembered until the file changes).
//!
//! A token file holds one token a line; several are for rotation. An htpasswd file holds `name:hash`; of its hashes
//! bcrypt (`$2y$ $2b$ $2a$`, what `htpasswd -B` writes) and `{SHA}` are understood, and a line with any other is an error
//! at load rather than a user who can never log in.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use ring::digest::{Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::reload::{FileError, Reloading, read};
use crate::config;

/// How many right answers are remembered.
const REMEMBERED_MAX: usize = 256;

type Sha256 = [u8; 32];

/// The request carries no credentials, or wrong ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("missing or wrong credentials")]
pub struct Denied;

/// Checks the `Authorization` header of requests.
pub struct Auth {
    credentials: Reloading<Credentials>,
    /// Held while a password is hashed.
    hashing: Arc<tokio::sync::Mutex<()>>,
}

enum Credentials {
    Tokens(HashSet<Sha256>),
    Passwords { users: HashMap<String, Hash>, remembered: Mutex<HashSet<Sha256>> },
}

#[derive(Clone, Debug, PartialEq)]
enum Hash {
    Bcrypt(String),
    /// SHA-1.
    Sha(Vec<u8>),
}

impl Auth {
    /// Reads the file; the error names it and the line that is wrong.
    pub fn load(auth: &config::Auth) -> Result<Self, FileError> {
        let auth = auth.clone();
        let paths: Vec<PathBuf> = vec![auth.file().clone()];
        let load = move || match &auth {
            config::Auth::BearerTokenFile(path) => tokens(path),
            config::Auth::HtpasswdFile(path) => passwords(path),
        };
        let credentials = Reloading::new(paths, load, Instant::now())?;
        Ok(Self { credentials, hashing: Arc::default() })
    }

    /// Whether `headers` carry what is asked for.
    pub async fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let value = headers.get(header::AUTHORIZATION).ok_or(Denied)?.to_str().map_err(|_| Denied)?;
        let (scheme, presented) = value.split_once(' ').ok_or(Denied)?;
        let presented = presented.trim();
        let credentials = self.credentials.get(Instant::now());
        match credentials.as_ref() {
            Credentials::Tokens(tokens) => {
                let known = scheme.eq_ignore_ascii_case("bearer") && tokens.contains(&sha256(presented.as_bytes()));
                known.then_some(()).ok_or(Denied)
            }
            Credentials::Passwords { .. } if scheme.eq_ignore_ascii_case("basic") => {
                self.check_password(Arc::clone(&credentials), presented).await
            }
            Credentials::Passwords { .. } => Err(Denied),
        }
    }

    async fn check_password(&self, credentials: Arc<Credentials>, presented: &str) -> Result<(), Denied> {
        let Credentials::Passwords { users, remembered } = credentials.as_ref() else { return Err(Denied) };
        let fingerprint = sha256(presented.as_bytes());
        let is_remembered = || remembered.lock().unwrap_or_else(PoisonError::into_inner).contains(&fingerprint);
        if is_remembered() {
            return Ok(());
        }
        let decoded = STANDARD.decode(presented).map_err(|_| Denied)?;
        let decoded = String::from_utf8(decoded).map_err(|_| Denied)?;
        let (name, password) = decoded.split_once(':').ok_or(Denied)?;
        let (hash, password) = (users.get(name).ok_or(Denied)?.clone(), password.to_owned());
        let _one_at_a_time = self.hashing.lock().await;
        if !is_remembered() {
            let right = tokio::task::spawn_blocking(move || hash.matches(&password)).await;
            right.unwrap_or(false).then_some(()).ok_or(Denied)?;
            let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() < REMEMBERED_MAX {
                remembered.insert(fingerprint);
            }
        }
        Ok(())
    }
}

impl Hash {
    fn parse(text: &str) -> Option<Self> {
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            return STANDARD.decode(encoded).ok().filter(|sha| sha.len() == 20).map(Self::Sha);
        }
        let is_bcrypt = text.starts_with("$2") && text.parse::<bcrypt::HashParts>().is_ok();
        is_bcrypt.then(|| Self::Bcrypt(text.to_owned()))
    }

    fn matches(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Sha(sha) => {
                let presented: Digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
                sha256(presented.as_ref()) == sha256(sha)
            }
        }
    }
}

fn sha256(data: &[u8]) -> Sha256 {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, data).as_ref());
    out
}

/// The file's lines that are neither empty nor comments, with their numbers.
fn lines(path: &Path) -> Result<Vec<(usize, String)>, FileError> {
    let text = String::from_utf8(read(&path.to_path_buf())?).map_err(|error| FileError::content(path, error))?;
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim().to_owned()));
    let kept: Vec<_> = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    if kept.is_empty() {
        return Err(FileError::content(path, "holds no credentials"));
    }
    Ok(kept)
}

fn tokens(path: &Path) -> Result<Credentials, FileError> {
    let tokens = lines(path)?.into_iter().map(|(_, token)| sha256(token.as_bytes())).collect();
    Ok(Credentials::Tokens(tokens))
}

fn passwords(path: &Path) -> Result<Credentials, FileError> {
    let mut users = HashMap::new();
    for (number, line) in lines(path)? {
        let parsed = line.split_once(':').and_then(|(name, hash)| Some((name.to_owned(), Hash::parse(hash)?)));
        let expected = || format!("line {number}: expected name:hash with a bcrypt or {{SHA}} hash");
        let (name, hash) = parsed.ok_or_else(|| FileError::content(path, expected()))?;
        users.insert(name, hash);
    }
    Ok(Credentials::Passwords { users, remembered: Mutex::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(authorization).unwrap())])
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[tokio::test]
    async fn any_token_of_the_file_is_taken_and_no_other() {
        let file = file("# rotated monthly\nfirst-token\n\nsecond-token\n");
        let auth = Auth::load(&config::Auth::BearerTokenFile(file.path().into())).unwrap();
        assert_eq!(auth.check(&headers("Bearer first-token")).await, Ok(()));
        assert_eq!(auth.check(&headers("bearer second-token")).await, Ok(()));
        for wrong in ["Bearer first", "Bearer # rotated monthly", "Basic first-token", "first-token", "Bearer "] {
            assert_eq!(auth.check(&headers(wrong)).await, Err(Denied), "{wrong}");
        }
        assert_eq!(auth.check(&HeaderMap::new()).await, Err(Denied));
    }

    #[tokio::test]
    async fn passwords_of_both_kinds() {
        let bcrypt = bcrypt::hash("open sesame", 4).unwrap();
        let file = file(&format!("ali:{bcrypt}\nold:{{SHA}}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n"));
        let auth = Auth::load(&config::Auth::HtpasswdFile(file.path().into())).unwrap();
        let basic = |pair: &str| headers(&format!("Basic {}", STANDARD.encode(pair)));
        for _ in 0..2 {
            assert_eq!(auth.check(&basic("ali:open sesame")).await, Ok(()));
            assert_eq!(auth.check(&basic("old:test")).await, Ok(()));
            for wrong in ["ali:open", "old:Test", "nobody:test", "ali"] {
                assert_eq!(auth.check(&basic(wrong)).await, Err(Denied), "{wrong}");
            }
        }
        assert_eq!(auth.check(&headers("Basic !!!")).await, Err(Denied));
    }

    #[test]
    fn a_hash_that_is_not_understood_is_an_error_with_its_line() {
        let file = file("ali:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\nbob:$apr1$salt$hash\n");
        let error = Auth::load(&config::Auth::HtpasswdFile(file.path().into())).err().unwrap().to_string();
        assert!(error.ends_with("line 2: expected name:hash with a bcrypt or {SHA} hash"), "{error}");
        let empty = Auth::load(&config::Auth::BearerTokenFile(super::tests::file("\n#x\n").path().into()));
        assert!(empty.is_err());
    }
}
