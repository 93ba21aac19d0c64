//! A sealed and signed package of which every part can be spoiled, before or after it is signed.

use openpgp::Cert;
use seal::manifest::{ControlFile, FORMAT, HOOKS, Manifest};
use seal::{tarball, trailer};
use sequoia_openpgp as openpgp;

use crate::bytes::{Ar, ArMember, Tar, dir, file, hard, link, program};
use crate::keys::sign;

/// The time that every member carries.
pub const DATE: u64 = 1_700_000_000;

/// The programs that would run as root, were such a package let in: real ones, so that nothing but the
/// gate stops them, and with a seal's trailer, so that nothing is wrong with them.
pub fn hook() -> Vec<u8> {
    trailer::append(b"#!/bin/sh\nexit 0\n", b"format = 1\n", b"")
}

pub fn payload() -> Tar {
    Tar::of([
        dir("./"),
        dir("./usr/"),
        dir("./usr/bin/"),
        program("./usr/bin/demo", b"#!/bin/sh\necho demo\n"),
        dir("./usr/share/"),
        dir("./usr/share/demo/"),
        file("./usr/share/demo/data", &[b'x'; 1500]),
        hard("./usr/share/demo/same", "./usr/share/demo/data"),
        link("./usr/share/demo/link", "data"),
    ])
}

type Edit<T> = Box<dyn Fn(&mut T)>;
type Pack = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// How a package is made. Whatever is not said is as `debseal seal` and `debseal sign` do it.
pub struct Package {
    pub name: String,
    pub version: String,
    pub control: String,
    pub files: Vec<(String, u32, Vec<u8>)>,
    /// What the manifest lists.
    listed: Tar,
    /// What is there.
    data: Tar,
    manifest: Edit<String>,
    control_tar: Edit<Tar>,
    control_name: String,
    data_name: String,
    pack_control: Pack,
    pack_data: Pack,
    sign_manifest: Option<Pack>,
    sign_file: Option<Pack>,
}

impl Package {
    /// A good one, signed by `key`.
    pub fn new(name: &str, version: &str, key: &Cert) -> Self {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Rig <rig@example.org>\n\
             Description: made for a test\n"
        );
        let (one, two) = (key.clone(), key.clone());
        Self {
            name: name.into(),
            version: version.into(),
            control,
            files: HOOKS.iter().map(|h| ((*h).to_owned(), 0o755, hook())).collect(),
            listed: payload(),
            data: payload(),
            manifest: Box::new(|_| {}),
            control_tar: Box::new(|_| {}),
            control_name: "control.tar".into(),
            data_name: "data.tar".into(),
            pack_control: Box::new(<[u8]>::to_vec),
            pack_data: Box::new(<[u8]>::to_vec),
            sign_manifest: Some(Box::new(move |m| sign(&one, m))),
            sign_file: Some(Box::new(move |m| sign(&two, m))),
        }
    }

    /// Changes the control file; the manifest lists it so.
    pub fn control(mut self, edit: impl Fn(&str) -> String) -> Self {
        self.control = edit(&self.control);
        self
    }

    /// Changes the control files; the manifest lists them so.
    pub fn files(mut self, edit: impl FnOnce(&mut Vec<(String, u32, Vec<u8>)>)) -> Self {
        edit(&mut self.files);
        self
    }

    /// Changes the text of the manifest; it is signed so.
    pub fn manifest(mut self, edit: impl Fn(&mut String) + 'static) -> Self {
        self.manifest = Box::new(edit);
        self
    }

    /// Changes the payload; the manifest lists the one from before.
    pub fn data(mut self, edit: impl FnOnce(&mut Tar)) -> Self {
        edit(&mut self.data);
        self
    }

    /// Changes the control archive once it is complete.
    pub fn control_tar(mut self, edit: impl Fn(&mut Tar) + 'static) -> Self {
        self.control_tar = Box::new(edit);
        self
    }

    /// Stores the payload under this name, packed so.
    pub fn pack_data(mut self, name: &str, pack: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.data_name = name.into();
        self.pack_data = Box::new(pack);
        self
    }

    /// Stores the control archive under this name, packed so.
    pub fn pack_control(mut self, name: &str, pack: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.control_name = name.into();
        self.pack_control = Box::new(pack);
        self
    }

    /// Another signature over the file; the one over the manifest stays.
    pub fn sign_file(mut self, sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.sign_file = Some(Box::new(sign));
        self
    }

    pub fn sign_manifest(mut self, sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.sign_manifest = Some(Box::new(sign));
        self
    }

    /// Both signatures in another way.
    pub fn sign(self, sign: impl Fn(&[u8]) -> Vec<u8> + Clone + 'static) -> Self {
        self.sign_manifest(sign.clone()).sign_file(sign)
    }

    pub fn unsigned(mut self) -> Self {
        (self.sign_manifest, self.sign_file) = (None, None);
        self
    }

    fn manifest_text(&self) -> String {
        let mut control = vec![ControlFile::of("control", 0o644, self.control.as_bytes())];
        control.extend(self.files.iter().map(|(name, mode, bytes)| ControlFile::of(name, *mode, bytes)));
        let manifest = Manifest {
            format: FORMAT,
            package: self.name.clone(),
            version: self.version.clone(),
            architecture: "amd64".into(),
            minimum_version: None,
            source_date: DATE,
            control,
            payload: tarball::payload("data.tar", &mut &self.listed.bytes()[..]).unwrap(),
        };
        let mut text = String::from_utf8(manifest.to_bytes().unwrap()).unwrap();
        (self.manifest)(&mut text);
        text
    }

    /// The archive, complete and signed: what is changed in it now, no key has seen.
    pub fn ar(&self) -> Ar {
        let manifest = self.manifest_text().into_bytes();
        let mut tar = Tar::of([dir("./"), file("./control", self.control.as_bytes())]);
        for (name, mode, bytes) in &self.files {
            tar.push(file(&format!("./{name}"), bytes).mode(*mode));
        }
        tar.push(file("./manifest", &manifest));
        if let Some(sign) = &self.sign_manifest {
            tar.push(file("./manifest-sig", &sign(&manifest)));
        }
        (self.control_tar)(&mut tar);
        let control = (self.pack_control)(&tar.bytes());
        let data = (self.pack_data)(&self.data.bytes());
        let mut members = vec![
            ArMember::new("debian-binary", DATE, b"2.0\n".to_vec()),
            ArMember::new(&self.control_name, DATE, control),
            ArMember::new(&self.data_name, DATE, data),
        ];
        if let Some(sign) = &self.sign_file {
            let content: Vec<u8> = members.iter().flat_map(|m| m.content.clone()).collect();
            members.push(ArMember::new("_gpgorigin", DATE, sign(&content)));
        }
        Ar::of(members)
    }

    pub fn build(&self) -> Vec<u8> {
        self.ar().bytes()
    }

    /// The file after a change that no key has seen.
    pub fn spoiled(&self, edit: impl FnOnce(&mut Ar)) -> Vec<u8> {
        let mut ar = self.ar();
        edit(&mut ar);
        ar.bytes()
    }
}
