%% Measures `toy_twin', of which a test has two builds that answer differently.
-module(twin_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, faults/0]).

init(Options) ->
    {ok, router_bench_fault:plant(maps:get(fault, Options, none),
                                  #{crash => fun() -> exit(self(), kill) end})}.

request(N, _Planted) ->
    N.

route(N, Planted) ->
    router_bench_fault:route(Planted, fun() -> toy_twin:route(N) end).

counters(_Planted) ->
    #{errors_total => 0, backpressure_active_total => 0}.

terminate(_Planted) ->
    ok.

faults() ->
    [delay_us, crash_after].
