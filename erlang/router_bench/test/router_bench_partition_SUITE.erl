%% Drivers in a network of their own, whose link to the router is cut: BEAMs that the bench starts there, and nodes
%% of a cluster that runs already, with an epmd on either side and TLS between all.
-module(router_bench_partition_SUITE).

-export([suite/0, all/0, init_per_suite/1, end_per_suite/1]).
-export([what_is_far_is_driven_and_encrypted/1,
         requests_of_a_link_that_is_cut_and_joined_are_accounted_for/1,
         a_link_that_stays_cut_ends_the_run/1,
         a_driver_that_is_killed_there_is_named/1,
         a_running_cluster_is_driven_across_the_link/1,
         a_cluster_that_is_cut_and_joined_in_mid_run_is_accounted_for/1,
         a_cluster_that_stays_cut_names_who_was_lost_and_is_left_clean/1,
         nothing_is_left_behind/1]).
-export([cut_for_a_while/1]).

%% Longer than requests of a slice are waited for, shorter than what distribution takes for a node that has gone.
-define(CUT_MS, 2000).
%% What a node says nothing for until it has gone: that and a quarter more at most.
-define(TICK_TIME_S, "8").
-define(PATIENCE_MS, 30000).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info]
        -- [init_per_suite, end_per_suite, cut_for_a_while].

init_per_suite(Config) ->
    case own_network:start() of
        {ok, Network} -> [{network, Network} | Config];
        {error, Why} -> {skip, Why}
    end.

end_per_suite(Config) ->
    own_network:stop(network(Config)).

network(Config) -> proplists:get_value(network, Config).

options(More, Config) ->
    Place = {netns_starter, list_to_binary(own_network:name(network(Config)))},
    maps:merge(#{adapter => driven_adapter, nodes => [Place, Place],
                 listen => list_to_binary(own_network:here(network(Config))), blocks => 1, warmup_ms => 20,
                 throughput_ms => 60, latency_ms => 400, slice_ms => 100, rate_per_second => 1000,
                 concurrency => 3, max_in_flight => 64, drain_timeout_ms => 300, timeout_ms => 90000,
                 control => false, quiet => true}, More).

