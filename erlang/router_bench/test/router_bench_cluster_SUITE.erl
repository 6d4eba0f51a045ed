%% A router and drivers in nodes of a cluster that runs already, in the open and encrypted, beside an epmd of
%% their own.
-module(router_bench_cluster_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([drivers_are_nodes_of_the_routers_cluster/1,
         a_cluster_that_is_encrypted_is_measured_as_one/1,
         a_driver_node_that_is_lost_is_named/1,
         a_driver_node_that_is_not_there_is_named/1,
         a_driver_node_with_another_build_of_the_bench_is_named_and_left_as_it_was/1,
         places_that_do_not_go_together_are_refused/1]).

-define(ROUTER, 'cluster_router@127.0.0.1').
-define(DRIVERS, ['cluster_driver_1@127.0.0.1', 'cluster_driver_2@127.0.0.1']).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info] -- [init_per_suite, end_per_suite].

init_per_suite(Config) ->
    {Epmd, Env} = own_epmd:start(),
    Cookie = filename:join(proplists:get_value(priv_dir, Config), "cluster_cookie"),
    ok = file:write_file(Cookie, own_cluster:cookie()),
    ok = file:change_mode(Cookie, 8#600),
    [{epmd, Epmd}, {env, Env}, {cookie, Cookie} | Config].

end_per_suite(Config) ->
    own_epmd:stop(proplists:get_value(epmd, Config)).

%% The conductor is no node of it.
with_cluster(Flags, Config, Work) ->
    own_cluster:with(#{nodes => [{Node, [own_cluster:erl()]} || Node <- [?ROUTER | ?DRIVERS]], env => proplists:get_value(env, Config),
                       flags => Flags, conductor => {"127.0.0.1", ["-nocookie"]}},
                     options(#{}, Config), Work).

in_the_open(_Address) -> [].

options(More, Config) ->
    maps:merge(#{node => ?ROUTER, nodes => ?DRIVERS, cookie_file => proplists:get_value(cookie, Config),
                 adapter => cluster_adapter, blocks => 1, warmup_ms => 20, throughput_ms => 60, latency_ms => 200,
                 slice_ms => 20, rate_per_second => 1000, concurrency => 3, drain_timeout_ms => 1000,
                 quiet => true}, More).

drivers_are_nodes_of_the_routers_cluster(Config) ->
    with_cluster(fun in_the_open/1, Config, fun(Run, Nodes) ->
        {ok, #{env := #{attached := true}, load := #{drivers := 2, distribution := tcp},
               blocks := [_, #{accounting := #{latency := #{offered := 200, error := 0, timeout := 0}},
                               nodes := #{drivers := [#{place := <<"cluster_driver_1@127.0.0.1">>}, _]}}]}} =
            Run(#{blocks => 2}, none),
        [[] = of_the_bench(Nodes, Node) || Node <- [?ROUTER | ?DRIVERS]],
        [] = own_cluster:call(Nodes, ?ROUTER, {live_router, called}, [])
    end).

a_cluster_that_is_encrypted_is_measured_as_one(Config) ->
    Flags = own_cluster:encrypted(filename:join(proplists:get_value(priv_dir, Config), "cluster_tls"), ["127.0.0.1"]),
    with_cluster(Flags, Config, fun(Run, _Nodes) ->
        Measured = fun(Drivers) ->
                           {ok, #{load := #{distribution := tls, drivers := 2},
                                  blocks := [#{accounting := #{latency := #{offered := 200, error := 0,
                                                                            timeout := 0}}}]}} =
                               Run(#{nodes => Drivers}, none)
                   end,
        Measured(?DRIVERS),
        Measured([local, hd(?DRIVERS)]),
        {error, {bad_option, distribution, tcp, _}} = Run(#{distribution => tcp}, none)
    end).

a_driver_node_that_is_lost_is_named(Config) ->
    with_cluster(fun in_the_open/1, Config, fun(Run, _Nodes) ->
        Lost = lists:last(?DRIVERS),
        {error, {failed, Text, #{run := #{status := failed}}}} =
            Run(#{latency_ms => 20000}, {1, {erpc, cast, [Lost, erlang, halt, [1]]}}),
        {match, _} = re:run(Text, "driver 2 of 2 \\(cluster_driver_2@127.0.0.1\\), whose share")
    end).

a_driver_node_that_is_not_there_is_named(Config) ->
    with_cluster(fun in_the_open/1, Config, fun(Run, _Nodes) ->
        {error, {not_attached, 'cluster_nobody@127.0.0.1', {not_registered, "cluster_nobody", _}}} =
            Run(#{nodes => ['cluster_nobody@127.0.0.1']}, none)
    end).

a_driver_node_with_another_build_of_the_bench_is_named_and_left_as_it_was(Config) ->
    Other = lists:last(?DRIVERS),
    {ok, router_bench_share, Code} =
        compile:forms([{attribute, 1, module, router_bench_share}, {attribute, 1, vsn, another}], [binary]),
    with_cluster(fun in_the_open/1, Config, fun(Run, Nodes) ->
        Load = own_cluster:call(Nodes, Other, {code, load_binary}, [router_bench_share, "another.beam", Code]),
        {module, router_bench_share} = Load,
        Refused = {not_attached, Other, {other_build, router_bench_share}},
        {error, Refused} = Run(#{}, none),
        {match, _} = re:run(router_bench_failure:sentence(Refused),
                            "cluster_driver_2@127.0.0.1: it has another build of module router_bench_share"),
        [router_bench_share] = of_the_bench(Nodes, Other),
        [[] = of_the_bench(Nodes, Node) || Node <- [?ROUTER | ?DRIVERS], Node =/= Other]
    end).

of_the_bench(Nodes, Node) ->
    [Module || {Module, _} <- own_cluster:call(Nodes, Node, {code, all_loaded}, []),
               lists:prefix("router_bench", atom_to_list(Module))].

places_that_do_not_go_together_are_refused(Config) ->
    Refused = fun(More) ->
                      {error, Reason} = router_bench_plan:new(options(More, Config)),
                      router_bench_plan:message(Reason)
              end,
    Says = fun(Text, More) -> {match, _} = re:run(Refused(More), Text) end,
    Says("nodes other than the router's own", #{nodes => [?ROUTER]}),
    Says("each once", #{nodes => [hd(?DRIVERS), hd(?DRIVERS)]}),
    Says("local, or names of nodes of the router's cluster", #{nodes => [{ssh, "builder"} | ?DRIVERS]}),
    Says("a fresh router is in no cluster", #{node => none}),
    Says("left out: each node that is named has one", #{routers => 2}).
