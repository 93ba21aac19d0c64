//! `/var/lib/dpkg/diversions` (dpkg-divert(1)): three lines each, the path, where it goes, and the
//! package whose own file is *not* moved (`:` for a diversion by the admin).

use std::collections::HashMap;
use std::path::Path;

use host::{Error, Result};

use super::optional;

#[derive(Debug, Default)]
pub(super) struct Diversions {
    /// Where each path goes, and for whom it does not.
    moved: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
}

impl Diversions {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let bytes = optional(file)?.unwrap_or_default();
        let mut lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let mut moved = HashMap::new();
        while let Some(from) = lines.next() {
            let (Some(to), Some(package)) = (lines.next(), lines.next()) else {
                return Err(Error::new(format!("{} is cut off", file.display())));
            };
            moved.insert(from.to_vec(), (to.to_vec(), package.to_vec()));
        }
        Ok(Self { moved })
    }

    /// Where `package`'s file of this path really lies.
    pub(super) fn place(&self, path: &[u8], package: &str) -> Vec<u8> {
        match self.moved.get(path) {
            Some((to, by)) if by != package.as_bytes() => to.clone(),
            _ => path.to_vec(),
        }
    }
}
