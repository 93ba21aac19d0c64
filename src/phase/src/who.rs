//! Who asks, as far as a process can tell: the kernel's word first, claims named as such.

use host::{Root, files};

use crate::Who;

/// No audit id: nobody logged in, as under systemd or cron (linux/audit.h, `AUDIT_UID_UNSET`).
const NOBODY: &str = "4294967295";

impl Who {
    /// Whoever started this process; `tool` is the program.
    pub fn here(tool: impl Into<String>) -> Self {
        let system = Root::system();
        let uid = rustix::process::getuid().as_raw();
        let login = small(&system, "/proc/self/loginuid").map(|id| id.trim().to_owned()).filter(|id| id != NOBODY);
        let passwd = small(&system, "/etc/passwd").unwrap_or_default();
        let tty = ["0", "1", "2"].into_iter().find_map(|fd| {
            let target = std::fs::read_link(system.path(format!("/proc/self/fd/{fd}"))).ok()?;
            let target = target.to_str()?.to_owned();
            (target.starts_with("/dev/pts/") || target.starts_with("/dev/tty")).then_some(target)
        });
        let claim = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
        Self {
            uid,
            user: name_of(&passwd, &uid.to_string()),
            login: login.map(|id| name_of(&passwd, &id).unwrap_or(id)),
            sudo_user: claim.map(|user| user.chars().take(64).collect()),
            tty,
            tool: tool.into(),
        }
    }
}

impl Who {
    /// For people: `root`, `root (logged in as alice)`; what is only claimed is named as such.
    pub fn name(&self) -> String {
        let mut name = self.user.clone().unwrap_or_else(|| format!("uid {}", self.uid));
        if let Some(login) = self.login.as_ref().filter(|login| **login != name) {
            name += &format!(" (logged in as {login})");
        } else if let Some(claimed) = &self.sudo_user {
            name += &format!(" (sudo says {claimed})");
        }
        name
    }
}

/// The name of a user id in passwd(5).
fn name_of(passwd: &str, uid: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// A small file as text; files of /proc say that they are empty.
fn small(root: &Root, path: &str) -> Option<String> {
    let bytes = files::read_plain(&root.path(path), 1 << 20).ok().flatten()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\nbad\n:x:7:\nalice:x:1000:1000::/:/bin/sh\n";
        for (uid, name) in [("0", Some("root")), ("1000", Some("alice")), ("7", None), ("1", None), ("x", None)] {
            assert_eq!(name_of(passwd, uid).as_deref(), name, "{uid}");
        }
    }

    #[test]
    fn we_are_who_we_are() {
        let who = Who::here("test");
        assert_eq!(who.uid, rustix::process::getuid().as_raw());
        assert_eq!(who.tool, "test");
    }
}
