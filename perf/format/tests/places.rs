//! Where drivers may be said to be: what becomes a module, a node or an argument is that and nothing else.

use cp1_format::is_driver_place;

#[test]
fn a_place_is_this_machine_a_way_elsewhere_or_a_node() {
    for place in ["local", "ssh:load1", "ssh:me@load-1.example", "my_starter:pod/4", "d1@a.example"]
    {
        assert!(is_driver_place(place), "{place}");
    }
}

#[test]
fn nothing_else_is_one() {
    let long = format!("ssh:{}", "x".repeat(201));
    for text in [
        "",
        "locals",
        "ssh:",
        ":x",
        "Ssh:x",
        "ssh: x",
        "ssh:a\nb",
        "ssh:\u{e9}",
        "a b@c",
        "@c",
        "a@",
        "x/y:z",
        long.as_str(),
    ] {
        assert!(!is_driver_place(text), "{text}");
    }
}
