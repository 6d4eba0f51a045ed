//! Flame graphs: one SVG file out of whatever perf prints, and a sentence wherever perf cannot be used.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::common::repository::pretty;
use crate::common::{Room, minimal};
use perf_gate::render::flame::{Build, SAMPLES_PER_SECOND, Stacks, render};
use proptest::prelude::*;
use roxmltree::{Document, Node};

/// What `perf script` printed of the reference router on a machine, every twelfth sample.
fn recorded(name: &str) -> Stacks {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    read(&std::fs::read(directory.join(name)).unwrap())
}

fn read(script: &[u8]) -> Stacks {
    Stacks::read(script).unwrap()
}

/// What perf prints of stacks, the innermost frame last, each so many times.
fn script(stacks: &[(&[&str], u64)]) -> String {
    let mut text = String::new();
    for (frames, count) in stacks {
        for _ in 0..*count {
            text.push_str("1_scheduler 7/8 36591.045431: cpu-clock:ppp: \n");
            for frame in frames.iter().rev() {
                writeln!(text, "\t    7f8fbede2b38 {frame} (/tmp/perf-7.map)").unwrap();
            }
            text.push('\n');
        }
    }
    text
}

fn drawn(frozen: &Stacks, candidate: &Stacks) -> String {
    let build = |title, stacks| Build { title, stacks, requests: 1000 };
    render(&build("frozen build", frozen), &build("candidate", candidate)).unwrap()
}

/// The picture is XML, and opens alone: it runs nothing and fetches nothing.
#[track_caller]
fn stands_alone(svg: &str) -> Document<'_> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}:\n{svg}"));
    assert!(!svg.contains("<!DOCTYPE") && !svg.contains("<!ENTITY"), "refers to a definition");
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(["svg", "title", "style", "rect", "text", "g"].contains(&name), "{name}");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{attribute:?} runs");
            assert!(attribute.name() != "href", "{attribute:?} leads away");
            assert!(!attribute.value().contains("url("), "{attribute:?} leads away");
        }
        let is_style = name == "style" && node.text().is_some_and(|css| css.contains("url("));
        assert!(!is_style, "a style leads away");
    }
    document
}

/// The graphs from top to bottom: of each frame its tooltip and its color.
fn graphs(document: &Document<'_>) -> Vec<Vec<(String, String)>> {
    let root = document.root_element();
    let graphs = root.children().filter(|node| node.has_tag_name("svg"));
    let frames = |graph: Node<'_, '_>| {
        let frames = graph.descendants().filter(|node| node.has_tag_name("g"));
        let frame = |group: Node<'_, '_>| {
            let child = |name| group.children().find(|node| node.has_tag_name(name)).unwrap();
            let title = child("title").text().unwrap_or_default().to_owned();
            (title, child("rect").attribute("fill").unwrap().to_owned())
        };
        frames.map(frame).collect()
    };
    graphs.map(frames).collect()
}

/// Red, blue or white, as frames of a difference are.
fn hue(color: &str) -> &'static str {
    let parts: Vec<u8> = color
        .trim_start_matches("rgb(")
        .trim_end_matches(')')
        .split(',')
        .map(|part| part.parse().unwrap())
        .collect();
    match parts[..] {
        [250, 250, 250] => "white",
        [255, ..] => "red",
        [.., 255] => "blue",
        _ => panic!("{color}"),
    }
}

