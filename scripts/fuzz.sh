#!/bin/sh
# fuzz.sh [TARGET…]: runs fuzz targets (all of them), each for SECONDS (60), from the good samples, fuzz/seeds
# and what earlier runs left in fuzz/corpus. What breaks a rule, hangs or needs too much memory lies in
# fuzz/artifacts afterwards, and the exit code is 1. Counts are in dist/fuzz.json. See docs/fuzzing.md.
#
#   KEEP=1   afterwards, the smallest inputs that reach all that was reached become fuzz/seeds
set -eu
cd "$(dirname "$0")/.."

# shellcheck disable=SC3028 # from the environment: only bash counts in it
seconds=${SECONDS:-60}
version=0.13.2
tools=target/tools
bins=fuzz/target/x86_64-unknown-linux-gnu/release

scripts/deps.sh build fuzz
if ! [ -x "$tools/bin/cargo-fuzz" ] || [ "$("$tools/bin/cargo-fuzz" --version)" != "cargo-fuzz $version" ]; then
	echo "installing cargo-fuzz $version into $tools: builds programs that libFuzzer guides" >&2
	CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-fuzz --quiet --locked --version "$version" \
		--debug --root "$tools" --target-dir "$tools/build" >&2
	rm -rf "$tools/build"
fi
# The toolchain is the stable one: what libFuzzer needs is there, only sanitizers are not; and without
# unsafe code an address sanitizer would have nothing to say.
(cd fuzz && RUSTC_BOOTSTRAP=1 "../$tools/bin/cargo-fuzz" build --sanitizer none >&2)

# shellcheck disable=SC2046 # a list of names, meant to be split
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)
mkdir -p dist
failed=0
lines=
for target in "$@"; do
	mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/artifacts/$target"
	log=fuzz/artifacts/$target.log
	dictionary=fuzz/dictionaries/$target.dict
	code=0
	# More than 10 s for one input is a hang, more than 1 GiB in all a leak or a bomb.
	SAMPLES=fuzz/corpus/$target "$bins/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" "-artifact_prefix=fuzz/artifacts/$target/" \
		"-max_total_time=$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		"-dict=$dictionary" >"$log" 2>&1 || code=$?
	stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
	reached() { sed -n "s/.* $1: \([0-9]*\).*/\1/p" "$log" | tail -n 1; }
	executions=$(stat number_of_executed_units)
	line=$(printf '{"name": "%s", "exit": %d, "executions": %d, "edges": %d, "features": %d, "peak_rss_mb": %d, "corpus": %d}' \
		"$target" "$code" "${executions:-0}" "$(reached cov)" "$(reached ft)" "$(stat peak_rss_mb)" \
		"$(find "fuzz/corpus/$target" "fuzz/seeds/$target" -type f | wc -l)")
	echo "$line"
	lines="$lines${lines:+,
}    $line"
	if [ "$code" -ne 0 ]; then
		failed=1
		echo "fuzz.sh: $target broke a rule: $log, and the input is in fuzz/artifacts/$target" >&2
		grep -E -m 3 'panicked|^==[0-9]+==|^SUMMARY' "$log" >&2 || true
	elif [ -n "${KEEP:-}" ]; then
		kept=$(mktemp -d)
		# By edges alone: with counters there would be hundreds.
		"$bins/$target" -set_cover_merge=1 -use_counters=0 -max_len=4096 -rss_limit_mb=1024 "$kept" \
			"fuzz/seeds/$target" "fuzz/corpus/$target" >>"$log" 2>&1
		# libFuzzer's names are digests; what has a name of its own was put there by a person.
		find "fuzz/seeds/$target" -type f -name '????????????????????????????????????????' -delete
		# At most 60 of them, from the smallest to the largest: it stays a small corpus.
		count=$(find "$kept" -type f | wc -l)
		find "$kept" -type f -size -9 -printf '%s %p\n' | sort -n | awk -v "each=$((count / 60 + 1))" 'NR % each == 0 || each == 1 { print $2 }' |
			xargs -r cp -t "fuzz/seeds/$target"
		rm -rf "$kept"
	fi
done
printf '{\n  "schema_version": 1,\n  "seconds": %d,\n  "targets": [\n%s\n  ]\n}\n' "$seconds" "$lines" >dist/fuzz.json
exit "$failed"