what_is_far_is_driven_and_encrypted(Config) ->
    {ok, #{load := #{distribution := tls, drivers := 2},
           blocks := [#{accounting := #{latency := #{offered := 400, error := 0, timeout := 0}},
                        nodes := #{drivers := [#{place := Place}, _]}}]}} = run(#{}, Config),
    {match, _} = re:run(Place, "^netns_starter:rb").

requests_of_a_link_that_is_cut_and_joined_are_accounted_for(Config) ->
    {ok, #{blocks := [#{accounting := #{latency := Latency}, nodes := #{drivers := [One, Other]}}]}} =
        run(#{progress => once(open_loop, fun() -> cut_for_a_while(network(Config)) end)}, Config),
    whole_and_not_all_answered(400, Latency, [One, Other]).

%% Whatever was offered is accounted for, and each driver has its share.
whole_and_not_all_answered(Offered, Latency, Drivers) ->
    #{offered := Offered, ok := Ok, error := Error, timeout := Timeout, rejected := Rejected,
      skipped := Skipped} = Latency,
    Offered = Ok + Error + Timeout + Rejected + Skipped,
    true = Error + Timeout > 0,
    Half = Offered div 2,
    [Half, Half] = [Share || #{accounting := #{latency := #{offered := Share}}} <- Drivers].

cut_for_a_while(Network) ->
    ok = own_network:cut(Network),
    timer:sleep(?CUT_MS),
    own_network:join(Network).

a_link_that_stays_cut_ends_the_run(Config) ->
    try
        case run(#{progress => once(closed_loop, fun() -> own_network:cut(network(Config)) end), blocks => 2}, Config) of
            {error, {failed, Text, #{run := #{status := failed}}}} ->
                {match, _} = re:run(Text, "^block [12]: ");
            {ok, #{blocks := Blocks}} ->
                ct:fail({measured, Blocks})
        end
    after own_network:join(network(Config))
    end.

a_driver_that_is_killed_there_is_named(Config) ->
    {error, {failed, Text, _}} = run(#{adapter_options => #{driver_dies_at => 16#1000000}}, Config),
    {match, _} = re:run(Text, "driver [12] of 2 \\(netns_starter:rb[0-9]+\\), whose share").

a_running_cluster_is_driven_across_the_link(Config) ->
    with_cluster(Config, fun(Run, _Nodes) ->
        {ok, #{env := #{attached := true}, load := #{drivers := 2, distribution := tls},
               blocks := [#{accounting := #{latency := #{offered := 600, error := 0, timeout := 0}},
                            nodes := #{drivers := [#{place := One}, #{place := Other}]}}]}} = Run(#{}, none),
        [One, Other] = [atom_to_binary(Driver) || Driver <- drivers(Config)]
    end).

a_cluster_that_is_cut_and_joined_in_mid_run_is_accounted_for(Config) ->
    with_cluster(Config, fun(Run, _Nodes) ->
        {ok, #{blocks := [#{accounting := #{latency := Latency}, latency := #{slices := #{ok := Answered}},
                            nodes := #{drivers := Drivers}}]}} =
            Run(#{latency_ms => 4500, slice_ms => 1500, drain_timeout_ms => 300},
                {1, {?MODULE, cut_for_a_while, [network(Config)]}}),
        whole_and_not_all_answered(4500, Latency, Drivers),
        true = lists:last(Answered) > 0
    end).

a_cluster_that_stays_cut_names_who_was_lost_and_is_left_clean(Config) ->
    with_cluster(Config, fun(Run, Nodes) ->
        All = [router(Config) | drivers(Config)],
        {ok, #{blocks := [#{accounting := Whole}]}} = Run(#{}, none),
        Before = [left_in(Node, Nodes) || Node <- All],
        try
            {error, {failed, Text, #{run := #{status := failed},
                                     blocks := [#{accounting := #{latency := #{offered := 3000, error := 0, timeout := 0}}}]}}} =
                Run(#{blocks => 3, latency_ms => 3000, slice_ms => 1500}, {2, {own_network, cut, [network(Config)]}}),
            {match, _} = re:run(Text, "^block 2: driver [12] of 2 \\(driver_[12]@[0-9.]+\\), whose share of the load "
                                "would be missing: ")
        after own_network:join(network(Config))
        end,
        ok = becomes(Before, fun() -> [left_in(Node, Nodes) || Node <- All] end),
        % Whoever conducts finds them again, and so do they each other.
        {ok, #{blocks := [#{accounting := #{latency := #{offered := 600, error := 0, timeout := 0}}}]}} = Run(#{}, none),
        #{latency := #{offered := 600}} = Whole
    end).

%% The conductor is a hidden node of it.
with_cluster(Config, Work) ->
    Network = network(Config),
    {Here, There} = {own_network:here(Network), own_network:there(Network)},
    {Epmd, Env} = own_epmd:start([{[], Here}, {own_network:inside(Network), There}]),
    Dir = filename:join(proplists:get_value(priv_dir, Config), "partition_tls"),
    Encrypted = own_cluster:encrypted(Dir, [Here, There]),
    Flags = fun(Address) ->
                    {ok, Ip} = inet:parse_ipv4strict_address(Address),
                    ["-kernel", "net_ticktime", ?TICK_TIME_S, "logger_level", "critical",
                     "inet_dist_use_interface", lists:flatten(io_lib:format("~w", [Ip])) | Encrypted(Address)]
            end,
    Erl = own_cluster:erl(),
    Nodes = [{router(Config), [Erl]} | [{Driver, own_network:inside(Network) ++ [Erl]} || Driver <- drivers(Config)]],
    Conductor = ["-name", "conductor@" ++ Here, "-hidden", "-start_epmd", "false", "-setcookie", own_cluster:cookie()],
    Options = #{node => router(Config), nodes => drivers(Config), adapter => cluster_adapter, blocks => 1,
                warmup_ms => 20, throughput_ms => 60, latency_ms => 600, slice_ms => 600, rate_per_second => 1000,
                concurrency => 3, max_in_flight => 1024, drain_timeout_ms => 1000, timeout_ms => 80000, quiet => true},
    try
        own_cluster:with(#{nodes => Nodes, env => Env, flags => Flags, conductor => {Here, Conductor}}, Options,
                         Work)
    after own_epmd:stop(Epmd)
    end.

router(Config) -> list_to_atom("router@" ++ own_network:here(network(Config))).

drivers(Config) ->
    [list_to_atom(Name ++ "@" ++ own_network:there(network(Config))) || Name <- ["driver_1", "driver_2"]].

%% What may be there of the bench. Connections come and go with processes and tables of their own.
left_in(Node, Nodes) ->
    #{tables := Tables} = State = own_cluster:call(Nodes, Node, {live_router, node_state}, []),
    Processes = own_cluster:call(Nodes, Node, {erlang, processes}, []),
    Leaders = [own_cluster:call(Nodes, Node, {erlang, process_info}, [Process, group_leader]) || Process <- Processes],
    (maps:without([processes, nodes], State))#{tables := [Table || Table <- Tables, is_atom(Table)],
                                               leaders => lists:usort(Leaders)}.

becomes(Before, Now) ->
    becomes(Before, Now, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

becomes(Before, Now, DeadlineMs) ->
    case {Now(), erlang:monotonic_time(millisecond) < DeadlineMs} of
        {Before, _} -> ok;
        {_, true} -> timer:sleep(100), becomes(Before, Now, DeadlineMs);
        {Other, false} -> ct:fail({Before, became, Other})
    end.

nothing_is_left_behind(Config) ->
    _ = run(#{}, Config),
    with_cluster(Config, fun(Run, _Nodes) -> {ok, _} = Run(#{}, none) end),
    ok = becomes("", fun() -> os:cmd("ip netns pids " ++ own_network:name(network(Config))) end),
    [] = filelib:wildcard("/tmp/router_bench_{far,tls}.*").

run(More, Config) ->
    router_bench:run(options(More, Config)).

once(Activity, Do) ->
    Done = counters:new(1, []),
    fun({step, #{activity := A}}) when A =:= Activity ->
            case counters:get(Done, 1) of
                0 -> counters:add(Done, 1, 1), spawn(Do);
                _ -> ok
            end;
       (_) -> ok
    end.
