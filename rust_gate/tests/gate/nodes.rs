//! A load that drivers elsewhere share, and routers in several nodes: the whole is judged, and the worst node where
//! the policy says so; what the nodes have together is what the block has.

use crate::common::nodes::{self, MIB, with_nodes};
use crate::common::{Room, full};
use serde_json::{Value, json};

/// What somebody does to the nodes of a block.
type Edit = fn(&mut Value);

fn room(baseline_mib: u64, candidate_mib: u64) -> Room {
    let room = Room::with(&full());
    room.change("baseline.json", |report| with_nodes(report, baseline_mib));
    room.change("candidate.json", |report| with_nodes(report, candidate_mib));
    room
}

fn limit(room: &Room) {
    room.change("policy.json", |policy| {
        policy["rules"]["mem_mb_worst_node"] = json!({"relative": {"max_pct_increase": 15}});
    });
}

#[test]
fn the_worst_node_is_judged_where_the_policy_says_so_and_the_sum_always() {
    let moved = room(20, 24);
    moved.check().is(0, &["all 6 rules hold"]);
    limit(&moved);
    moved.check().is(1, &["1 of 7 rules violated: mem_mb_worst_node"]);
    let within = room(20, 23);
    limit(&within);
    within.check().is(0, &["all 7 rules hold"]);
}

#[test]
fn a_rule_over_the_worst_of_one_node_is_invalid_and_says_what_to_do() {
    let room = Room::with(&full());
    limit(&room);
    room.check()
        .is(2, &["mem_mb_worst_node was not measured", "there is one router", "--routers 2"]);
}

#[test]
fn a_driver_whose_machine_was_disturbed_is_named_with_its_place_and_why() {
    let room = room(20, 20);
    assert!(!room.check().stdout.contains("disturbed drivers"));
    room.change("candidate.json", |report| {
        for block in report["blocks"].as_array_mut().unwrap().iter_mut().take(2) {
            let driver = &mut block["nodes"]["drivers"][1];
            driver["place"] = json!("ssh:load2");
            driver["disturbed"] = json!(["clock_drift", "host_stall"]);
        }
        report["blocks"][0]["nodes"]["drivers"][1]["disturbed"] = json!(["clock_drift"]);
    });
    room.check().is(
        0,
        &["disturbed drivers of the candidate: 2 (ssh:load2) by clock_drift in 2, host_stall in 1"],
    );
}

#[test]
fn another_number_of_drivers_or_routers_is_another_load() {
    for (key, drivers, routers) in [("drivers", 3, 2), ("routers", 2, 3)] {
        let room = room(20, 20);
        room.change("candidate.json", |report| nodes::with(report, 20, drivers, routers));
        room.check().is(4, &[&format!("load.{key}")]);
        // And not by what the load says alone.
        room.change("candidate.json", |report| report["load"][key] = json!(4));
        room.check().is(2, &["blocks[0].nodes", "and load has"]);
    }
    let room = Room::with(&full());
    room.change("candidate.json", |report| with_nodes(report, 20));
    room.check().is(4, &["load.drivers"]);
}

#[test]
fn nodes_that_do_not_add_up_to_their_block_are_invalid() {
    let edits: [(&str, Edit); 9] = [
        ("the drivers' requests are not those of the block", |nodes| {
            let outcomes = &mut nodes["drivers"][0]["accounting"]["latency"];
            outcomes["ok"] = json!(outcomes["ok"].as_u64().unwrap() - 1);
        }),
        ("the drivers' requests are not those of the block", |nodes| {
            nodes["drivers"].as_array_mut().unwrap().pop();
        }),
        ("these are not drivers 1, 2 and so on", |nodes| nodes["drivers"][1]["driver"] = json!(1)),
        ("the routers' peaks of memory are not that of the block", |nodes| {
            nodes["routers"][1]["memory"]["peak_bytes"] = json!(1);
        }),
        ("these are not routers 1, 2 and so on", |nodes| nodes["routers"] = json!([])),
        ("the nodes' errors are not those of the block", |nodes| {
            nodes["routers"][0]["errors"] = json!({"router": 1});
        }),
        ("the nodes' errors are not those of the block", |nodes| {
            nodes["drivers"][1]["errors"] = json!({});
        }),
        ("some drivers have a counter that others have not", |nodes| {
            nodes["drivers"][1]["errors"] = json!({"router": 0});
        }),
        ("the nodes' activations of backpressure are not those of the block", |nodes| {
            nodes["drivers"][1]["backpressure"] = json!({"router": 1});
        }),
    ];
    for (said, edit) in edits {
        let room = room(20, 20);
        room.change("candidate.json", |report| edit(&mut report["blocks"][1]["nodes"]));
        room.check().is(2, &["blocks[1].nodes", said]);
    }
    let room = room(20, 20);
    room.change("candidate.json", |report| {
        report["blocks"][0]["metrics"]["mem_mb_worst_node"] = json!(19);
    });
    room.check().is(2, &["mem_mb_worst_node"]);
}

#[test]
fn what_a_drivers_connection_counted_belongs_to_the_block() {
    let room = room(20, 20);
    room.change("candidate.json", |report| {
        for block in report["blocks"].as_array_mut().unwrap() {
            for driver in block["nodes"]["drivers"].as_array_mut().unwrap() {
                driver["errors"] = json!({"router": 0});
                driver["backpressure"] = json!({"router": 2});
            }
            block["backpressure"]["router"] = json!(4);
            block["metrics"]["backpressure_active_total"] = json!(4);
        }
        let blocks = report["blocks"].as_array().unwrap().len();
        report["metrics"]["backpressure_active_total"] = json!(4 * blocks);
    });
    room.check().is(1, &["backpressure_active_total"]);
}

/// Of each router of the first block, with so many bytes.
fn sampled(report: &mut Value, routers: &[Option<u32>], bytes: &[u64]) {
    let series = routers.iter().zip(bytes).map(|(router, bytes)| {
        let mut series = json!({"block": 1, "name": "memory_total", "unit": "byte", "time_ms": [0, 1],
                                "values": [bytes, bytes]});
        if let Some(router) = router {
            series["router"] = json!(router);
        }
        series
    });
    report["series"] = Value::Array(series.collect());
}

#[test]
fn what_was_sampled_of_a_router_is_held_to_that_router() {
    let peak = |report: &Value| report["blocks"][0]["memory"]["peak_bytes"].as_u64().unwrap();
    let room = room(20, 20);
    room.change("candidate.json", |report| {
        let other = peak(report) - 20 * MIB;
        sampled(report, &[Some(1), Some(2)], &[20 * MIB, other]);
    });
    room.check().is(0, &[]);
    for (router, said) in [
        (None, "memory_total: it does not say of which router it is"),
        (Some(2), "memory_total: 20971520 is beyond the block's smallest or largest"),
        (Some(3), "memory_total: the block has no router 3"),
    ] {
        room.change("candidate.json", |report| sampled(report, &[router], &[20 * MIB]));
        room.check().is(2, &["series[0]", said]);
    }
}