#[test]
fn what_perf_printed_of_two_builds_becomes_one_picture_that_stands_alone() {
    let frozen = recorded("perf_script_frozen.txt");
    let candidate = recorded("perf_script_candidate.txt");
    assert_eq!((frozen.samples(), candidate.samples()), (95, 92));
    let svg = drawn(&frozen, &candidate);
    let document = stands_alone(&svg);
    let graphs = graphs(&document);
    assert_eq!(graphs.len(), 3);
    for frames in &graphs {
        for name in ["ref_router:admit/2 (", "router_bench_closed_loop:loop/7 (", "schedulers ("] {
            assert!(frames.iter().any(|(title, _)| title.starts_with(name)), "{name}: {frames:?}");
        }
        assert!(!frames.iter().any(|(title, _)| title.starts_with('$')), "{frames:?}");
    }
    let color =
        |name: &str| &graphs[1].iter().find(|(title, _)| title.starts_with(name)).unwrap().1;
    let bench = color("router_bench_closed_loop:loop/7");
    assert_eq!(bench, color("router_bench_outcome:route/3"));
    assert_ne!(bench, color("ref_router:admit/2"), "whose is the router's");
    let captions: Vec<_> =
        document.descendants().filter(|node| node.attribute("class") == Some("caption")).collect();
    let ns = 92 * 1_000_000_000 / SAMPLES_PER_SECOND / 1000;
    let expected =
        format!("candidate: 92 samples, 1000 requests, {ns} ns of processor time for each");
    assert_eq!(captions[1].text(), Some(expected.as_str()));
}

#[test]
fn names_that_would_be_markup_or_steer_a_reader_are_shown_as_names() {
    let hostile = recorded("perf_script_hostile.txt");
    assert_eq!(hostile.samples(), 18);
    let svg = drawn(&hostile, &hostile);
    let document = stands_alone(&svg);
    let graphs = graphs(&document);
    for name in [
        "hostile:'<script>alert",
        "hostile:']]>&",
        "hostile:'a:b'/1",
        "hostile:'a->b'/1",
        "hostile:'f_12_13'/1",
        "hostile:l/2",
    ] {
        assert!(
            graphs[1].iter().any(|(title, _)| title.starts_with(name)),
            "{name}: {:?}",
            graphs[1]
        );
    }
    // Names that no emulator would print as they are.
    let worse =
        ["\u{1b}[31m", "\u{0}", "\u{202e}", "\u{fffe}", "a 1 2", "&#0;", "<!--", "]]>", "\u{7f}"];
    let stacks: Vec<(Vec<&str>, u64)> =
        worse.iter().map(|name| (vec!["$a:b/1", *name], 3)).collect();
    let stacks: Vec<(&[&str], u64)> =
        stacks.iter().map(|(frames, count)| (&frames[..], *count)).collect();
    let worse = read(script(&stacks).as_bytes());
    assert_eq!(worse.samples(), 27);
    let svg = drawn(&worse, &worse);
    stands_alone(&svg);
    let is_harmless = |character: char| character == '\n' || !character.is_control();
    assert!(svg.chars().all(is_harmless) && !svg.contains('\u{202e}'), "{svg}");
}

#[test]
fn a_function_that_takes_more_of_each_request_is_red_and_one_that_takes_less_is_blue() {
    let of = |hash: u64| {
        let frames: [&[&str]; 3] =
            [&["$r:route/2"], &["$r:route/2", "$r:hash/1"], &["$r:route/2", "$r:send/2"]];
        read(script(&[(frames[0], 300), (frames[1], hash), (frames[2], 300)]).as_bytes())
    };
    let hues = |frozen: &Stacks, candidate: &Stacks| {
        let svg = drawn(frozen, candidate);
        let document = stands_alone(&svg);
        let all = graphs(&document).remove(0);
        let of =
            |name: &str| hue(&all.iter().find(|(title, _)| title.starts_with(name)).unwrap().1);
        [of("r:route/2"), of("r:hash/1"), of("r:send/2")]
    };
    assert_eq!(hues(&of(200), &of(400)), ["white", "red", "white"]);
    assert_eq!(hues(&of(400), &of(200)), ["white", "blue", "white"]);
    assert_eq!(hues(&of(200), &of(200)), ["white"; 3]);
    assert_eq!(hues(&of(200), &of(220)), ["white"; 3], "as chance would have it");
    assert_eq!(hues(&of(0), &of(200)), ["white", "red", "white"], "a function that is new");
}

