//! Small packages, made by the real `dpkg-deb`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::roots::host_tool;

/// A package file; its temporary directory goes with it.
pub struct Deb {
    path: PathBuf,
    _dir: Option<TempDir>,
}

impl Deb {
    /// A package file that somebody else looks after.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), _dir: None }
    }

    /// A package file in a temporary directory that goes with it.
    pub(crate) fn kept(path: PathBuf, dir: TempDir) -> Self {
        Self { path, _dir: Some(dir) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name without folders.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The same package as another version.
    pub fn as_version(&self, version: &str) -> Deb {
        self.altered(as_version(version))
    }

    /// The package made anew after a change to its unpacked tree, whose control files lie in
    /// `DEBIAN`. Owners become root's. Not compressed: dpkg is run on it, and nobody keeps it.
    pub fn altered(&self, change: impl FnOnce(&Path) -> std::io::Result<()>) -> Deb {
        self.packed(&["-Znone"], change)
    }

    /// As [`Deb::altered`], compressed by xz at a level of dpkg-deb's: what is shipped has `-z6`.
    pub fn altered_at(&self, level: &str, change: impl FnOnce(&Path) -> std::io::Result<()>) -> Deb {
        self.packed(&["-Zxz", level], change)
    }

    fn packed(&self, how: &[&str], change: impl FnOnce(&Path) -> std::io::Result<()>) -> Deb {
        let dir = tempfile::tempdir().expect("the temporary directory is writable");
        let tree = dir.path().join("tree");
        host_tool("dpkg-deb", ["--raw-extract".as_ref(), self.path.as_os_str(), tree.as_os_str()]);
        if let Err(error) = change(&tree) {
            panic!("cannot alter {}: {error}", self.file_name());
        }
        // Given a directory, dpkg-deb chooses the name itself, from the control file.
        let out = dir.path().join("out");
        make_dir(&out).expect("the temporary directory is writable");
        let options = ["--root-owner-group"].iter().chain(how).chain(&["--build"]).map(AsRef::as_ref);
        host_tool("dpkg-deb", options.chain([tree.as_os_str(), out.as_os_str()]));
        // Both trees of a large package, in the memory of many tests at once, would be of no use.
        let _ = fs::remove_dir_all(&tree);
        let made = fs::read_dir(&out).into_iter().flatten().flatten().next();
        let path = made.expect("dpkg-deb made a package").path();
        Deb { path, _dir: Some(dir) }
    }
}

/// The change that makes it another version.
pub(crate) fn as_version(version: &str) -> impl FnOnce(&Path) -> std::io::Result<()> {
    move |tree| {
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control)?;
        let line = |line: &str| match line.starts_with("Version:") {
            true => format!("Version: {version}\n"),
            false => format!("{line}\n"),
        };
        fs::write(&control, text.lines().map(line).collect::<String>())
    }
}

enum Item {
    File { bytes: Vec<u8>, mode: u32 },
    Dir { mode: u32 },
    Link { target: String },
}

/// Describes a package; [`DebBuilder::build`] makes it.
pub struct DebBuilder {
    fields: Vec<(String, String)>,
    control: BTreeMap<String, (Vec<u8>, u32)>,
    payload: BTreeMap<String, Item>,
    compression: String,
}

impl DebBuilder {
    /// An empty package of this name and version for amd64.
    pub fn new(package: &str, version: &str) -> Self {
        let fields = [
            ("Package", package),
            ("Version", version),
            ("Architecture", "amd64"),
            ("Maintainer", "Rig <rig@example.org>"),
            ("Description", "made for a test"),
        ];
        Self {
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            control: BTreeMap::new(),
            payload: BTreeMap::new(),
            compression: "xz".to_owned(),
        }
    }

