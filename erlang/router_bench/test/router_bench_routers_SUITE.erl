%% Routers in several nodes of a cluster that runs already, with drivers in a node of it and in BEAMs of their own.
-module(router_bench_routers_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([routers_in_several_nodes_are_measured_and_left_as_they_were/1,
         the_counters_of_each_router_are_tried_and_a_dead_one_is_named/1,
         routers_are_left_as_they_were_whatever_ends_the_run/1,
         a_router_node_that_is_lost_is_named_and_the_others_are_left_as_they_were/1,
         drivers_of_this_machine_drive_a_cluster_and_no_command_line_has_its_cookie/1,
         nodes_that_do_not_go_together_are_refused/1]).

-define(COOKIE, "a secret of these routers").
-define(ROUTERS, ['measured_1@127.0.0.1', 'measured_2@127.0.0.1']).
-define(DRIVER, 'drives_them@127.0.0.1').
-define(PATIENCE_MS, 20000).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info] -- [init_per_suite, end_per_suite].

init_per_suite(Config) ->
    {Epmd, Env} = own_epmd:start(),
    Cookie = filename:join(proplists:get_value(priv_dir, Config), "routers_cookie"),
    ok = file:write_file(Cookie, ?COOKIE),
    ok = file:change_mode(Cookie, 8#600),
    [{epmd, Epmd}, {env, Env}, {cookie, Cookie} | Config].

end_per_suite(Config) ->
    own_epmd:stop(proplists:get_value(epmd, Config)).

%% The routers' nodes, the driver's, and whoever conducts.
with_routers(Config, Work) ->
    Env = proplists:get_value(env, Config),
    [First, Second, Driver] = [node_of(Node, Env) || Node <- ?ROUTERS ++ [?DRIVER]],
    Paths = lists:append([["-pa", Dir] || Dir <- router_bench_frozen:code_path(own)]),
    {ok, Conductor, _} = peer:start(#{connection => standard_io, env => Env, args => ["-nocookie" | Paths]}),
    _ = [begin
             {module, live_router} = peer:call(Router, code, load_abs, [filename:rootname(code:which(live_router))]),
             peer:call(Router, live_router, start, [])
         end || Router <- [First, Second]],
    try Work(Conductor, fun(More) -> peer:call(Conductor, router_bench, attach, [options(More, Config)], 60000) end,
             [First, Second, Driver])
    after lists:foreach(fun(Pid) -> catch peer:stop(Pid) end, [Conductor, First, Second, Driver])
    end.

node_of(Node, Env) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    {ok, Peer, Node} = peer:start(#{connection => standard_io, name => Name, host => Host, longnames => true,
                                    env => Env, args => ["-start_epmd", "false", "-setcookie", ?COOKIE]}),
    Peer.

options(More, Config) ->
    maps:merge(#{node => ?ROUTERS, nodes => [?DRIVER, local], cookie_file => proplists:get_value(cookie, Config),
                 adapter => routers_adapter, blocks => 1, warmup_ms => 20, throughput_ms => 60, latency_ms => 200,
                 slice_ms => 20, rate_per_second => 1000, concurrency => 3, drain_timeout_ms => 1000,
                 quiet => true}, More).

called(Router) -> peer:call(Router, live_router, called, []).