#[test]
fn builds_that_served_different_numbers_of_requests_are_compared_by_request() {
    let stacks = |count| {
        read(script(&[(&["$r:route/2"], count), (&["$r:route/2", "$r:hash/1"], count)]).as_bytes())
    };
    let (few, many) = (stacks(200), stacks(400));
    let svg = render(
        &Build { title: "frozen build", stacks: &few, requests: 1000 },
        &Build { title: "candidate", stacks: &many, requests: 2000 },
    );
    let svg = svg.unwrap();
    let document = stands_alone(&svg);
    assert!(graphs(&document)[0].iter().all(|(_, color)| hue(color) == "white"), "{svg}");
}

#[test]
fn a_function_whose_name_begins_like_anothers_stands_in_one_place() {
    let stacks: [&[&str]; 3] = [&["$r:f/1"], &["$r:f/10"], &["$r:f/1", "$r:g/0"]];
    let stacks = read(script(&stacks.map(|frames| (frames, 5))).as_bytes());
    let svg = drawn(&stacks, &stacks);
    let document = stands_alone(&svg);
    for graph in graphs(&document) {
        assert_eq!(
            graph.iter().filter(|(title, _)| title.starts_with("r:f/1 ")).count(),
            1,
            "{graph:?}"
        );
    }
}

