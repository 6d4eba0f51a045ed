%% Measures `toy_twin', of which a test has two builds that answer differently.
-module(twin_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, faults/0]).
-export([connect/2]).

init(#{instance := Instance} = Options) ->
    Log = maps:get(log, Options, none),
    ok = log(Log, "start", Instance),
    Planted = router_bench_fault:plant(maps:get(fault, Options, none),
                                       #{crash => fun() -> exit(self(), kill) end}),
    {ok, #{planted => Planted, log => Log, instance => Instance}}.

%% Two BEAMs append to one file.
log(none, _What, _Instance) ->
    ok;
log(File, What, Instance) ->
    file:write_file(File, io_lib:format("~s ~b~n", [What, Instance]), [append]).

%% A driver has the build of neither side in its calls: the router's node has.
connect([Node], _Options) ->
    {ok, #{planted => router_bench_fault:plant(none, #{}), node => Node}}.

request(N, _State) ->
    N.

route(N, #{node := Node}) ->
    erpc:call(Node, toy_twin, route, [N], 5000);
route(N, #{planted := Planted}) ->
    router_bench_fault:route(Planted, fun() -> toy_twin:route(N) end).

counters(_State) ->
    #{errors_total => 0, backpressure_active_total => 0}.

terminate(#{log := Log, instance := Instance}) ->
    log(Log, "end", Instance).

faults() ->
    [delay_us, crash_after].
