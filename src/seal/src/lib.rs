//! Sealed packages: what they are, and how anyone can tell.
//!
//! A *sealed* package is an ordinary `.deb` whose control archive names every file of the package
//! with its digest, and whose four maintainer scripts are one audited program. A *signed* one
//! carries two signatures of the packager:
//!
//! ```text
//! demo_1.0_amd64.deb
//! ├── debian-binary        "2.0\n"
//! ├── control.tar.xz
//! │   ├── control, md5sums, conffiles …       as they were
//! │   ├── preinst postinst prerm postrm       one ELF, four copies, with a [`trailer`]:
//! │   │                                       the packager's hooks.toml and the keys it trusts
//! │   ├── manifest                            [`manifest`]: every control file, every payload path
//! │   └── manifest-sig                        signature over `manifest`
//! ├── data.tar.*           byte for byte what the packager built
//! └── _gpgorigin           signature over the three members above, as debsig-verify checks it
//! ```
//!
//! Why two? `_gpgorigin` is gone once dpkg has unpacked the file; `manifest-sig` stays. So a package
//! can be judged at every station of its way:
//!
//! | station | by | room |
//! |---|---|---|
//! | the file, before anything runs | `_gpgorigin`, `manifest-sig`, strict container | [`deb`] |
//! | `tmp.ci`, by the version that is installed | `manifest-sig` | [`unpacked`] |
//! | on disk, in `postinst` and any time later | `manifest` | [`installed`] |
//!
//! ```text
//!   .deb ─► ar ─► tarball ─► control, manifest ─┐
//!   tmp.ci, dpkg's info folder ─► unpacked ─────┼─► openpgp, by keys of policy or trailer ─► Verified, or exit code 6
//!   files on disk ─► installed ─────────────────┴─► manifest ─► Findings
//! ```
//!
//! Whose signatures count is said by the admin ([`policy`]), else by the keys that the installed
//! version carries. They are judged by [`openpgp`] in one implementation everywhere.
//!
//! Three rules hold throughout. Parse **as dpkg does, and refuse what it would tolerate**: a reader
//! that looks members up by name can be shown other content than dpkg unpacks. Read **bounded**: no
//! input makes these functions use memory or time out of proportion. **Name the defect**: every
//! refusal carries exit code 6 and says which part of which file is wrong.
//!
//! Without the feature `container` this crate knows nothing of archives and compression; that is
//! what the maintainer scripts link. Nothing here writes outside the given output, or prints.

#[cfg(feature = "container")]
pub mod ar;
#[cfg(feature = "container")]
mod compress;
pub mod control;
#[cfg(feature = "container")]
pub mod deb;
mod escape;
pub mod hex;
pub mod installed;
pub mod manifest;
pub mod openpgp;
pub mod policy;
#[cfg(feature = "container")]
pub mod provenance;
mod refuse;
#[cfg(feature = "container")]
pub mod tarball;
#[cfg(test)]
mod testing;
pub mod trailer;
pub mod unpacked;
pub mod version;