%% What the first call of anybody makes for good is there: before anything is measured.
with_routers_as_they_were(Config, Work) ->
    with_routers(Config, fun(Conductor, Run, Nodes) ->
        {ok, _} = Run(#{}),
        Routers = lists:sublist(Nodes, 2),
        [[init, detach] = called(Router) || Router <- Routers],
        Restless = fun() -> timer:sleep(200), states(Routers) end,
        ok = wait_until(fun() -> states(Routers) =:= Restless() end, Restless),
        Before = states(Routers),
        Differ = fun() -> [maps:filter(fun(Key, Is) -> Is =/= maps:get(Key, Was) end, Now)
                           || {Was, Now} <- lists:zip(Before, states(Routers))]
                 end,
        Work(Conductor, Run, Routers,
             fun(Called) ->
                     ok = wait_until(fun() -> states(Routers) =:= Before end, Differ),
                     Called = [called(Router) || Router <- Routers]
             end)
    end).

states(Routers) -> [peer:call(Router, live_router, node_state, []) || Router <- Routers].

wait_until(Is, Why) -> wait_until(Is, Why, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

wait_until(Is, Why, DeadlineMs) ->
    case {Is(), erlang:monotonic_time(millisecond) < DeadlineMs} of
        {true, _} -> ok;
        {false, true} -> timer:sleep(50), wait_until(Is, Why, DeadlineMs);
        {false, false} -> error(Why())
    end.

routers_in_several_nodes_are_measured_and_left_as_they_were(Config) ->
    with_routers_as_they_were(Config, fun(_Conductor, Run, _Routers, AsBefore) ->
        {ok, #{env := #{attached := true}, load := #{drivers := 2, routers := 2},
               blocks := [#{accounting := #{latency := #{offered := 200, error := 0, timeout := 0}}, vm := Vm,
                            memory := #{peak_bytes := Peak}, metrics := #{mem_mb_worst_node := _},
                            nodes := #{routers := [#{router := 1, memory := #{peak_bytes := One}, vm := OneVm},
                                                   #{router := 2, memory := #{peak_bytes := Other}, vm := OtherVm}]}}],
               series := Series} = Report} = Run(#{}),
        Peak = One + Other,
        true = maps:get(reductions_per_request, Vm) > 0,
        false = is_map_key(run_queue, Vm),
        [{true, false} = {is_map_key(run_queue, Of), is_map_key(reductions_per_request, Of)}
         || Of <- [OneVm, OtherVm]],
        [1, 2] = lists:usort([Router || #{router := Router} <- Series]),
        {ok, _} = router_bench_nif:report_encode(Report),
        AsBefore([[init, detach], [init, detach]]),
        % What hurts is done where it is asked for.
        {ok, #{controls := #{errors_total := alive, backpressure_active_total := not_offered}}} =
            Run(#{attach_allow => [control, terminate]}),
        AsBefore([[init, control, terminate, init, terminate], [init, control, terminate, init, terminate]])
    end).

the_counters_of_each_router_are_tried_and_a_dead_one_is_named(Config) ->
    with_routers(Config, fun(_Conductor, Run, _Nodes) ->
        [begin
             {error, {failed, Text, #{blocks := []}}} =
                 Run(#{attach_allow => [control], adapter_options => #{dead => Dead}}),
             {match, _} = re:run(Text, [Named, ".*: counters/1 of routers_adapter did not count"])
         end || {Dead, Named} <- lists:zip(?ROUTERS, ["router 1 .measured_1@", "router 2 .measured_2@"])]
    end).

routers_are_left_as_they_were_whatever_ends_the_run(Config) ->
    with_routers_as_they_were(Config, fun(Conductor, Run, [Router, _] = Routers, AsBefore) ->
        Once = [[init, detach], [init, detach]],
        {error, {failed, _, _}} = Run(#{adapter_options => #{answer => surprise}}),
        AsBefore(Once),
        Cut = in_the_middle_of_a_run(Run, Routers),
        [true = peer:call(Router, erlang, disconnect_node, [Guest])
         || Guest <- peer:call(Router, erlang, nodes, [hidden]), is_the_conductors(Guest)],
        {error, {failed, Text, _}} = ended(Cut),
        {match, _} = re:run(Text, "router 1 .measured_1@127.0.0.1.: "),
        AsBefore(Once),
        Killed = in_the_middle_of_a_run(Run, Routers),
        _ = os:cmd("kill -KILL " ++ peer:call(Conductor, os, getpid, [])),
        gone = ended(Killed),
        AsBefore(Once)
    end).

%% Beside its drivers'.
is_the_conductors(Guest) ->
    re:run(atom_to_list(Guest), "^router_bench_[0-9]+@", [{capture, none}]) =:= match.

%% Of a block that would last a minute.
in_the_middle_of_a_run(Run, Routers) ->
    Test = self(),
    Runner = spawn(fun() ->
                           Test ! {self(), try Run(#{latency_ms => 60000})
                                           catch _:_ -> gone
                                           end}
                   end),
    Measures = fun(Router) -> peer:call(Router, erlang, statistics, [scheduler_wall_time_all]) =/= undefined end,
    ok = wait_until(fun() -> lists:all(Measures, Routers) end, fun() -> never_ran end),
    Runner.

ended(Runner) ->
    receive {Runner, Result} -> Result
    after ?PATIENCE_MS -> error(goes_on)
    end.

a_router_node_that_is_lost_is_named_and_the_others_are_left_as_they_were(Config) ->
    with_routers(Config, fun(_Conductor, Run, [Router, Lost, Driver]) ->
        Runner = in_the_middle_of_a_run(Run, [Router, Lost]),
        ok = peer:cast(Lost, erlang, halt, [1]),
        {error, {failed, Text, #{run := #{status := failed}}}} = ended(Runner),
        {match, _} = re:run(Text, "router 2 .measured_2@127.0.0.1.: "),
        [init, detach] = called(Router),
        [ok = wait_until(fun() -> benchs(Node) =:= [] end, fun() -> {Node, benchs(Node)} end)
         || Node <- [Router, Driver]]
    end).

benchs(Node) ->
    [Module || {Module, _} <- peer:call(Node, code, all_loaded, []),
               lists:prefix("router_bench", atom_to_list(Module))].

drivers_of_this_machine_drive_a_cluster_and_no_command_line_has_its_cookie(Config) ->
    with_routers(Config, fun(_Conductor, Run, Routers) ->
        Runner = in_the_middle_of_a_run(fun(More) -> Run(More#{nodes => [local, local]}) end, lists:sublist(Routers, 2)),
        Drivers = [Guest || Guest <- peer:call(hd(Routers), erlang, nodes, [hidden]), not is_the_conductors(Guest)],
        2 = length(Drivers),
        % The routers' own were started with it by this suite.
        [] = [Line || File <- filelib:wildcard("/proc/[0-9]*/cmdline"), {ok, Line} <- [file:read_file(File)],
                      binary:match(Line, <<?COOKIE>>) =/= nomatch, binary:match(Line, <<"-name">>) =:= nomatch],
        ok = peer:cast(lists:nth(2, Routers), erlang, halt, [1]),
        {error, _} = ended(Runner)
    end).

nodes_that_do_not_go_together_are_refused(Config) ->
    Says = fun(Text, More) ->
                   {error, Reason} = router_bench_plan:new(options(More, Config)),
                   {match, _} = re:run(router_bench_plan:message(Reason), Text)
           end,
    {ok, #{routers := 2}} = router_bench_plan:new(options(#{}, Config)),
    Says("nodes other than the router's own", #{nodes => [lists:last(?ROUTERS), local]}),
    Says("option nodes is .*drivers .--nodes.: routers in several nodes are reached by drivers", #{nodes => []}),
    Says("option node is .*each once", #{node => [hd(?ROUTERS), hd(?ROUTERS)]}),
    Says("option node is .*each once", #{node => [hd(?ROUTERS), "text"]}),
    Says("left out: each node that is named has one", #{routers => 2}).
