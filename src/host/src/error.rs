//! One error for the whole house: it names the thing, the place and the way out.

use std::fmt;

/// Result with the house's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What class of failure an [`Error`] is. Each class has the exit code that scripts may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something went wrong (exit code 1).
    Failed,
    /// The call itself makes no sense (exit code 2).
    Usage,
    /// A rule or gate said no (exit code 3).
    Refused,
    /// Not enough evidence to say yes or no (exit code 4).
    Inconclusive,
    /// `/etc/pve` can't be written now, or is locked by another (exit code 5).
    ClusterNotWritable,
    /// A signature, seal or key was refused (exit code 6).
    SignatureRefused,
}

impl Kind {
    /// The process exit code of this class of failure.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::Inconclusive => 4,
            Kind::ClusterNotWritable => 5,
            Kind::SignatureRefused => 6,
        }
    }
}

/// An error that is printed once, by `main`, as a single line.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    io: Option<std::io::ErrorKind>,
    errno: Option<i32>,
}

impl Error {
    /// A plain failure.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Failed, message)
    }

    /// A failure of the given class.
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), io: None, errno: None }
    }

    /// A failed system call: `doing` names action and place, as in `cannot write /etc/x`.
    pub fn io(doing: impl fmt::Display, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        Self {
            kind: Kind::Failed,
            message: format!("{doing}: {}", plain(&error)),
            io: Some(error.kind()),
            errno: error.raw_os_error(),
        }
    }

    /// The class of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The operating system's kind of error, where one was the cause.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        self.io
    }

    /// The raw `errno`, where a system call was the cause.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// The same error as another class.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error with words in front: `what: message`.
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The same error with the way out appended: `message; way`.
    pub fn way_out(mut self, way: impl fmt::Display) -> Self {
        self.message = format!("{}; {way}", self.message);
        self
    }
}

/// `No space left on device` rather than `No space left on device (os error 28)`.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl fmt::Display for Error {
    /// One line: control characters of foreign names are shown escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.message.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Names action and place of a failed system call.
pub trait IoContext<T> {
    /// `doing` is built only on failure and reads like `cannot write /etc/x`.
    fn doing<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> IoContext<T> for std::result::Result<T, E> {
    fn doing<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error::io(doing(), e))
    }
}