    /// Sets a field of the control file, as in `.field("Depends", "bash")`.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Ships a file; executable if it lies in a folder for programs.
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let program = path.contains("bin/");
        self.file_with_mode(path, bytes, if program { 0o755 } else { 0o644 })
    }

    /// Ships a file with this mode.
    pub fn file_with_mode(mut self, path: &str, bytes: impl AsRef<[u8]>, mode: u32) -> Self {
        self.payload.insert(path.to_owned(), Item::File { bytes: bytes.as_ref().to_vec(), mode });
        self
    }

    /// Ships a configuration file: dpkg keeps the admin's changes to it.
    pub fn conffile(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let (list, _) = self.control.entry("conffiles".to_owned()).or_insert_with(|| (Vec::new(), 0o644));
        list.extend_from_slice(format!("{path}\n").as_bytes());
        self.file_with_mode(path, bytes, 0o644)
    }

    /// Ships an empty directory with this mode.
    pub fn dir(mut self, path: &str, mode: u32) -> Self {
        self.payload.insert(path.to_owned(), Item::Dir { mode });
        self
    }

    /// Ships a symbolic link.
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.payload.insert(path.to_owned(), Item::Link { target: target.to_owned() });
        self
    }

    /// Adds a maintainer script: `preinst`, `postinst`, `prerm` or `postrm`.
    pub fn script(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.control.insert(name.to_owned(), (bytes.as_ref().to_vec(), 0o755));
        self
    }

    /// Adds any other file to the control archive.
    pub fn control_file(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.control.insert(name.to_owned(), (bytes.as_ref().to_vec(), 0o644));
        self
    }

    /// Compresses both archives with `gzip`, `xz`, `zstd` or `none`.
    pub fn compression(mut self, kind: &str) -> Self {
        self.compression = kind.to_owned();
        self
    }

    /// Makes the package in a temporary directory of its own.
    pub fn build(&self) -> Deb {
        let dir = tempfile::tempdir().expect("the temporary directory is writable");
        let mut deb = self.build_in(dir.path());
        deb._dir = Some(dir);
        deb
    }

    /// Makes `<package>_<version>_<architecture>.deb` in this directory.
    pub fn build_in(&self, dir: &Path) -> Deb {
        let stage = tempfile::tempdir().expect("the temporary directory is writable");
        let root = stage.path().join("root");
        if let Err(error) = self.lay_out(&root) {
            panic!("cannot lay out a package in {}: {error}", root.display());
        }
        let path =
            dir.join(format!("{}_{}_{}.deb", self.get("Package"), self.get("Version"), self.get("Architecture")));
        let options = ["--root-owner-group", "-z1", "--build"].map(Into::into);
        let compression = format!("-Z{}", self.compression).into();
        let paths = [root.into_os_string(), path.clone().into_os_string()];
        host_tool("dpkg-deb", [compression].into_iter().chain(options).chain(paths));
        Deb::at(path)
    }

    fn get(&self, field: &str) -> &str {
        self.fields.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value)
    }

    fn lay_out(&self, root: &Path) -> std::io::Result<()> {
        make_dir(root)?;
        let control = root.join("DEBIAN");
        make_dir(&control)?;
        let text: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        put(&control.join("control"), text.as_bytes(), 0o644)?;
        for (name, (bytes, mode)) in &self.control {
            put(&control.join(name), bytes, *mode)?;
        }
        for (path, item) in &self.payload {
            let at = root.join(path.trim_start_matches('/'));
            let above: Vec<&Path> = at.ancestors().skip(1).take_while(|dir| *dir != root).collect();
            for dir in above.into_iter().rev().filter(|dir| !dir.exists()) {
                make_dir(dir)?;
            }
            match item {
                Item::File { bytes, mode } => put(&at, bytes, *mode)?,
                Item::Link { target } => symlink(target, &at)?,
                Item::Dir { mode } => {
                    make_dir(&at)?;
                    fs::set_permissions(&at, PermissionsExt::from_mode(*mode))?;
                }
            }
        }
        Ok(())
    }
}

/// Modes are set apart from creation, since the tests' umask is not ours to know.
fn make_dir(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, PermissionsExt::from_mode(mode))
}
