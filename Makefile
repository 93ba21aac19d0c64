# Targets for builders, testers and CI; the work is in scripts/ and in cargo.
.POSIX:
.SUFFIXES:
.PHONY: help deps-build deps-test deps-demo deps-drill build check test upgrade demo bench drill fuzz perl deb repo repro lint piuparts autopkgtest look transcripts fresh deny supply release ci clean

help: ## lists what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

deps-build: ## installs missing Debian packages that building needs
	@scripts/deps.sh build

deps-test: ## installs missing Debian packages that testing needs
	@scripts/deps.sh build test

deps-demo: ## installs missing Debian packages that the demo needs
	@scripts/deps.sh build demo

deps-drill: ## installs missing Debian packages that the drill needs
	@scripts/deps.sh build drill

build: deps-build ## programs, maintainer script, man pages, in release mode
	scripts/build.sh

deb: deps-build ## dist/*.deb, sealed, and dist/debseal; signed with SIGN_KEY=FINGERPRINT
	scripts/build-deb.sh

check: deps-build ## formatting, clippy, unit tests: quick, before each commit
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace --exclude system-tests --quiet

demo: deps-demo deb ## the package's life on a throw-away Debian machine, step by step
	scripts/demo.sh

test: deps-test deb ## every test, on real Debian roots too; those need root or sudo
	scripts/test.sh

upgrade: deps-test deb ## from the release before, built from its commit (packaging/previous-release), to dist/*.deb and back
	scripts/previous.sh
	cargo test --locked --workspace --test previous \
		--config "target.x86_64-unknown-linux-gnu.runner=['$$PWD/scripts/as-root.sh']" -- --ignored

bench: deps-test deb ## our package and snapshots against their peers, side by side
	scripts/bench.sh

drill: deps-drill deb ## every call dpkg makes, at every fault: hours, see docs/faults.md
	scripts/drill.sh

fuzz: ## every reader of what others wrote, SECONDS=60 each: executions and coverage in dist/fuzz.json
	scripts/fuzz.sh

perl: ## our reader and writer of interfaces(5) beside Proxmox's own Perl, on CASES=20000 made files from SEED=1
	scripts/perl.sh

lint: deps-test ## shellcheck, the maintainer script's dependencies, lintian of dist/*.deb
	scripts/lint.sh

repo: deb ## a signed apt repository of dist/*.deb in dist/repo; SIGN_KEY=FINGERPRINT
	scripts/deps.sh repo
	scripts/repo.sh "$(SIGN_KEY)"

piuparts: deps-test deb ## what the package leaves behind, on clean Debian roots
	scripts/piuparts.sh

autopkgtest: deps-test deb ## debian/tests/ against dist/*.deb, on clean Debian roots
	scripts/deps.sh autopkgtest
	scripts/autopkgtest.sh

look: deps-test deb ## the weekly report in a real browser: pictures in target/look (a root of 900 MB)
	LOOK=1 cargo test --locked -p system-tests --test looked \
		--config "target.x86_64-unknown-linux-gnu.runner=['$$PWD/scripts/as-root.sh']" -- --nocapture

transcripts: deps-test deb ## docs/transcripts/ anew: what the pages' commands print on real machines
	TRANSCRIPTS=docs/transcripts cargo test --locked --workspace --test pages --test packaging \
		--config "target.x86_64-unknown-linux-gnu.runner=['$$PWD/scripts/as-root.sh']"

repro: deps-build ## builds this commit twice in different folders and compares the packages' bytes
	scripts/repro.sh

fresh: deps-demo ## README's two commands in a clean Debian root: finds what nobody named
	scripts/fresh.sh

deny: ## licences, advisories, duplicates and origins of what is linked (cargo-deny, from crates.io)
	scripts/deny.sh

supply: ## packaging/supply/ anew: bills of materials and licences of what is linked (tools from crates.io)
	scripts/supply.sh

release: deps-test deps-drill ## everything that has to hold before a version is published: docs/releasing.md
	scripts/deps.sh repo autopkgtest
	SIGN_KEY="$(SIGN_KEY)" scripts/release.sh

ci: ## all that CI does
	.ci/run

clean: ## removes target/ and dist/
	[ ! -e target/roots ] || scripts/as-root.sh rm -rf target/roots
	rm -rf target dist
