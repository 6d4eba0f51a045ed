//! Files by which a measurement or its judging can be faked, or a red job kept from being seen: what an
//! owner reviews.

/// As patterns of `CODEOWNERS`: with a slash in front from the project on, else a name in any directory.
pub const OWNED: [&str; 12] = [
    "/perf/",
    // Hooks, plugins, overrides and parse transforms run in the build, and a dependency in `_checkouts`
    // takes the place of any other.
    "rebar.config",
    "rebar.config.script",
    "/rebar.lock",
    "/_checkouts/",
    // Wrappers of the compiler.
    "/.cargo/",
    "/.gitlab-ci.yml",
    "/.gitlab-ci.perf.yml",
    "/.github/",
    "/.gitattributes",
    "/.gitmodules",
    "CODEOWNERS",
];

/// The same where the tool is part of the project.
pub const TOOL: [&str; 8] = [
    "/scripts/",
    "/rust_gate/",
    "/native/",
    "/erlang/router_bench/",
    "/erlang/ref_router_adapter/",
    "/erlang/nats_client/",
    "Cargo.toml",
    "/Cargo.lock",
];

/// Whether a pattern is about a path, counted from the project.
#[must_use]
pub fn is_of(pattern: &str, path: &str) -> bool {
    match pattern.strip_prefix('/') {
        Some(directory) if directory.ends_with('/') => path.starts_with(directory),
        Some(file) => path == file,
        None => path.rsplit('/').next() == Some(pattern),
    }
}

/// Where rebar3 and the gate keep what is built, and where cargo does; what is committed there would be
/// taken for it.
const BUILT: [&str; 2] = ["_build", "target"];

/// The first of these paths, counted from the project, in each directory of what is built, or in its place.
/// What cargo would find matters where cargo builds.
pub fn built_of<'a>(paths: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let is_in = |path: &str, directory: &str| {
        path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let has_cargo = paths.contains(&"Cargo.toml");
    let built = BUILT.into_iter().filter(move |directory| *directory == "_build" || has_cargo);
    built.filter_map(move |directory| paths.iter().copied().find(|path| is_in(path, directory)))
}