#[test]
fn what_is_no_sample_of_the_clock_is_none() {
    let others = script(&[(&["$r:f/1"], 2)]).replace("cpu-clock:ppp", "cycles");
    assert_eq!(read(others.as_bytes()).samples(), 0);
    for nothing in ["", "\n\n", "perf: garbage\n\n1 2 3\n", "# a comment\n", "\u{0}\u{0}"] {
        assert_eq!(read(nothing.as_bytes()).samples(), 0, "{nothing:?}");
        let none = read(nothing.as_bytes());
        let build = Build { title: "x", stacks: &none, requests: 1 };
        render(&build, &build).unwrap_err();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_perf_prints_there_is_a_picture_or_no_sample(
        names in prop::collection::vec(prop::collection::vec("[$a-c:;/ 0-9()\\[\\]<>&'\"+x\\-]{0,12}|\\PC{0,6}", 1..5), 1..8),
        counts in prop::collection::vec(1_u64..4, 8),
        noise in prop::collection::vec(any::<u8>(), 0..80),
        at in any::<prop::sample::Index>(),
    ) {
        let stacks: Vec<(Vec<&str>, u64)> = names
            .iter()
            .zip(&counts)
            .map(|(frames, count)| (frames.iter().map(String::as_str).collect(), *count))
            .collect();
        let stacks: Vec<(&[&str], u64)> =
            stacks.iter().map(|(frames, count)| (&frames[..], *count)).collect();
        let mut text = script(&stacks).into_bytes();
        let place = at.index(text.len());
        text.splice(place..place, noise);
        let stacks = read(&text);
        if stacks.samples() > 0 {
            stands_alone(&drawn(&stacks, &Stacks::clone(&stacks)));
        }
    }
}

/// A project with a baseline, and on its PATH nothing but a `perf`, if it has one.
fn project(perf: Option<&str>) -> Room {
    let room = Room::new();
    std::fs::create_dir_all(room.path("perf")).unwrap();
    std::fs::create_dir_all(room.path("path")).unwrap();
    std::fs::write(room.path("perf/baseline_cp1.json"), pretty(&minimal())).unwrap();
    if let Some(script) = perf {
        std::fs::write(room.path("path/perf"), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(room.path("path/perf"), PermissionsExt::from_mode(0o755)).unwrap();
    }
    room
}

fn flame(room: &Room) -> Command {
    let mut gate = Command::new(assert_cmd::cargo::cargo_bin!("perf-gate"));
    gate.args([
        "flame",
        "--adapter=an_adapter",
        "--artifacts=out",
        "--build=/bin/touch built; exit 7",
    ]);
    gate.current_dir(room.path("")).stdin(Stdio::null());
    gate.env("PATH", room.path("path")).env("TMPDIR", room.path("."));
    gate
}

/// It said why there is no picture, in one sentence and with its code, and built nothing.
#[track_caller]
fn is_unavailable(perf: Option<&str>, said: &str) {
    let room = project(perf);
    let Output { status, stdout, stderr } = flame(&room).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(69), "{stderr}");
    assert!(stdout.is_empty());
    assert!(stderr.starts_with("perf-gate: no flame graph: "), "{stderr}");
    assert!(stderr.contains(said), "{said}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!room.path("built").exists(), "it is found out before anything is built");
    nothing_is_left(&room);
}

#[track_caller]
fn nothing_is_left(room: &Room) {
    let entries =
        std::fs::read_dir(room.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> =
        entries.filter(|name| name.to_string_lossy().starts_with("perf-gate.")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(std::fs::read_dir(room.path("out")).unwrap().count(), 0);
}

#[test]
fn without_perf_it_says_how_to_install_it() {
    is_unavailable(None, "perf is not on the PATH; install it");
}

#[test]
fn a_perf_that_may_not_record_is_quoted_with_what_would_allow_it() {
    let said = "Access to performance monitoring is limited.";
    let perf = format!("echo '{said}' >&2; exit 255");
    is_unavailable(Some(&perf), said);
    is_unavailable(Some(&perf), "kernel.perf_event_paranoid=2");
    is_unavailable(Some(&perf), "--cap-add=PERFMON");
    is_unavailable(Some("kill -KILL $$"), "memory runs out");
}

#[test]
fn what_perf_says_cannot_steer_a_terminal() {
    let room = project(Some("printf '\\033[31mred\\n::error::x\\n' >&2; exit 1"));
    let Output { stderr, .. } = flame(&room).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(stderr.contains("\\u{1b}[31mred"), "{stderr}");
    assert!(!stderr.contains('\u{1b}') && !stderr.contains(" ::error"), "{stderr}");
}

#[test]
fn a_perf_that_prints_and_writes_nothing_is_no_perf() {
    is_unavailable(Some("exit 0"), "perf record true wrote nothing");
    is_unavailable(Some("exit 3"), "it says nothing");
}

#[test]
fn a_perf_that_hangs_is_ended_and_said_to_hang() {
    is_unavailable(Some("exec /bin/sleep 600"), "within 10 s, and was ended");
}

#[test]
fn a_perf_that_cannot_be_started_is_told() {
    let room = project(Some("exit 0"));
    std::fs::set_permissions(room.path("path/perf"), PermissionsExt::from_mode(0o644)).unwrap();
    let Output { status, stderr, .. } = flame(&room).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(69), "{stderr}");
    assert!(stderr.contains("perf cannot be started"), "{stderr}");
}

#[test]
fn a_signal_ends_it_while_perf_hangs_and_leaves_nothing() {
    let room = project(Some("echo $$ > pid; exec /bin/sleep 600"));
    let mut gate: Child = flame(&room).stderr(Stdio::null()).spawn().unwrap();
    let pid = loop {
        match std::fs::read_to_string(room.path("pid")) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
        assert!(gate.try_wait().unwrap().is_none(), "it ended before");
    };
    Command::new("kill").args(["-TERM", &gate.id().to_string()]).status().unwrap();
    assert_eq!(gate.wait().unwrap().code(), Some(143));
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "perf was left behind");
    nothing_is_left(&room);
}

#[test]
fn without_a_commit_to_set_it_against_nothing_is_done() {
    let room = project(Some("exit 0"));
    std::fs::remove_file(room.path("perf/baseline_cp1.json")).unwrap();
    let Output { status, stderr, .. } = flame(&room).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("baseline_cp1.json"), "{stderr}");
}
